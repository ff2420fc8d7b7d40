#!/usr/bin/python3
"""Unmodified pyzmq programs under `caisson run`, against plain pyzmq peers: `run_pyzmq.py CAISSON [COUNT SIZE]`.

COUNT messages go where many go, and SIZE MiB is the largest.
"""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import zmq

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
import memory_scan  # noqa: E402
from home import (Failed, Home, PYTHON, expect, children_of, is_alive, run_tests, wait_until,  # noqa: E402
                  z85_bytes)

COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 500
LARGEST_BYTES = (int(sys.argv[3]) if len(sys.argv) > 3 else 4) << 20
MESSAGE_BYTES_MAX = 256 << 10  # airlock::message_bytes_max
SPAN_BYTES_MAX = 1 << 30  # larger mappings are reservations of a sanitizer, terabytes of nothing

every_mapping = memory_scan.readable_mappings
memory_scan.readable_mappings = lambda pid: (mapping for mapping in every_mapping(pid)
                                             if mapping[1] - mapping[0] < SPAN_BYTES_MAX)


def plain_pair():
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


class GivenKeys:
    """A home with two keys, made once: each test begins with a copy of it."""
    folder = None
    pairs = ()

    @classmethod
    def make(cls, caisson):
        cls.folder = tempfile.mkdtemp(prefix="caisson_test_")
        home = Home(os.path.abspath(caisson), cls.folder)
        facts = [home.facts("key", "new", name, "--ungated") for name in ("one", "two")]
        cls.pairs = [(each["public_key"], each["handle"]) for each in facts]

    @classmethod
    def remove(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)


def sealed_pairs(home):
    """Public keys and handles of the keys `one` and `two` in the chamber."""
    shutil.copytree(GivenKeys.folder, home.folder, dirs_exist_ok=True)
    return GivenKeys.pairs


def a_server_under_run_echoes_to_a_plain_client(home):
    (server_public, server_handle), _ = sealed_pairs(home)
    client_public, client_secret = plain_pair()
    server = home.start_run(*home.peer_words("echo", server_public, server_handle, count=COUNT))
    client = home.start(*home.peer_words("ask", client_public, client_secret, server_key=server_public,
                                         endpoint=server.line(), count=COUNT))
    client.expect_ok()
    server.expect_ok()


def a_client_under_run_asks_a_plain_server(home):
    server_public, server_secret = plain_pair()
    (client_public, client_handle), _ = sealed_pairs(home)
    server = home.start(*home.peer_words("echo", server_public, server_secret, count=COUNT))
    client = home.start_run(*home.peer_words("ask", client_public, client_handle, server_key=server_public,
                                             endpoint=server.line(), count=COUNT))
    client.expect_ok()
    server.expect_ok()


def a_publisher_under_run_reaches_a_plain_subscriber(home):
    (public, handle), _ = sealed_pairs(home)
    client_public, client_secret = plain_pair()
    publisher = home.start_run(*home.peer_words("publish", public, handle, count=COUNT))
    home.start(*home.peer_words("subscribe", client_public, client_secret, server_key=public,
                                endpoint=publisher.line(), count=COUNT)).expect_ok()


def a_subscriber_under_run_hears_a_plain_publisher(home):
    public, secret = plain_pair()
    (client_public, client_handle), _ = sealed_pairs(home)
    publisher = home.start(*home.peer_words("publish", public, secret, count=COUNT))
    home.start_run(*home.peer_words("subscribe", client_public, client_handle, server_key=public,
                                    endpoint=publisher.line(), count=COUNT)).expect_ok()


class Client:
    """A plain CURVE client in this process."""

    def __init__(self, server_public, endpoint):
        public, secret = zmq.curve_keypair()
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger, self.socket.rcvtimeo = 0, 60000
        self.socket.curve_publickey, self.socket.curve_secretkey = public, secret
        self.socket.curve_serverkey = server_public.encode()
        self.socket.connect(endpoint)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.destroy(linger=0)

    def echoes(self, message):
        self.socket.send(message)
        try:
            return self.socket.recv() == message
        except zmq.Again as error:
            raise Failed(f"{len(message)} octets: no answer") from error


def messages_of_any_size_pass_both_ways(home):  # [SHIM-5]
    (public, handle), _ = sealed_pairs(home)
    sizes = (MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX + 1, (3 << 20) + 7, LARGEST_BYTES)
    server = home.start_run(*home.peer_words("echo", public, handle, count=len(sizes) + 1))
    endpoint = server.line()
    with Client(public, endpoint) as client, Client(public, endpoint) as other:
        for size in sizes:
            expect(client.echoes(os.urandom(1 << 20) * (size >> 20) + os.urandom(size % (1 << 20))), f"{size} octets")
        expect(other.echoes(b"after"), "the other client")


def a_pair_that_a_program_made_is_known_in_the_next_run(home):  # [SHIM-12]
    sealed_pairs(home)
    make = "import zmq; print(*(key.decode() for key in zmq.curve_keypair()))"
    public, handle = home.start_run(PYTHON, "-c", make).line().split()
    show = "import sys, zmq; print(zmq.curve_public(sys.argv[1].encode()).decode())"
    expect(home.start_run(PYTHON, "-c", show, handle).line() == public, "another key, or none")
    with open(os.path.join(home.folder, "handles.key"), "r+b") as file:
        octets = bytearray(file.read())
        octets[-1] ^= 1
        file.seek(0)
        file.write(octets)
    status, _, err = home.run("run", "--", "/bin/true")
    expect(status == 65 and "handles.key" in err, f"an altered handle key: status {status}: {err}")


def raw_keys_work_when_they_are_allowed_and_that_is_said(home):  # [SHIM-4] [SHIM-11]
    sealed_pairs(home)
    server_public, server_secret = plain_pair()
    client_public, client_secret = plain_pair()
    allow = [home.caisson, "--home", home.folder, "run", "--allow-raw-keys", "--"]
    server = home.start(*allow, *home.peer_words("echo", server_public, server_secret, count=COUNT))
    home.start(*allow, *home.peer_words("ask", client_public, client_secret, server_key=server_public,
                                        endpoint=server.line(), count=COUNT)).expect_ok()
    status, out, err = server.finish()
    expect(status == 0 and out.strip().startswith("ok"), f"status {status}, printed {out!r}: {err}")
    expect("--allow-raw-keys" in err, f"nothing was said: {err}")


def eight_processes_use_the_chamber_at_once(home):  # [SHIM-8]
    (public, handle), _ = sealed_pairs(home)
    code = ("import os, sys, zmq\n"
            "children = []\n"
            "for _ in range(7):\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            f"        os._exit(0 if zmq.curve_public({handle.encode()!r}).decode() == {public!r} else 1)\n"
            "    children.append(pid)\n"
            f"assert zmq.curve_public({handle.encode()!r}).decode() == {public!r}\n"
            "print('ok' if all(os.waitpid(pid, 0)[1] == 0 for pid in children) else 'no')\n")
    home.start_run(PYTHON, "-c", code).expect_ok()


def strangers_without_end_neither_stop_the_program_nor_a_session(home):  # [SHIM-6]
    (public, handle), _ = sealed_pairs(home)
    server = home.start_run(*home.peer_words("echo", public, handle, count=100))
    endpoint = server.line()
    address = ("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))
    with Client(public, endpoint) as client:
        expect(client.echoes(b"before"), "no session")
        for _ in range(15):  # each greeting makes libzmq ask for a key pair; the chamber keeps 1024
            strangers = [socket.create_connection(address) for _ in range(100)]
            for stranger in strangers:
                stranger.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01CURVE" + bytes(15 + 1 + 31))
            for stranger in strangers:
                stranger.settimeout(60)
                expect(stranger.recv(64) != b"", "no greeting")
                stranger.close()
        expect(client.echoes(b"after"), "the session is gone")
    with Client(public, endpoint) as client:
        expect(client.echoes(b"new"), "no new session")
    expect(server.process.poll() is None, "the program ended")


def both_ends_under_run_with_a_chamber_each(home):
    (server_public, server_handle), (client_public, client_handle) = sealed_pairs(home)
    server = home.start_run(*home.peer_words("echo", server_public, server_handle, count=COUNT), keys=["one"])
    client = home.start_run(*home.peer_words("ask", client_public, client_handle, server_key=server_public,
                                             endpoint=server.line(), count=COUNT), keys=["two"])
    client.expect_ok()
    server.expect_ok()


def keys_a_program_makes_itself_work_and_children_reach_the_chamber(home):
    (public, handle), _ = sealed_pairs(home)
    home.start_run(*home.peer_words("keypair", "", "", count=300)).expect_ok()
    home.start_run(*home.peer_words("children", public, handle)).expect_ok()


def a_wrong_handle_a_raw_secret_and_a_key_not_chosen_are_refused(home):  # [SHIM-4]
    server_public, server_secret = plain_pair()
    client_public, client_secret = plain_pair()
    _, unknown = plain_pair()
    (right_public, right_handle), _ = sealed_pairs(home)
    server = home.start(*home.peer_words("echo", server_public, server_secret, count=10))
    endpoint = server.line()
    clients = [home.start_run(*home.peer_words("ask", public, handle, server_key=server_public, endpoint=endpoint,
                                               count=10), keys=[key])
               for public, handle, key in ((right_public, unknown, "one"), (client_public, client_secret, "one"),
                                           (right_public, right_handle, "two"))]
    for client in clients:
        notice = "caisson: shim: a secret key was refused"
        with contextlib.suppress(Failed):
            wait_until(lambda: notice in client.what_it_said() or client.process.poll() is not None, notice, 60)
        expect(notice in client.what_it_said(), f"{client.words}: status {client.process.poll()}, not told why: "
                                                f"{client.what_it_said()}")
    home.start_run(*home.peer_words("ask", right_public, right_handle, server_key=server_public, endpoint=endpoint,
                                    count=10), keys=["one"]).expect_ok()
    server.expect_ok()  # its ten messages were the last client's
    for client in clients:
        expect(client.process.poll() is None, f"a client without its key has ended: {client.what_it_said()}")


def no_copy_of_the_secret_is_in_the_program_or_in_caisson_run(home):
    server_public, server_secret = plain_pair()
    public, secret = plain_pair()
    raw = z85_bytes(secret)
    handle = home.facts("key", "import", "known", "--raw-z85", "-", "--ungated", stdin=secret)["handle"]
    control = os.urandom(32)
    home.environment["CAISSON_TEST_CONTROL"] = control.hex()
    server = home.start(*home.peer_words("echo", server_public, server_secret, count=200))
    run = home.start_run(*home.peer_words("ask", public, handle, server_key=server_public, endpoint=server.line(),
                                          count=200, linger=600, plant="CAISSON_TEST_CONTROL"))
    expect(run.line().startswith("ok"), "no messages")
    found = memory_scan.Scan()
    pids = [run.pid, *children_of(run.pid)]
    expect(len(pids) >= 3, f"caisson run has no program and chamber: {pids}")
    for pid in pids:
        memory_scan.scan_process(pid, {"secret": raw}, found)
    expect(not found.hits, f"copies of the secret: {found.hits}")
    planted = memory_scan.Scan()
    for pid in pids:
        memory_scan.scan_process(pid, {"control": control}, planted)
    programs = {pid for pid, *_ in planted.hits}
    expect(run.pid in programs and len(programs) >= 2, f"the scan does not see what was planted: {planted.hits}")
    print(f"      {found.processes} processes, {found.bytes_read >> 20} MiB read, {found.bytes_refused >> 10} KiB "
          f"refused by the kernel, 0 copies; control found in {len(programs)}")


def chamber_and_program_end_when_caisson_run_is_killed(home):  # [SHIM-10]
    (public, handle), _ = sealed_pairs(home)
    run = home.start_run(*home.peer_words("echo", public, handle))
    run.line()
    others = children_of(run.pid)
    expect(len(others) >= 2, f"caisson run has no program and chamber: {others}")
    os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in others), "chamber and program end", 60)


def calls_are_refused_at_once_when_caisson_run_has_ended(home):  # [SHIM-7]
    (public, handle), _ = sealed_pairs(home)
    code = ("import signal, sys, zmq\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            f"print(zmq.curve_public({handle.encode()!r}).decode(), flush=True)\n"
            "sys.stdin.readline()\n"
            "try:\n"
            f"    print(zmq.curve_public({handle.encode()!r}).decode())\n"
            "except zmq.ZMQError:\n"
            "    print('refused')\n")
    process = subprocess.Popen([home.caisson, "--home", home.folder, "run", "--", PYTHON, "-c", code],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=home.environment)
    try:
        expect(process.stdout.readline().strip() == public, "no answer from the chamber")
        chamber, _ = chamber_and_guard_of(process)
        process.kill()
        process.wait(60)
        wait_until(lambda: not is_alive(chamber), "the chamber ends", 60)
        killed = time.monotonic()
        out, err = process.communicate("\n", timeout=60)
        expect(public not in out, f"an answer from a dead chamber: {out}")
        expect(time.monotonic() - killed < 20, "the calls waited for a dead chamber")  # shim/door.cpp gives up after 30
        expect("caisson: " in err and "chamber" in err, f"nothing told: {err}")
    finally:
        process.kill()
        process.wait()


SERVES_AND_LISTENS = """
import sys, zmq
context = zmq.Context()
public, secret, other_public, other_secret, publisher_key, publisher = (word.encode() for word in sys.argv[1:])
server, listener = context.socket(zmq.ROUTER), context.socket(zmq.SUB)
server.curve_secretkey, server.curve_publickey, server.curve_server = secret, public, True
listener.curve_secretkey, listener.curve_publickey, listener.curve_serverkey = other_secret, other_public, publisher_key
listener.subscribe(b"")
listener.connect(publisher.decode())
print(server.bind_to_random_port("tcp://127.0.0.1"), flush=True)
poller = zmq.Poller()
poller.register(server, zmq.POLLIN)
poller.register(listener, zmq.POLLIN)
newest = b"0"
while True:
    for one, _ in poller.poll():
        parts = one.recv_multipart()
        if one is listener:
            newest = parts[0][:8]
        else:
            server.send_multipart(parts + [newest])
"""


def chamber_and_guard_of(run):
    """The locked-down process of its chamber, and the guard that lets it in."""
    for child in children_of(run.pid):
        with open(f"/proc/{child}/status") as file:
            if "Seccomp:\t2" in file.read():
                return child, children_of(child)[0]
    raise Failed("caisson run has no locked-down chamber")


def a_program_goes_on_when_its_chamber_is_killed_or_hangs(home):  # [SHIM-15]
    (public, handle), (other_public, other_handle) = sealed_pairs(home)
    with zmq.Context() as context:
        publisher, (publisher_key, publisher_secret) = context.socket(zmq.PUB), zmq.curve_keypair()
        publisher.linger = 0
        publisher.curve_secretkey, publisher.curve_publickey = publisher_secret, publisher_key
        publisher.curve_server = True
        address = f"tcp://127.0.0.1:{publisher.bind_to_random_port('tcp://127.0.0.1')}"
        run = home.start_run(PYTHON, "-c", SERVES_AND_LISTENS, public, handle, other_public, other_handle,
                             publisher_key.decode(), address)
        client = context.socket(zmq.DEALER)
        client.linger = 0
        client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
        client.curve_serverkey = public.encode()
        client.connect(f"tcp://127.0.0.1:{run.line()}")
        published = 0

        def until_both_go_on(what):
            """The server answers, and says that the listener has what was published after now."""
            nonlocal published
            wanted, end = published + 1, time.monotonic() + 60
            while time.monotonic() < end:
                published += 1
                publisher.send(b"%08d" % published + bytes(published % 2000))
                client.send(what)
                while client.poll(20):
                    parts = client.recv_multipart()
                    if parts[0] == what and int(parts[1]) >= wanted:
                        return
            raise Failed(f"{what.decode()}: the program does not go on: {run.what_it_said()[-2000:]}")

        until_both_go_on(b"before")
        first, _ = chamber_and_guard_of(run)
        os.kill(first, signal.SIGKILL)
        until_both_go_on(b"after it was killed")
        second, guard = chamber_and_guard_of(run)
        expect(second != first, "it is the same chamber")
        for pid in (guard, second):  # without its guard it cannot be entered, and it cannot go on where it is
            os.kill(pid, signal.SIGSTOP)
        until_both_go_on(b"after it hung")
        expect(chamber_and_guard_of(run)[0] != second, "the chamber that hung is still there")
        expect(run.what_it_said().count("was started anew with the same keys") == 2, run.what_it_said())
        client.close()
        publisher.close()


ASKS_UNTIL_ANSWERED = """
import sys, zmq
server_key, public, secret, address = (word.encode() for word in sys.argv[1:])
client = zmq.Context().socket(zmq.DEALER)
client.linger = 0
client.curve_secretkey, client.curve_publickey, client.curve_serverkey = secret, public, server_key
client.connect(address.decode())
print("asks", flush=True)
while not client.poll(100):
    client.send(b"again")
print(client.recv().decode(), flush=True)
"""
GREETING_AND_WELCOME_BYTES = 64 + 170


class HeldReady(threading.Thread):
    """Carries connections to a server; what the first one gets behind WELCOME comes only when it is let go."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.server, self.held, self.let_go = ("127.0.0.1", port), threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.start()

    def run(self):
        while True:
            with contextlib.suppress(OSError):
                client, server = self.listener.accept()[0], socket.create_connection(self.server)
                self.connections += 1
                first = self.connections == 1
                threading.Thread(target=self.carry, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self.carry, args=(server, client, GREETING_AND_WELCOME_BYTES if first else None),
                                 daemon=True).start()

    def carry(self, source, target, at_once):
        with contextlib.suppress(OSError):
            while octets := source.recv(65536 if at_once is None else max(1, min(at_once, 65536))):
                if at_once == 0:
                    self.held.set()
                    self.let_go.wait(120)
                    at_once = None
                target.sendall(octets)
                at_once = None if at_once is None else at_once - len(octets)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def a_client_whose_chamber_dies_between_initiate_and_ready_connects_anew(home):  # [SHIM-15]
    (public, handle), _ = sealed_pairs(home)
    with zmq.Context() as context:
        server, (server_key, server_secret) = context.socket(zmq.ROUTER), zmq.curve_keypair()
        server.linger = 0
        server.curve_secretkey, server.curve_publickey, server.curve_server = server_secret, server_key, True
        between = HeldReady(server.bind_to_random_port("tcp://127.0.0.1"))
        run = home.start_run(PYTHON, "-c", ASKS_UNTIL_ANSWERED, server_key.decode(), public, handle,
                             f"tcp://127.0.0.1:{between.port}")
        expect(run.line() == "asks", "the program did not start")
        expect(between.held.wait(60), "the server sends no READY")
        os.kill(chamber_and_guard_of(run)[0], signal.SIGKILL)
        wait_until(lambda: "was started anew with the same keys" in run.what_it_said(), "the chamber is back", 60)
        between.let_go.set()
        expect(server.poll(60000), "the client never came back")
        server.send_multipart([server.recv_multipart()[0], b"answered"])
        expect(run.line() == "answered" and between.connections > 1, f"{between.connections} connections")
        server.close()


def the_program_gets_three_variables_and_what_it_had(home):  # [SHIM-11]
    sealed_pairs(home)
    home.environment["ASAN_OPTIONS"] = "verify_asan_link_order=0"  # the build under test may be one with ASan
    home.environment["LD_PRELOAD"] = "/usr/lib/x86_64-linux-gnu/libm.so.6"
    status, out, err = home.run("run", "--", "/usr/bin/env", "-0")
    expect(status == 0, f"env: {err}")
    before = home.environment
    after = dict(entry.split("=", 1) for entry in out.split("\0") if "=" in entry)
    added = {name for name in after if after[name] != before.get(name)} - {"_"}
    expect(added == {"LD_PRELOAD", "CAISSON_RING_FD", "CAISSON_RUN_PID"}, f"changed: {added}")
    first, second = after["LD_PRELOAD"].split(":")
    expect(first.endswith("/libcaisson-shim.so") and second == before["LD_PRELOAD"], after["LD_PRELOAD"])


def signals_and_exit_status_are_the_programs(home):  # [SHIM-9]
    sealed_pairs(home)
    status, out, _ = home.run("run", "--", "/bin/sh", "-c", "echo $0 \"$@\"; exit 5", "a b", "--json", "--")
    expect(status == 5 and out == "a b --json --\n", f"exit status {status}, arguments {out!r}")
    expect(home.run("run", "--", "/bin/sh", "-c", "kill -KILL $$")[0] == 137, "end by a signal")
    trap = home.start_run("/bin/sh", "-c", "trap 'echo ok; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    expect(trap.line() == "ready", "the program did not start")
    os.kill(trap.pid, signal.SIGTERM)
    expect(trap.finish()[:2] == (7, "ok\n"), "the signal was not handed on")


def what_cannot_run_says_why(home):
    status, _, err = home.run("run", "--", "/bin/true")
    expect(status == 66 and "caisson key new" in err, f"no key: {status} {err}")
    sealed_pairs(home)
    status, _, err = home.run("run", "--", "/nonexistent/program")
    expect(status == 127 and "/nonexistent/program: No such file" in err, f"no program: {status} {err}")
    status, _, err = home.run("run", "--", "/etc/passwd")
    lines = [line for line in err.splitlines() if "keys on platform" not in line]
    expect(status == 126 and len(lines) == 1, f"no program: {status} {err}")
    status, _, err = home.run("run", "--key", "none", "--", "/bin/true")
    expect(status == 66 and "key none" in err, f"no such key: {status} {err}")


def a_key_file_that_was_altered_or_comes_from_elsewhere_does_not_run(home):
    sealed_pairs(home)
    path = os.path.join(home.folder, "keys", "one.json")
    with open(path) as file:
        text = file.read()
    with open(os.path.join(home.folder, "keys", "two.json")) as file:
        other = file.read()

    def sealed_of(content):
        return content.split('"sealed": "')[1].split('"')[0]

    sealed = sealed_of(text)
    flipped = sealed[:-1] + ("0" if sealed[-1] != "0" else "1")
    for wrong in (flipped, sealed_of(other), sealed[:-2]):
        with open(path, "w") as file:
            file.write(text.replace(sealed, wrong))
        status, _, err = home.run("run", "--key", "one", "--", "/bin/true")
        expect(status == 65 and "key one" in err, f"{wrong[:8]}...: status {status}: {err}")
    with open(path, "w") as file:
        file.write(text)
    os.rename(os.path.join(home.folder, "root.key"), os.path.join(home.folder, "root.key.old"))
    status, _, err = home.run("run", "--key", "one", "--", "/bin/true")
    expect(status == 65 and "key one" in err and "another root" in err, f"another root: status {status}: {err}")


if __name__ == "__main__":
    GivenKeys.make(sys.argv[1])
    status = run_tests(sys.argv[1], [
        a_server_under_run_echoes_to_a_plain_client,
        a_client_under_run_asks_a_plain_server,
        a_publisher_under_run_reaches_a_plain_subscriber,
        a_subscriber_under_run_hears_a_plain_publisher,
        messages_of_any_size_pass_both_ways,
        a_pair_that_a_program_made_is_known_in_the_next_run,
        raw_keys_work_when_they_are_allowed_and_that_is_said,
        eight_processes_use_the_chamber_at_once,
        strangers_without_end_neither_stop_the_program_nor_a_session,
        both_ends_under_run_with_a_chamber_each,
        keys_a_program_makes_itself_work_and_children_reach_the_chamber,
        a_wrong_handle_a_raw_secret_and_a_key_not_chosen_are_refused,
        # A sanitizer's own memory takes minutes to look through; planted_key.py does it for every build.
        *([no_copy_of_the_secret_is_in_the_program_or_in_caisson_run] if COUNT >= 2000 else []),
        chamber_and_program_end_when_caisson_run_is_killed,
        calls_are_refused_at_once_when_caisson_run_has_ended, a_program_goes_on_when_its_chamber_is_killed_or_hangs,
        a_client_whose_chamber_dies_between_initiate_and_ready_connects_anew,
        the_program_gets_three_variables_and_what_it_had,
        signals_and_exit_status_are_the_programs,
        what_cannot_run_says_why,
        a_key_file_that_was_altered_or_comes_from_elsewhere_does_not_run,
    ])
    GivenKeys.remove()
    sys.exit(status)
