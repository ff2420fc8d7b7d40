"""Agent and attestation server with a TPM root, end to end on a software TPM: the node proves its TPM, the server shows
what is proven and no more, a policy demands a root, and a fall back to a weaker root is refused."""
import json
import os
import shutil
import sys
import time

from fabric import Fabric, Failed, expect, free_port, play
from software_tpm import SoftwareTpm, installed

CAISSON = sys.argv[1]


class Story(Fabric):
    def __init__(self, folder):
        super().__init__(CAISSON, folder)
        self.server_home = os.path.join(folder, "server")
        self.home = os.path.join(folder, "alpha")
        self.filed = os.path.join(folder, "beta")
        self.address = f"127.0.0.1:{free_port()}"
        self.measured = os.path.join(folder, "measured")
        with open(self.measured, "w") as stream:
            stream.write("good")
        self.tpm = SoftwareTpm(os.path.join(folder, "tpm"), with_certificate=True)

    def end(self):
        super().end()
        self.tpm.stop()

    def set_policy(self, root):
        policy = os.path.join(self.folder, "policy.toml")
        with open(policy, "w") as stream:
            stream.write(f'version = 1\ninterval_ms = 300\nhold_ms = 3000\nroot = "{root}"\n'
                         f'[[file]]\npath = "{self.measured}"\n')
        baseline = os.path.join(self.folder, "baseline.json")
        self.verb(self.server_home, "baseline", "capture", "--policy", policy, "--out", baseline)
        for node in ("alpha", "beta"):
            self.verb(self.server_home, "policy", "set", node, policy)
            self.verb(self.server_home, "baseline", "set", node, baseline)

    def node(self, name):
        nodes = json.loads(self.verb(self.server_home, "--json", "status"))["nodes"]
        return next(node for node in nodes if node["name"] == name)

    def becomes(self, name, state, words="", timeout=40):
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            node = self.node(name)
            if node["state"] == state and words in json.dumps(node):
                return node
            time.sleep(0.2)
        raise Failed(f"{name} did not become {state} {words!r} but {json.dumps(self.node(name))}")

    def join(self, name, home):
        join_file = os.path.join(self.folder, name + ".join")
        self.verb(self.server_home, "server", "invite", name, "--out", join_file)
        self.verb(home, "agent", "join", join_file)

    def start_agent(self, name, home):
        agent = self.start([CAISSON, "--home", home, "agent", "run"], name + ".log")
        agent.says("serving")
        return agent

    def play(self):
        self.verb(self.server_home, "server", "init", "--listen", self.address)
        self.authority_is_checked()
        server = self.start([CAISSON, "--home", self.server_home, "server", "run"], "server.log")
        server.says("listens")
        self.verb(self.home, "root", "init", "--owner", os.path.join(self.folder, "owner"), "--tpm", self.tpm.address)
        self.join("alpha", self.home)
        server.says("alpha: its root is a TPM, simulated")
        self.join("beta", self.filed)
        self.set_policy("software-tpm")
        agent = self.start_agent("alpha", self.home)
        agent.says("simulated TPM, no hardware trust")
        other = self.start_agent("beta", self.filed)
        self.what_is_proven_is_shown()
        other.end()
        self.a_policy_that_wants_hardware_trusts_no_simulation()
        agent.end()
        self.a_node_that_falls_back_to_a_file_is_refused()
        self.a_changed_machine_does_not_start_its_agent()

    def authority_is_checked(self):
        authority = os.path.join(self.tpm.folder, "authority.pem")
        self.verb(self.server_home, "server", "trust-tpm", authority)
        status, _, err = self.caisson(self.server_home, "server", "trust-tpm", self.measured)
        expect(status == 65 and "in PEM are expected" in err, f"{status} {err}")

    def what_is_proven_is_shown(self):
        alpha = self.becomes("alpha", "trusted", "simulated TPM")
        tpm = alpha["tpm"]
        expect(tpm["simulated"] and tpm["endorsed"] and "swtpm" in tpm["certificate"], tpm)
        expect(alpha["witness_mrenclave"] in tpm["images"], f"the register lacks the witness: {tpm}")
        expect(set(tpm["pcrs"]) >= {"0", "2", "4", "7"}, tpm)
        beta = self.becomes("beta", "contraindicated", "its root is weaker than the policy demands")
        expect("tpm" not in beta and "development root" in beta["root"], beta)

    def a_policy_that_wants_hardware_trusts_no_simulation(self):
        self.set_policy("tpm")
        self.becomes("alpha", "contraindicated", "a TPM of a known maker")
        self.set_policy("any")
        self.becomes("alpha", "trusted")

    def a_node_that_falls_back_to_a_file_is_refused(self):
        """A host that hides the TPM's record: the identity does not open, and a forged Hello is refused."""
        hidden = os.path.join(self.folder, "hidden")
        shutil.move(os.path.join(self.home, "root"), hidden)
        status, _, err = self.caisson(self.home, "agent", "run")
        expect(status == 65 and "identity.sealed" in err, f"{status} {err}")
        os.remove(os.path.join(self.home, "root.key"))
        shutil.move(hidden, os.path.join(self.home, "root"))

    def a_changed_machine_does_not_start_its_agent(self):
        self.tpm.tool("tpm2_pcrextend", "4:sha256=" + "ee" * 32)
        status, _, err = self.caisson(self.home, "agent", "run")
        expect(status == 65 and "TPM_RC_POLICY_FAIL" in err, f"{status} {err}")
        self.becomes("alpha", "overdue")


if __name__ == "__main__":
    if not installed():
        print("skipped: swtpm is not installed (packages/check.txt)")
        sys.exit(77)
    sys.exit(play(Story, "a node proves its TPM, and no more than that is shown",
                  ("server.log", "alpha.log", "beta.log")))
