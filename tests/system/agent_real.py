"""A real agent with a real witness image in its locked-down process, against a small server over real TLS:
joins, becomes trusted, is found changed, recovers; the server restarts, the agent is killed, the host plays tricks."""
import os
import shutil
import signal
import sys

from fabric import Fabric, expect, free_port, play

CAISSON, SERVER = sys.argv[1:3]


class Story(Fabric):
    def __init__(self, folder):
        super().__init__(CAISSON, folder)
        self.home = os.path.join(folder, "home")
        self.state = os.path.join(folder, "server")
        self.measured = os.path.join(folder, "measured")
        self.address = f"127.0.0.1:{free_port()}"
        os.mkdir(self.state)
        self.put("good")

    def put(self, text):
        with open(self.measured, "w") as stream:
            stream.write(text)

    def start_server(self):
        server = self.start([SERVER, self.state, self.measured, self.address], "server.log")
        server.says("listening")
        return server

    def start_agent(self):
        agent = self.start([CAISSON, "--home", self.home, "agent", "run"], "agent.log")
        agent.says("serving")
        return agent

    def play(self):
        server = self.start_server()
        join_file = os.path.join(self.state, "alpha.join")
        status, out, err = self.caisson(self.home, "agent", "join", join_file)
        expect(status == 0 and "alpha" in out, f"join: {status} {out} {err}")
        expect("platform process" in out and "development root, no hardware trust" in out, f"join: {out}")
        status, _, err = self.caisson(self.home, "agent", "join", join_file)
        expect(status == 73 and "joined a server" in err, f"joining twice: {status} {err}")
        other = os.path.join(self.folder, "other")
        status, _, err = self.caisson(other, "agent", "join", join_file)
        expect(status == 77 and not os.path.exists(os.path.join(other, "agent", "join.json")),
               f"a used token: {status} {err}")

        agent = self.start_agent()
        server.says("verdict trusted platform 2 root 1")
        agent.says("verdict: trusted")
        agent.says("witness chamber on platform process")
        agent.says("development root, no hardware trust")
        self.put("evil")
        agent.says("verdict: contraindicated")
        agent.forget()
        self.put("good")
        agent.says("verdict: trusted")
        self.second_agent_is_refused()
        self.key_becomes_the_nodes(server)

        server.end(signal.SIGKILL)
        agent.says("server " + self.address)
        server = self.start_server()
        server.says("verdict trusted")

        agent.end(signal.SIGKILL)
        server.forget()
        agent = self.start_agent()
        server.says("verdict trusted")
        agent.process.send_signal(signal.SIGHUP)
        expect(agent.end() == 0, f"SIGTERM: {agent.process.returncode}")
        expect(not os.path.exists(os.path.join(self.home, "agent", "agent.sock")), "the socket stays behind")
        self.stolen_identity_is_refused()

    def key_becomes_the_nodes(self, server):
        """A key in a curve chamber of its own process, by a local report from one chamber to the other."""
        status, _, err = self.caisson(self.home, "key", "new", "alice")
        expect(status == 0, f"key new: {status} {err}")
        server.says(" keys 0")
        program = self.start([CAISSON, "--home", self.home, "run", "--", "/bin/sleep", "30"], "run.log")
        server.says(" keys 1")
        program.end()

    def second_agent_is_refused(self):
        status, _, err = self.caisson(self.home, "agent", "run")
        expect(status == 73 and "another agent" in err, f"a second agent: {status} {err}")

    def stolen_identity_is_refused(self):
        """The folder of the agent on another machine: the same files, another root."""
        thief = os.path.join(self.folder, "thief")
        os.mkdir(thief, 0o700)
        shutil.copytree(os.path.join(self.home, "agent"), os.path.join(thief, "agent"))
        status, _, err = self.caisson(thief, "agent", "run")
        expect(status == 65 and "identity.sealed" in err, f"a stolen identity: {status} {err}")


sys.exit(play(Story, "joined, trusted, found changed, trusted again; server and agent restarted; tricks refused",
              ("server.log", "agent.log", "run.log")))
