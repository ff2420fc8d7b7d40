#!/usr/bin/python3
"""How many copies of CURVE secrets lie in memory with many connections: `keys_in_memory.py CAISSON [CONNECTIONS]`.

A client of its own opens the connections, so the session keys are known beside the long-term secret, and both are looked
for in every process of a side: behind `caisson gateway`, under `caisson run`, and, as the control, in a plain libzmq
program. At one connection, at all of them, and after they were closed. Ours is the server's side, and the client's with
its long-term secret alone: libzmq, its peer there, does not tell the session keys.
"""
import os
import resource
import subprocess
import sys
import tempfile

import zmq
from zmq.utils import z85

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "../../tools"))
from gateway_probe import Peer, free_port, listens, sodium  # noqa: E402
from home import PYTHON, children_of, expect, run_tests, wait_until  # noqa: E402
from memory_scan import readable_mappings  # noqa: E402
import ctypes  # noqa: E402

CONNECTIONS = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[1] not in ("serve", "talk") else 1000
CHUNK_BYTES = 16 << 20
LONG_ENOUGH = range(24, 7, -1)  # octets of a key by which it is known, of those that are no end of a line


def serve(kind, endpoint, secret):
    """A process of its own: a DEALER that echoes; with a secret, a CURVE server."""
    raise_files()
    one = zmq.Context().socket(getattr(zmq, kind))
    one.backlog = 4096
    if secret:
        one.curve_server, one.curve_secretkey = True, secret.encode()
    one.bind(endpoint)
    print("ready", flush=True)
    while True:
        one.send_multipart(one.recv_multipart())


def talk(steps, endpoint, server_public, public, secret):
    """A process of its own: for each line of the pipe `steps` so many DEALERs in all, each answered once."""
    raise_files()
    context = zmq.Context()
    context.max_sockets = 4096
    clients = []
    for line in open(steps):
        while len(clients) < int(line):
            clients.append(context.socket(zmq.DEALER))
            if secret:
                clients[-1].curve_serverkey = server_public.encode()
                clients[-1].curve_publickey, clients[-1].curve_secretkey = public.encode(), secret.encode()
            clients[-1].connect(endpoint)
            clients[-1].send(b"hello")
            expect(clients[-1].poll(20000) and clients[-1].recv() == b"hello", "no echo")
        while len(clients) > int(line):
            clients.pop().close(linger=0)
        print("done", flush=True)


def raise_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Connections:
    """Open sessions of a raw client, and their keys."""

    def __init__(self, port, server_key):
        self.target = ("127.0.0.1", port, server_key, 60)
        self.peers = []

    def open_to(self, count):
        while len(self.peers) < count:
            peer = Peer(*self.target).handshake()
            peer.message(peer.n + 1, b"hello")
            expect(peer.outcome(b"hello") == "echoed", "no answer")
            self.peers.append(peer)

    def session_keys(self):
        keys = []
        for peer in self.peers:
            key = ctypes.create_string_buffer(32)
            expect(sodium.crypto_box_beforenm(key, peer.Sp, peer.cs) == 0, "no session key")
            keys.append(key.raw)
        return keys

    def close(self):
        for peer in self.peers:
            peer.s.close()


def part_of(key):
    """As much of a key as stands in a line of a file of patterns."""
    for size in LONG_ENOUGH:
        for at in range(len(key) - size + 1):
            part = key[at:at + size]
            if b"\n" not in part and b"\0" not in part:
                return part
    raise AssertionError("a key of line ends")


def copies(pids, patterns):
    """How often one of the patterns stands in the memory of these processes that the kernel shows."""
    with tempfile.NamedTemporaryFile() as file, tempfile.NamedTemporaryFile() as found:
        file.write(b"\n".join(part_of(pattern) for pattern in patterns))
        file.flush()
        grep = subprocess.Popen(["grep", "--text", "--only-matching", "--fixed-strings", "--file", file.name],
                                stdin=subprocess.PIPE, stdout=found, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
        for pid in pids:
            give_memory(pid, grep.stdin)
        grep.stdin.close()
        expect(grep.wait(60) in (0, 1), "grep failed")  # 1: nothing is there
        with open(found.name, "rb") as lines:
            return lines.read().count(b"\n")


def give_memory(pid, pipe):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, _name in readable_mappings(pid):
            for at in range(start, end, CHUNK_BYTES):
                try:
                    memory.seek(at)
                    block = memory.read(min(CHUNK_BYTES + 31, end - at))
                except (OSError, ValueError, OverflowError):
                    continue  # refused by the kernel
                pipe.write(block + b"\n")


def every_child(pid):
    found = [pid]
    for one in found:
        found += children_of(one)
    return found


def watch(port, public, secret, pids, closed):
    """[(connections, copies of the long-term secret, copies of session keys)] at one, at all, and after the close."""
    connections = Connections(port, z85.decode(public.encode()))
    seen = []

    def look(count):
        keys = connections.session_keys()
        text = secret.encode()
        raw = z85.decode(text)
        seen.append((count, copies(pids(), [raw, text, raw.hex().encode()]), copies(pids(), keys)))
    connections.open_to(1)
    look(1)
    connections.open_to(CONNECTIONS)
    look(CONNECTIONS)
    connections.close()
    closed()
    look(0)
    return seen


def told(name, seen):
    print("      " + name + ": " + "; ".join(
        f"{'closed' if count == 0 else f'{count} open'}: {long_term} long-term, {sessions} session"
        for count, long_term, sessions in seen))


def imported(home):
    """A key pair made outside, and its handle in the chamber: a secret to look for."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    handle = home.facts("key", "import", "known", "--raw-z85", "-", "--ungated", stdin=secret)["handle"]
    return public, secret, handle


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def the_gateway_and_the_program_behind_it_hold_no_copy(home):
    public, secret, _handle = imported(home)
    port = free_port()
    config = os.path.join(home.folder, "gateway.toml")
    backend = f"ipc://{home.folder}/app"
    with open(config, "w") as file:
        file.write(f'[[listener]]\nname = "known"\nlisten = "tcp://127.0.0.1:{port}"\nbackend = "{backend}"\n'
                   f'key = "known"\n')
    program = home.start(PYTHON, "-B", __file__, "serve", "ROUTER", backend, "")
    program.line()
    gateway = home.start(home.caisson, "--home", home.folder, "gateway", config)
    wait_until(lambda: listens(port), "the gateway listens", 60)
    idle = descriptors(gateway.pid)
    seen = watch(port, public, secret, lambda: [*every_child(gateway.pid), program.pid],
                 lambda: wait_until(lambda: descriptors(gateway.pid) <= idle + 4, "the sessions end", 60))
    told("caisson gateway", seen)
    expect(all(line[1:] == (0, 0) for line in seen), f"copies: {seen}")


def a_program_under_run_and_caisson_run_hold_no_copy(home):
    public, secret, handle = imported(home)
    port = free_port()
    run = home.start_run(PYTHON, "-B", __file__, "serve", "ROUTER", f"tcp://127.0.0.1:{port}", handle)
    run.line()
    idle = max(descriptors(pid) for pid in every_child(run.pid))
    seen = watch(port, public, secret, lambda: every_child(run.pid),
                 lambda: wait_until(lambda: max(descriptors(pid) for pid in every_child(run.pid)) <= idle + 4,
                                    "the sessions end", 60))
    told("caisson run", seen)
    expect(all(line[1:] == (0, 0) for line in seen), f"copies: {seen}")


def plain_server(home, port, secret):
    program = subprocess.Popen([PYTHON, "-B", __file__, "serve", "ROUTER", f"tcp://127.0.0.1:{port}", "raw"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home.environment)
    program.stdin.write(secret + "\n")
    program.stdin.flush()
    program.stdout.readline()
    return program


def long_term_copies(secret, pids, program, steps):
    """At one connection, at all of them, and after they were closed."""
    text = secret.encode()
    forms = [z85.decode(text), text, z85.decode(text).hex().encode()]
    counts = []
    with open(steps, "w", buffering=1) as pipe:
        for connections in (1, CONNECTIONS, 0):
            print(connections, file=pipe)
            expect(program.line() == "done", "not connected")
            counts.append(copies(pids(), forms))
    return counts


def the_clients_side_holds_no_copy(home):
    server_public, server_secret = (key.decode() for key in zmq.curve_keypair())
    public, secret, handle = imported(home)
    port = free_port()
    target, listen = f"tcp://127.0.0.1:{port}", f"ipc://{home.folder}/clients"
    config = os.path.join(home.folder, "clients.toml")
    with open(config, "w") as file:
        file.write(f'[[connector]]\nname = "known"\nlisten = "{listen}"\nconnect = "{target}"\nkey = "known"\n'
                   f"server_key = '{server_public}'\n")
    steps = os.path.join(home.folder, "steps")
    os.mkfifo(steps)
    server = plain_server(home, port, server_secret)
    try:
        gateway = home.start(home.caisson, "--home", home.folder, "gateway", config)
        wait_until(lambda: os.path.exists(listen[6:]), "the gateway listens", 60)
        plain = home.start(PYTHON, "-B", __file__, "talk", steps, listen, "", "", "")
        behind = long_term_copies(secret, lambda: [*every_child(gateway.pid), plain.pid], plain, steps)
        run = home.start_run(PYTHON, "-B", __file__, "talk", steps, target, server_public, public, handle)
        under = long_term_copies(secret, lambda: every_child(run.pid), run, steps)
    finally:
        server.kill()
        server.communicate()
    print(f"      long-term, 1 open, {CONNECTIONS} open, closed: caisson gateway {behind}; caisson run {under}")
    expect(behind == under == [0, 0, 0], f"copies: {behind}, {under}")


def plain_libzmq_holds_thousands(home):
    """The control: the search finds what is there."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    port = free_port()
    program = plain_server(home, port, secret)
    try:
        idle = descriptors(program.pid)
        seen = watch(port, public, secret, lambda: [program.pid],
                     lambda: wait_until(lambda: descriptors(program.pid) <= idle + 4, "the sessions end", 60))
    finally:
        program.kill()
        program.communicate()
    told("libzmq", seen)
    expect(seen[0][1] >= 1 and seen[0][2] >= 1, f"one connection: {seen}")
    expect(seen[1][1] >= CONNECTIONS and seen[1][2] >= CONNECTIONS, f"all of them: {seen}")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        raw = sys.stdin.readline().strip() if sys.argv[4] == "raw" else sys.argv[4]
        sys.exit(serve(sys.argv[2], sys.argv[3], raw))
    if sys.argv[1] == "talk":
        sys.exit(talk(*sys.argv[2:]))
    raise_files()
    sys.exit(run_tests(sys.argv[1], [
        the_gateway_and_the_program_behind_it_hold_no_copy,
        a_program_under_run_and_caisson_run_hold_no_copy,
        the_clients_side_holds_no_copy,
        plain_libzmq_holds_thousands,
    ]))
