#!/usr/bin/python3
"""The examples against an installed caisson and nothing else: `library_examples.py CAISSON CMAKE BUILD SANITIZERS`.

The environment and the prefix are clean, the root is this machine's: a clean root is `tools/clean_root.sh`, by hand.
SANITIZERS: the flag that the build's library was linked with, or "none".
"""
import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import PYTHON, expect, run_tests  # noqa: E402

CMAKE, BUILD, SANITIZERS = sys.argv[2:5]
EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")
FLAGS = "" if SANITIZERS == "none" else SANITIZERS
CLEAN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "CC": "gcc-12", "CXX": "g++-12", "LC_ALL": "C"}
PLACE = tempfile.mkdtemp(prefix="caisson_examples_")
PREFIX = os.path.join(PLACE, "prefix")
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)


def command(words, where=PLACE, **environment):
    done = subprocess.run(words, cwd=where, env={**CLEAN, **environment}, capture_output=True, text=True, timeout=200)
    expect(done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def install():
    if not os.path.isdir(PREFIX):
        command([CMAKE, "--install", BUILD, "--prefix", PREFIX])
        shutil.copytree(EXAMPLES, os.path.join(PLACE, "examples"))


def built(name):
    """An example, built with CMake's find_package."""
    install()
    folder = os.path.join(PLACE, "cmake")
    if not os.path.isdir(folder):
        command([CMAKE, "-S", "examples", "-B", folder, f"-DCMAKE_PREFIX_PATH={PREFIX}", f"-DCMAKE_C_FLAGS={FLAGS}",
                 f"-DCMAKE_CXX_FLAGS={FLAGS}"])
        command([CMAKE, "--build", folder])
    return os.path.join(folder, name)


def the_codec_shakes_hands_and_passes_messages(home):
    out = command([built("codec"), home.folder])
    for line in ('received "one", more', 'received "two", more', 'received ""', "a session that is closed: missing",
                 "development root, no hardware trust"):
        expect(line in out, f"expected {line!r} in {out!r}")


def requests_are_answered_over_curve(home):
    server_key = home.facts("key", "new", "server", "--ungated")["public_key"]
    client_key = home.facts("key", "new", "client", "--ungated")["public_key"]
    server = home.start(built("request"), "serve", home.folder, "server", "tcp://127.0.0.1:0")
    word, address, key = server.line().split()
    expect((word, key) == ("listening", server_key), f"{word} {key}")
    out = command([built("request"), "ask", home.folder, "client", address, key, "who", "what"])
    expect(out == "you asked: who\nyou asked: what\n", out)
    expect(server.line() == f"{client_key} asks", "the server does not know who asked")
    done = subprocess.run([built("request"), "ask", home.folder, "nobody", address, key, "x"], capture_output=True,
                          text=True, timeout=60)
    expect(done.returncode == 1 and "key nobody: no such key" in done.stderr, done.stderr)


def pkg_config_and_make_build_the_same(home):
    install()
    folder = os.path.join(PLACE, "make")
    shutil.copytree(EXAMPLES, folder)
    command(["make", "codec", "request"], folder, PKG_CONFIG_PATH=os.path.join(PREFIX, "lib", "pkgconfig"), CFLAGS=FLAGS,
            CXXFLAGS=FLAGS)
    out = command([os.path.join(folder, "codec.out"), home.folder])
    expect('received "one", more' in out, out)


def only_what_the_header_names_can_be_bound(home):
    install()
    library = os.path.join(PREFIX, "lib", "libcaisson.so")
    header = open(os.path.join(PREFIX, "include", "caisson", "caisson.h"), encoding="ascii").read()
    for line in command(["nm", "-D", "--defined-only", library]).split("\n"):
        if line and not line.endswith("CAISSON_0.1"):
            name = line.split()[-1].split("@")[0]
            expect(name in header and name.startswith("caisson_"), f"exported, but not in the header: {line}")
            expect("@@CAISSON_0.1" in line, f"without a version: {line}")


def memory_holds(pid, text):
    """Whether any readable page of the process has these octets."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if rights[0] != "r" or "[v" in line:
                continue
            try:
                memory.seek(start)
                if text in memory.read(end - start):
                    return True
            except (OSError, ValueError, OverflowError):
                continue
    return False


class Member:
    def __init__(self, home, name):
        self.name = name
        self.home = os.path.join(home.folder, name)
        status, out, err = home.run("key", "new", name, "--ungated", "--json", home=self.home)
        expect(status == 0, err)
        self.key = json.loads(out)["public_key"]

    def start(self, broker, members):
        self.program = subprocess.Popen([built("chat"), self.home, self.name, broker, "garden", members], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, text):
        self.program.stdin.write(text + "\n")
        self.program.stdin.flush()

    def heard(self):
        """Everything, after the end of what it has to say."""
        out, err = self.program.communicate(timeout=60)
        expect(self.program.returncode == 0, f"{self.name}: {err}")
        return out.splitlines()


def the_chats_broker_sees_nothing_and_keeps_for_who_is_away(home):
    record = os.path.join(home.folder, "carried")
    broker = home.start(PYTHON, os.path.join(EXAMPLES, "chat", "broker.py"), "tcp://127.0.0.1:0", record)
    address = broker.line().split()[1]
    alice, bob, carol = (Member(home, name) for name in ("alice", "bob", "carol"))
    members = os.path.join(home.folder, "members")
    with open(members, "w", encoding="ascii") as file:
        file.writelines(f"{member.name} {member.key}\n" for member in (alice, bob, carol))
    carol.start(address, members)
    expect(carol.heard() == [], "carol heard something before anybody spoke")
    alice.start(address, members)
    bob.start(address, members)
    time.sleep(1)
    alice.say("meet me at the orchard gate")
    alice.say("/to bob only you and the old lantern")
    time.sleep(1)
    alice.say("/to bob the lantern is lit again")
    time.sleep(1)
    for text in (b"orchard gate", b"old lantern", b"lit again"):
        expect(not memory_holds(broker.pid, text), f"{text} is in the broker's memory")
    expect(memory_holds(broker.pid, b"garden"), "the control, a room's name, was not found in the broker's memory")
    alice.heard()
    heard = bob.heard()
    expect(heard == ["garden/alice meet me at the orchard gate", "alice only you and the old lantern",
                     "alice the lantern is lit again (session)"], f"bob heard {heard}")
    carol.start(address, members)  # she was away, and comes back twice
    heard = carol.heard()
    expect(heard == ["garden/alice meet me at the orchard gate"], f"carol heard {heard}")
    with open(record, "rb") as file:
        carried = file.read()
    expect(b"garden" in carried and b"CE1" in carried, "nothing was recorded")
    for text in (b"orchard", b"lantern", *(z.encode() for z in (alice.key, bob.key, carol.key))):
        expect(text not in carried, f"{text} passed the broker")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        the_codec_shakes_hands_and_passes_messages,
        requests_are_answered_over_curve,
        pkg_config_and_make_build_the_same,
        only_what_the_header_names_can_be_bound,
        the_chats_broker_sees_nothing_and_keeps_for_who_is_away,
    ]))
