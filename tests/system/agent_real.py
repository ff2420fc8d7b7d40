"""A real agent with a real witness image in its locked-down process, against a small server over real TLS:
joins, becomes trusted, is found changed, recovers; the server restarts, the agent is killed, the host plays tricks."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CAISSON, SERVER = sys.argv[1:3]


class Failed(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Failed(what)


class Program:
    """A started program whose lines go to a file, so that nothing blocks on a pipe."""

    def __init__(self, words, log):
        self.log = log
        self.stream = open(log, "ab")
        self.offset = os.path.getsize(log)
        self.process = subprocess.Popen(words, stdout=self.stream, stderr=self.stream, stdin=subprocess.DEVNULL)

    def text(self):
        with open(self.log, "rb") as stream:
            stream.seek(self.offset)
            return stream.read().decode(errors="replace")

    def forget(self):
        self.offset = os.path.getsize(self.log)

    def says(self, what, timeout=20):
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if what in self.text():
                return
            if self.process.poll() is not None and what not in self.text():
                break
            time.sleep(0.05)
        raise Failed(f"{self.log} did not say {what!r} but:\n{self.text()[-2000:]}")

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.stream.close()
        return self.process.returncode


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def caisson(home, *words):
    done = subprocess.run([CAISSON, "--home", home, *words], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


class Story:
    def __init__(self, folder):
        self.folder = folder
        self.home = os.path.join(folder, "home")
        self.state = os.path.join(folder, "server")
        self.measured = os.path.join(folder, "measured")
        self.address = f"127.0.0.1:{free_port()}"
        self.started = []
        os.mkdir(self.state)
        self.put("good")

    def put(self, text):
        with open(self.measured, "w") as stream:
            stream.write(text)

    def start(self, words, log):
        program = Program(words, os.path.join(self.folder, log))
        self.started.append(program)
        return program

    def start_server(self):
        server = self.start([SERVER, self.state, self.measured, self.address], "server.log")
        server.says("listening")
        return server

    def start_agent(self):
        agent = self.start([CAISSON, "--home", self.home, "agent", "run"], "agent.log")
        agent.says("serving")
        return agent

    def end(self):
        for program in reversed(self.started):
            program.end()

    def play(self):
        server = self.start_server()
        join_file = os.path.join(self.state, "alpha.join")
        status, out, err = caisson(self.home, "agent", "join", join_file)
        expect(status == 0 and "alpha" in out, f"join: {status} {out} {err}")
        status, _, err = caisson(self.home, "agent", "join", join_file)
        expect(status == 73 and "joined a server" in err, f"joining twice: {status} {err}")
        other = os.path.join(self.folder, "other")
        status, _, err = caisson(other, "agent", "join", join_file)
        expect(status == 77 and not os.path.exists(os.path.join(other, "agent", "join.json")),
               f"a used token: {status} {err}")

        agent = self.start_agent()
        server.says("verdict trusted platform 2 root 1")
        agent.says("verdict: trusted")
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
        status, _, err = caisson(self.home, "key", "new", "alice")
        expect(status == 0, f"key new: {status} {err}")
        server.says(" keys 0")
        program = self.start([CAISSON, "--home", self.home, "run", "--", "/bin/sleep", "30"], "run.log")
        server.says(" keys 1")
        program.end()

    def second_agent_is_refused(self):
        status, _, err = caisson(self.home, "agent", "run")
        expect(status == 73 and "another agent" in err, f"a second agent: {status} {err}")

    def stolen_identity_is_refused(self):
        """The folder of the agent on another machine: the same files, another root."""
        thief = os.path.join(self.folder, "thief")
        os.mkdir(thief, 0o700)
        shutil.copytree(os.path.join(self.home, "agent"), os.path.join(thief, "agent"))
        status, _, err = caisson(thief, "agent", "run")
        expect(status == 65 and "identity.sealed" in err, f"a stolen identity: {status} {err}")


def main():
    folder = tempfile.mkdtemp(prefix="agent-", dir="/tmp")
    story = Story(folder)
    try:
        story.play()
        print("ok: joined, trusted, found changed, trusted again; server and agent restarted; tricks refused")
        return 0
    except Failed as failure:
        print(f"failed: {failure}")
        for name in ("server.log", "agent.log", "run.log"):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                with open(path, errors="replace") as stream:
                    print(f"--- {name}\n{stream.read()[-3000:]}")
        return 1
    finally:
        story.end()
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
