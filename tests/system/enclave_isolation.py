#!/usr/bin/python3
"""What stands around a chamber, looked at from outside as root or its own user: `enclave_isolation.py CAISSON`."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import children_of, expect, is_alive, run_tests, signal, wait_until  # noqa: E402


def chamber_of(home):
    """(`caisson run` with a program that waits, the pid of its locked-down child)"""
    home.facts("key", "new", "lone", "--ungated")
    run = home.start_run("/bin/sleep", "60")

    def chambers():
        return [pid for pid in children_of(run.pid) if name_of(pid) != "sleep" and is_locked(pid)]

    wait_until(lambda: chambers(), "a chamber is locked down")
    return run, chambers()[0]


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def is_locked(pid):
    try:
        return status_of(pid).get("Seccomp") == "2"
    except OSError:
        return False


def a_chamber_dies_with_its_host(home):
    run, chamber = chamber_of(home)
    program = [pid for pid in children_of(run.pid) if name_of(pid) == "sleep"]
    os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(chamber), "the chamber ended after its host was killed", 1)
    for pid in program:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def a_chamber_has_no_rights_threads_or_descriptors(home):
    _, chamber = chamber_of(home)
    facts = status_of(chamber)
    for name, wanted in {"Seccomp": "2", "NoNewPrivs": "1", "Threads": "1"}.items():
        expect(facts[name] == wanted, f"{name} is {facts[name]}, not {wanted}")
    for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
        expect(int(facts[name], 16) == 0, f"{name} is {facts[name]}")
    names = [os.readlink(f"/proc/{chamber}/fd/{number}") for number in os.listdir(f"/proc/{chamber}/fd")]
    expect(not any(name.startswith("socket:") for name in names), f"a socket is open: {names}")
    expect(len(names) <= 3, f"more than the three standard descriptors: {names}")


def nobody_reads_a_writable_page_that_is_not_the_ring(home):
    """Of a process that only root may look into at all; pages of libc's own data hold no key and are readable."""
    _, chamber = chamber_of(home)
    secret = readable = 0
    with open(f"/proc/{chamber}/maps") as maps, open(f"/proc/{chamber}/mem", "rb", 0) as memory:
        for line in maps:
            words = line.split()
            if "secretmem" not in line:
                continue
            start, end = (int(word, 16) for word in words[0].split("-"))
            for page in range(start, end, 4096):
                secret += 1
                try:
                    memory.seek(page)
                    readable += len(memory.read(4096)) > 0
                except OSError:
                    pass
    expect(secret > 0, "no secret memory is mapped (does this kernel have memfd_secret?)")
    expect(readable == 0, f"{readable} of {secret} secret pages can be read")


def mappings_of(pid):
    """[(first, behind the last, permissions, is secret memory)]"""
    with open(f"/proc/{pid}/maps") as maps:
        return [(*(int(word, 16) for word in line.split()[0].split("-")), line.split()[1], "secretmem" in line)
                for line in maps]


def guard_pages_stand_on_both_sides_of_secret_memory(home):
    """Of keys, of the pages on which traps lie, and of the chamber: who writes past an end meets a page of nobody. Before
    the chamber's own data it may be the image's pages that are only read; around its arena, pages it has not taken."""
    _, chamber = chamber_of(home)
    mappings = mappings_of(chamber)
    small = 0
    for before, (start, end, rights, secret), behind in zip(mappings, mappings[1:], mappings[2:]):
        if not secret or rights == "---s":
            continue
        small += end - start == 4096
        guarded = (before[1] == start and before[2] in ("---p", "---s", "r--p") and behind[0] == end and
                   behind[2] in ("---p", "---s"))
        expect(guarded, f"{start:x}-{end:x} {rights} lies between {before} and {behind}, not between guard pages")
    expect(small >= 2, f"the page of keys and that of the processor are expected, not {small}: {mappings}")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        a_chamber_dies_with_its_host,
        a_chamber_has_no_rights_threads_or_descriptors,
        nobody_reads_a_writable_page_that_is_not_the_ring,
        guard_pages_stand_on_both_sides_of_secret_memory,
    ]))
