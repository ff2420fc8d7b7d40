"""`caisson root` on a software TPM: a home whose keys stand on it, what closes it, what opens it again, and that nothing
on any screen takes a simulation for hardware."""
import json
import os
import shutil
import subprocess
import sys

from fabric import Fabric, expect, play
from software_tpm import SoftwareTpm, installed

CAISSON = sys.argv[1]
EXTEND = ("tpm2_pcrextend", "7:sha256=" + "ab" * 32)


class Story(Fabric):
    def __init__(self, folder):
        super().__init__(CAISSON, folder)
        self.home = os.path.join(folder, "home")
        self.owner = os.path.join(folder, "owner.secret")
        self.tpm = SoftwareTpm(os.path.join(folder, "tpm"))

    def end(self):
        super().end()
        self.tpm.stop()

    def fails(self, status, words, *command, home=None):
        got, out, err = self.caisson(home or self.home, *command)
        expect(got == status and words in err, f"caisson {' '.join(command)}: {got} {out} {err}; expected {words!r}")
        return err

    def shown(self):
        return json.loads(self.verb(self.home, "--json", "root", "show"))

    def play(self):
        self.a_home_without_one_has_a_file_root()
        self.a_root_is_made_and_called_simulated()
        self.keys_stand_on_it()
        self.a_changed_pcr_closes_it_and_the_owner_opens_it_again()
        self.an_older_copy_of_the_keys_is_refused()
        self.a_backup_of_before_is_the_owners_to_take_in()
        self.many_keys_and_two_at_once_lose_none()
        self.a_copied_home_opens_on_no_other_tpm()
        self.an_approval_opens_it_to_a_new_state()
        self.bad_input_is_named()

    def a_home_without_one_has_a_file_root(self):
        facts = self.shown()
        expect(facts["root"] == "file" and facts["hardware_trust"] is False, facts)
        expect(facts["rollback_counters"] is False and "development" in facts["meaning"], facts)
        expect(facts["platform"] == "process" and facts["debug"] is False, facts)
        shown = self.verb(self.home, "root", "show")
        expect("platform process (a locked-down process that emulates SGX), no debug" in shown, shown)
        expect("an older copy of the home opens" in self.verb(self.home, "root", "show"), "rollback is not told")
        expect("NOT NOTICED" in self.verb(self.home, "doctor"), "doctor does not tell that nothing is counted")

    def a_root_is_made_and_called_simulated(self):
        out = self.verb(self.home, "root", "init", "--owner", self.owner, "--tpm", self.tpm.address)
        expect("simulated TPM, no hardware trust" in out and "opens here and now" in out, out)
        expect(os.stat(self.owner).st_mode & 0o777 == 0o600, "the owner's secret is open to others")
        facts = self.shown()
        expect(facts["root"] == "software-tpm" and facts["hardware_trust"] is False, facts)
        expect(facts["state"] == "opens" and facts["pcrs"] == "0,2,4,7", facts)
        expect(facts["rollback_counters"] is True and facts["platform"] == "process", facts)
        expect("no debug" in self.verb(self.home, "root", "show"), "show does not tell of debug")
        for command in (("doctor",), ("version",)):
            expect("simulated TPM" in self.verb(self.home, *command), f"{command} does not say simulated")
        expect("refuses older copies" in self.verb(self.home, "doctor"), "doctor does not tell of the counter")
        self.fails(73, "is there already", "root", "init", "--owner", self.owner, "--tpm", self.tpm.address)

    def keys_stand_on_it(self):
        self.verb(self.home, "key", "new", "alice", "--ungated")
        expect(not os.path.exists(os.path.join(self.home, "root.key")), "a file root was made beside the TPM's")
        self.verb(self.home, "key", "export", "alice")

    def a_changed_pcr_closes_it_and_the_owner_opens_it_again(self):
        self.tpm.tool(*EXTEND)
        err = self.fails(65, "TPM_RC_POLICY_FAIL", "key", "export", "alice")
        expect("caisson root reseal" in err, err)
        status, out, _ = self.caisson(self.home, "root", "show")
        expect(status == 65 and "STAYS SEALED" in out, f"show: {status} {out}")
        wrong = os.path.join(self.folder, "wrong")
        with open(wrong, "w") as stream:
            stream.write("c" * 64)
        os.chmod(wrong, 0o600)
        self.fails(77, "wrong secret", "root", "reseal", "--owner", wrong)
        self.verb(self.home, "root", "reseal", "--owner", self.owner)
        self.verb(self.home, "key", "export", "alice")

    def an_older_copy_of_the_keys_is_refused(self):
        keys = os.path.join(self.home, "keys")
        older = os.path.join(self.folder, "older")
        self.verb(self.home, "key", "new", "leaked", "--ungated")
        shutil.copytree(keys, older)
        self.verb(self.home, "key", "remove", "leaked")
        self.verb(self.home, "key", "export", "alice")
        shutil.copy(os.path.join(older, "leaked.json"), keys)
        err = self.fails(65, "older copy", "key", "export", "leaked")
        expect("caisson root restore" in err, err)
        self.verb(self.home, "key", "export", "alice")
        shutil.rmtree(keys)
        shutil.copytree(older, keys)
        self.fails(65, "older copy", "key", "export", "alice")
        self.fails(65, "older copy", "key", "new", "bob", "--ungated")
        expect(not os.path.exists(os.path.join(keys, "bob.json")), "a key was made beside older copies")
        self.fails(77, "wrong secret", "root", "restore", "--owner", os.path.join(self.folder, "wrong"))
        self.fails(65, "older copy", "key", "export", "alice")
        self.verb(self.home, "root", "restore", "--owner", self.owner)
        self.verb(self.home, "key", "export", "alice")
        self.verb(self.home, "key", "remove", "leaked")

    def a_backup_of_before_is_the_owners_to_take_in(self):
        backup = os.path.join(self.folder, "alice.backup")
        with open(backup, "w") as stream:
            stream.write(self.verb(self.home, "key", "export", "alice"))
        self.verb(self.home, "key", "import", "twin", "--sealed", backup)
        self.verb(self.home, "key", "remove", "twin")
        self.fails(65, "older copy", "key", "import", "twin", "--sealed", backup)
        wrong = ("key", "import", "twin", "--sealed", backup, "--owner", os.path.join(self.folder, "wrong"))
        self.fails(77, "wrong secret", *wrong)
        self.verb(self.home, "key", "import", "twin", "--sealed", backup, "--owner", self.owner)
        self.verb(self.home, "key", "export", "twin")

    def many_keys_and_two_at_once_lose_none(self):
        keys = os.path.join(self.home, "keys")
        with open(os.path.join(keys, "twin.json")) as stream:
            twin = stream.read()
        names = [f"twin{number}" for number in range(34)]  # more than one chamber takes at once
        for name in names:
            path = os.path.join(keys, name + ".json")
            with open(path, "w") as stream:
                stream.write(twin.replace('"twin"', f'"{name}"'))
            os.chmod(path, 0o600)
        both = [subprocess.Popen([CAISSON, "--home", self.home, "key", "new", name, "--ungated"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in ("one", "two")]
        for process in both:
            _, err = process.communicate(timeout=120)
            expect(process.returncode == 0, err)
        for name in (names[-1], "two"):
            self.verb(self.home, "key", "export", name)
        for name in names:
            os.remove(os.path.join(keys, name + ".json"))

    def a_copied_home_opens_on_no_other_tpm(self):
        copy = os.path.join(self.folder, "copy")
        subprocess.run(["cp", "-a", self.home, copy], check=True)
        other = SoftwareTpm(os.path.join(self.folder, "other-tpm"))
        try:
            record = os.path.join(copy, "root", "tpm.json")
            with open(record) as stream:
                text = stream.read().replace(self.tpm.socket, other.socket)
            with open(record, "w") as stream:
                stream.write(text)
            self.fails(66, "another TPM", "key", "export", "alice", home=copy)
            third = os.path.join(self.folder, "third")
            self.verb(third, "root", "init", "--owner", os.path.join(self.folder, "owner2"), "--tpm", other.address)
            self.fails(65, "another TPM", "key", "export", "alice", home=copy)
        finally:
            other.stop()

    def an_approval_opens_it_to_a_new_state(self):
        home = os.path.join(self.folder, "signed")
        key = os.path.join(self.folder, "vendor.pem")
        stranger = os.path.join(self.folder, "stranger.pem")
        for path in (key, stranger):
            subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                            path], check=True, capture_output=True)
        status, out, err = self.caisson(home, "root", "init", "--owner", self.owner, "--tpm", self.tpm.address,
                                        "--signer", key)
        expect(status == 65 and "approved yet" in out, f"init: {status} {out} {err}")

        def approve(by):
            policy = self.verb(home, "root", "policy").strip()
            file = os.path.join(self.folder, "approval.json")
            with open(file, "w") as stream:
                stream.write(self.verb(home, "root", "approve", policy, "--key", by))
            return file

        self.fails(65, "not signed by the signer", "root", "accept", approve(stranger), home=home)
        self.verb(home, "root", "accept", approve(key))
        self.verb(home, "key", "new", "bob", "--ungated")
        self.tpm.tool(*EXTEND)
        self.fails(65, "approved other PCRs", "key", "export", "bob", home=home)
        self.verb(home, "root", "accept", approve(key))
        self.verb(home, "key", "export", "bob")
        self.verb(self.home, "root", "reseal", "--owner", self.owner)

    def bad_input_is_named(self):
        new = os.path.join(self.folder, "new")
        for pcrs in ("", "24", "1;2", "a"):
            self.fails(65, "0 to 23", "root", "init", "--owner", self.owner, "--tpm", self.tpm.address, "--pcrs", pcrs,
                       home=new)
        self.fails(65, "neither device:PATH", "root", "init", "--owner", self.owner, "--tpm", "nonsense", home=new)
        self.fails(66, "there is none", "root", "init", "--owner", self.owner, "--tpm", "device:/dev/no-such-tpm",
                   home=new)
        filed = os.path.join(self.folder, "filed")
        self.verb(filed, "key", "new", "carol", "--ungated")
        self.fails(73, "root of this home already", "root", "init", "--owner", self.owner, "--tpm", self.tpm.address,
                   home=filed)
        self.tpm.stop()
        self.fails(66, "no software TPM listens", "key", "export", "alice")
        self.fails(66, "older copies of it still open", "key", "remove", "two")
        expect(not os.path.exists(os.path.join(self.home, "keys", "two.json")), "a key stayed because the TPM is away")
        self.tpm.start()  # its PCRs are zero again; the same start-up brings it to where it was sealed
        self.fails(65, "TPM_RC_POLICY_FAIL", "key", "export", "alice")
        for _ in range(2):
            self.tpm.tool(*EXTEND)
        self.verb(self.home, "key", "export", "alice")
        record = os.path.join(self.home, "root", "tpm.json")
        with open(record) as stream:
            text = stream.read()
        with open(record, "w") as stream:
            stream.write(text[:-40])
        self.fails(65, "restore the file", "key", "export", "alice")


if __name__ == "__main__":
    if not installed():
        print("skipped: swtpm is not installed (packages/check.txt)")
        sys.exit(77)
    sys.exit(play(Story, "a home's keys stand on a TPM, and on that TPM alone", []))
