"""The witness chamber of an agent is killed, stopped and killed again: the agent starts it anew, with the identity that
was sealed, the server's verdicts go on, and a program whose keys were vouched for is vouched for again."""
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
        self.policy = os.path.join(folder, "policy.toml")
        self.baseline = os.path.join(folder, "baseline.json")
        with open(self.policy, "w") as stream:
            stream.write('version = 1\ninterval_ms = 60000\nhold_ms = 120000\nproc = ["cmdline"]\n')

    def chamber_of(self, pid, other_than=0, timeout=10):
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children") as stream:
                    for child in stream.read().split():
                        if int(child) != other_than and self.is_locked(child):
                            return int(child)
            time.sleep(0.02)
        raise Failed("the agent has no locked-down chamber")

    @staticmethod
    def is_locked(pid):
        try:
            with open(f"/proc/{pid}/status") as stream:
                return "Seccomp:\t2" in stream.read()
        except OSError:
            return False

    def play(self):
        self.verb(self.server_home, "server", "init", "--listen", f"127.0.0.1:{free_port()}")
        self.start([CAISSON, "--home", self.server_home, "server", "run"], "server.log")
        join_file = os.path.join(self.folder, "alpha.join")
        self.verb(self.server_home, "server", "invite", "alpha", "--out", join_file)
        self.verb(self.home, "agent", "join", join_file)
        self.verb(self.server_home, "baseline", "capture", "--policy", self.policy, "--out", self.baseline)
        self.verb(self.server_home, "policy", "set", "alpha", self.policy)
        self.verb(self.server_home, "baseline", "set", "alpha", self.baseline)
        agent = self.start([CAISSON, "--home", self.home, "agent", "run"], "agent.log")
        agent.says("verdict: trusted")
        for number in (signal.SIGKILL, signal.SIGKILL):
            old = self.chamber_of(agent.process.pid)
            agent.forget()
            # The next round is a minute away: that it comes now is the watch's doing.
            os.kill(old, number)
            agent.says("started anew with the same identity")
            agent.says("connected as alpha")
            fresh = self.chamber_of(agent.process.pid, other_than=old)
            expect(fresh != old, "the chamber is the same process")
            expect("\"trusted\"" in self.verb(self.server_home, "--json", "status"), "alpha is not trusted")
        # One that hangs is found by whoever asks it: here by the round that SIGHUP wants. Without its guard, which is
        # stopped, it cannot enter the chamber.
        old = self.chamber_of(agent.process.pid)
        agent.forget()
        with open(f"/proc/{old}/task/{old}/children") as stream:
            guard = int(stream.read().split()[0])
        os.kill(guard, signal.SIGSTOP)
        agent.process.send_signal(signal.SIGHUP)
        agent.says("started anew with the same identity")
        agent.says("connected as alpha")
        expect(agent.process.poll() is None, "the agent ended")
        expect(agent.end() == 0, f"SIGTERM: {agent.process.returncode}")


sys.exit(play(Story, "killed and hung chambers are started anew, and the node stays who it is",
              ("server.log", "agent.log")))
