#!/usr/bin/python3
"""Who gets a key out of which process: `attack_matrix.py PROGRAMS IMAGES THREATS_MD`, as root (else 77).

Every cell is tried and compared with the table in docs/threats.md, "Who gets a key out of a process". A plain program is
the control: if it does not leak where the table says so, the attack is broken and the suite fails.
"""
import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile

VICTIM_UID, OTHER_UID = 4242, 4343
ATTACKERS = {"another user": OTHER_UID, "same user": VICTIM_UID, "root": 0}
VICTIMS = ("plain program", "not dumpable", "chamber without guard", "chamber")
GUARD = "guarded: traced by a process that only waits"
METHODS = ("proc-mem", "vm-readv", "peek", "hijack", "fd-theft", "map-files", "core dump")
HEADING = "| attacker | road |"


def documented(threats):
    """{(attacker, method): {victim: leaks}} as the table of the page says."""
    table = {}
    with open(threats) as page:
        lines = iter(page)
        for line in lines:
            if line.startswith(HEADING):
                victims = [cell.strip() for cell in line.strip().strip("|").split("|")][2:]
                assert tuple(victims) == VICTIMS, f"the table has the columns {victims}"
                next(lines)
                break
        for line in lines:
            if not line.startswith("|"):
                break
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            assert all(cell in ("LEAK", "no") for cell in cells[2:]), f"neither LEAK nor no: {cells}"
            table[cells[0], cells[1]] = {victim: cell == "LEAK" for victim, cell in zip(VICTIMS, cells[2:])}
    return table


class Stage:
    """The programs in a folder that every user may enter: elsewhere an attacker could not even be started."""

    def __init__(self, programs, images):
        self.folder = tempfile.mkdtemp(prefix="caisson-attack-")
        os.chmod(self.folder, 0o755)
        for name in ("plain_victim", "chamber_victim", "attacker"):
            shutil.copy(os.path.join(programs, name), self.folder)
            os.chmod(os.path.join(self.folder, name), 0o755)
        for name in ("null.sgxs", "null.sig", "caisson-loader"):
            shutil.copy(os.path.join(images, name), self.folder)
            os.chmod(os.path.join(self.folder, name), 0o755)
        self.home = os.path.join(self.folder, "home")
        os.mkdir(self.home, 0o700)
        os.chown(self.home, VICTIM_UID, VICTIM_UID)

    def path(self, name):
        return os.path.join(self.folder, name)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def as_user(uid):
    return {"user": uid, "group": uid, "extra_groups": []} if uid else {}


class Victim:
    def __init__(self, stage, kind):
        self.key = secrets.token_hex(32)
        words = {"plain program": [stage.path("plain_victim"), self.key],
                 "not dumpable": [stage.path("plain_victim"), self.key, "dumpable=0"],
                 "chamber without guard": [stage.path("chamber_victim"), stage.folder, stage.home, self.key, GUARD],
                 "chamber": [stage.path("chamber_victim"), stage.folder, stage.home, self.key]}[kind]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=stage.home,
                                        preexec_fn=allow_cores, **as_user(VICTIM_UID))
        told = self.process.stdout.readline().split()
        if len(told) != 2:
            raise AssertionError(f"{kind}: {told} {self.process.stdout.read()}")
        self.pid, self.address = told

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def allow_cores():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def attack(stage, victim, method, uid):
    """(it has the key, what the attacker said)"""
    done = subprocess.run([stage.path("attacker"), method, victim.pid, victim.address, victim.key], text=True,
                          capture_output=True, timeout=20, cwd="/", **as_user(uid))
    said = done.stdout.strip()
    assert said == "LEAK" or said.startswith("no"), f"the attacker itself failed: {done.returncode} {done.stderr}"
    return said == "LEAK", said


def dump_core(stage, victim, uid):
    """SIGABRT, and whatever file the kernel then leaves in the victim's folder."""
    words = ["/bin/kill", "-ABRT", victim.pid]
    done = subprocess.run(words, capture_output=True, text=True, **as_user(uid))
    if done.returncode != 0:
        return False, "no: " + done.stderr.strip()
    victim.end()
    cores = [name for name in os.listdir(stage.home) if name.startswith("core")]
    leaked = False
    for name in cores:
        with open(os.path.join(stage.home, name), "rb") as core:
            leaked = leaked or bytes.fromhex(victim.key) in core.read()
        os.remove(os.path.join(stage.home, name))
    return leaked, f"{len(cores)} core files"


def try_cell(stage, kind, method, uid):
    victim = Victim(stage, kind)
    try:
        return dump_core(stage, victim, uid) if method == "core dump" else attack(stage, victim, method, uid)
    finally:
        if not victim.process.stdin.closed:
            victim.end()


def too_little_locked_memory_is_named(stage):
    """A user with 64 KiB to lock: the error names limit and remedy, and nothing starts without secret memory."""
    def limit():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))

    done = subprocess.run([stage.path("chamber_victim"), stage.folder, stage.home, "00" * 32], preexec_fn=limit,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20, **as_user(VICTIM_UID))
    good = done.stdout.startswith("failed") and "RLIMIT_MEMLOCK" in done.stdout and "raise it" in done.stdout
    print(f"{'ok  ' if good else 'FAIL'} with 64 KiB of locked memory: {done.stdout.strip()}")
    return good


def cores_are_files():
    with open("/proc/sys/kernel/core_pattern") as pattern:
        text = pattern.read().strip()
    return not text.startswith("|") and "/" not in text and text.startswith("core")


def main():
    if os.geteuid() != 0:
        print("attack_matrix: not root: nobody to play root and other users")
        return 77
    table = documented(sys.argv[3])
    methods = [method for method in METHODS if method != "core dump" or cores_are_files()]
    if len(methods) != len(METHODS):
        print("core dumps go to a program here (/proc/sys/kernel/core_pattern): that road is not tried")
    stage = Stage(sys.argv[1], sys.argv[2])
    wrong = cells = leaks = 0
    try:
        for attacker, uid in ATTACKERS.items():
            for method in methods:
                for kind in VICTIMS:
                    leaked, said = try_cell(stage, kind, method, uid)
                    expected = table[attacker, method][kind]
                    cells, leaks = cells + 1, leaks + leaked
                    wrong += leaked != expected
                    print(f"{'ok  ' if leaked == expected else 'FAIL'} {attacker:12} {method:10} {kind:22} "
                          f"{'LEAK' if leaked else said}", flush=True)
        wrong += not too_little_locked_memory_is_named(stage)
    finally:
        stage.remove()
    print(f"{cells} attacks, {leaks} leaks, {wrong} not as documented")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
