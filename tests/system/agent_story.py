"""The agent and the attestation server together: a node joins, is trusted, changed, found, restored; then both ends are
killed, and a host that repeats, delays and withholds gains nothing."""
import hashlib
import json
import os
import signal
import sys
import time

from fabric import Fabric, Failed, expect, free_port, play

CAISSON = sys.argv[1]


class Story(Fabric):
    def __init__(self, folder):
        super().__init__(CAISSON, folder)
        self.server_home = os.path.join(folder, "server")
        self.home = os.path.join(folder, "alpha")
        self.tree = os.path.join(folder, "tree")
        self.policy = os.path.join(folder, "policy.toml")
        self.baseline = os.path.join(folder, "baseline.json")
        self.address = f"127.0.0.1:{free_port()}"
        os.makedirs(os.path.join(self.tree, "sub"))
        self.put("a", "alpha")
        self.put("sub/b", "beta")
        with open(self.policy, "w") as stream:
            stream.write(f'version = 1\ninterval_ms = 200\nhold_ms = 2000\nproc = ["cmdline", "modules"]\n'
                         f'[[tree]]\npath = "{self.tree}"\n')

    def put(self, name, text):
        with open(os.path.join(self.tree, name), "w") as stream:
            stream.write(text)

    def start_server(self):
        return self.start([CAISSON, "--home", self.server_home, "server", "run"], "server.log")

    def start_agent(self):
        agent = self.start([CAISSON, "--home", self.home, "agent", "run"], "agent.log")
        agent.says("serving")
        return agent

    def status(self):
        return json.loads(self.verb(self.server_home, "--json", "status"))

    def becomes(self, what, timeout=20):
        """The status text, once `what` is in it."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            text = json.dumps(self.status())
            if what in text:
                return text
            time.sleep(0.1)
        raise Failed(f"status did not become {what!r} but {text}")

    def play(self):
        self.verb(self.server_home, "server", "init", "--listen", self.address)
        server = self.start_server()
        join_file = os.path.join(self.folder, "alpha.join")
        self.verb(self.server_home, "server", "invite", "alpha", "--out", join_file)
        self.verb(self.home, "agent", "join", join_file)
        self.verb(self.server_home, "baseline", "capture", "--policy", self.policy, "--out", self.baseline)
        self.verb(self.server_home, "policy", "set", "alpha", self.policy)
        self.verb(self.server_home, "baseline", "set", "alpha", self.baseline)
        agent = self.start_agent()
        self.becomes('"trusted"')

        self.changes_are_found()
        agent = self.both_ends_are_killed(server, agent)
        expect(agent.end() == 0, f"SIGTERM: {agent.process.returncode}")
        self.becomes('"overdue"')

    def changes_are_found(self):
        self.put("sub/b", "evil")
        text = self.becomes("contraindicated")
        for fact in (os.path.join(self.tree, "sub/b"), hashlib.sha256(b"beta").hexdigest(),
                     hashlib.sha256(b"evil").hexdigest()):
            expect(fact in text, f"status does not tell {fact}: {text}")
        self.put("sub/b", "beta")
        self.becomes('"trusted"')
        self.put("added", "x")
        expect("added" in self.becomes("contraindicated"), "an added file is not named")
        os.remove(os.path.join(self.tree, "added"))
        self.becomes('"trusted"')
        os.remove(os.path.join(self.tree, "a"))
        self.becomes("contraindicated")
        self.put("a", "alpha")
        self.becomes('"trusted"')

    def both_ends_are_killed(self, server, agent):
        server.end(signal.SIGKILL)
        server = self.start_server()
        agent.says("verdict: trusted")
        self.becomes('"trusted"')
        agent.end(signal.SIGKILL)
        agent = self.start_agent()
        agent.says("verdict: trusted")
        # A host that stops its agent withholds results: trust ends by itself, and comes back only with a new one.
        agent.process.send_signal(signal.SIGSTOP)
        self.becomes('"overdue"')
        agent.process.send_signal(signal.SIGCONT)
        self.becomes('"trusted"')
        return agent


sys.exit(play(Story, "joined, trusted, changes found and named, ends killed, withheld results end trust",
              ("server.log", "agent.log")))
