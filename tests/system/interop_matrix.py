#!/usr/bin/python3
"""Our CURVE against other people's, every socket type, both roles: `interop_matrix.py CAISSON WAY [PROGRAM]
[--long | --short]`. Long: 64 MiB over every pair of types. Short: 64 MiB with libzmq alone.

WAY says where we stand: `direct` (nowhere: the peers among themselves, the control), `gateway-server` (a plain program
behind our gateway), `gateway-client` (a plain program that goes out through our gateway), `run-server`, `run-client`
(an unmodified program under `caisson run`), `library-server`, `library-client` (a socket of libcaisson, in the program
that follows). The other end is libzmq's C API, pyzmq, czmq and npm's zeromq by turns.
"""
import os
import shutil
import socket
import subprocess
import sys

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from home import Failed, PYTHON, expect, home_for, time, wait_until  # noqa: E402

PEERS = os.path.join(HERE, "interop")
BUILD = os.path.join(os.environ.get("CAISSON_CACHE") or os.path.join(HERE, "..", "..", "build"), "interop")
ZEROMQ_JS = "zeromq@6.8.0"
PAIRS = (("REP", "REQ"), ("ROUTER", "DEALER"), ("PUB", "SUB"), ("XPUB", "XSUB"), ("PULL", "PUSH"), ("PAIR", "PAIR"))
SIZES = ["0", "1,0,255", "256,65539", "1048576"]
LARGE_PAIR, LARGE_SIZES = ("ROUTER", "DEALER"), ["67108864"]


class Language:
    """How a peer is started; `unmodified` says that it takes its libsodium where `caisson run` can stand before it."""

    def __init__(self, name, words, environment=None):
        self.name = name
        self.words = words
        self.environment = environment or {}


def compiled(name, packages):
    """The C peer, built once."""
    program, source = os.path.join(BUILD, name), os.path.join(PEERS, f"{name}.c")
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", *packages], capture_output=True, text=True,
                               check=True).stdout.split()
        os.makedirs(BUILD, exist_ok=True)
        subprocess.run(["gcc-12", "-O1", "-o", program, source, *flags], check=True)
    return program


def node_modules():
    """npm's zeromq, installed once."""
    folder = os.path.join(BUILD, "node_modules")
    if not os.path.isdir(os.path.join(folder, "zeromq")):
        os.makedirs(BUILD, exist_ok=True)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", BUILD, ZEROMQ_JS],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=180)
        expect(done.returncode == 0, f"npm cannot install {ZEROMQ_JS}: {done.stderr}")
    return folder


def languages():
    return [Language("libzmq", [compiled("peer_libzmq", ["libzmq"])]),
            Language("pyzmq", [PYTHON, "-B", os.path.join(PEERS, "peer.py")]),
            Language("czmq", [compiled("peer_czmq", ["libczmq", "libzmq"])]),
            Language("npm", [shutil.which("node") or "node", os.path.join(PEERS, "peer.cjs")],
                     {"NODE_PATH": node_modules()})]


class Peer:
    """One peer process: lines it prints, and the line that ends it."""

    def __init__(self, words, environment=None):
        self.words = words
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env={**os.environ, **(environment or {})})

    def line(self, expected):
        line = self.process.stdout.readline().strip()
        if not line.startswith(expected):
            try:
                status = f"status {self.process.wait(0 if line else 5)}"
            except subprocess.TimeoutExpired:
                status = "still there"
                self.process.kill()
            raise Failed(f"{' '.join(self.words[:6])}: {status}, printed {line!r}, expected {expected!r}: "
                         f"{self.process.stderr.read()}")

    def tell(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def exchange(server_words, client_words, kind, start_server=None):
    """Runs both peers through their messages. Each is (words, environment)."""
    server = Peer(*server_words)
    try:
        server.line("bound")
        client = Peer(*client_words)
        try:
            if kind in ("PUB", "XPUB"):
                client.line("hello")
                server.tell()
            client.line("ok")
            server.line("ok")
            for peer in (client, server):
                peer.tell()
                peer.process.wait(20)
        finally:
            client.end()
    finally:
        server.end()


def key_pair():
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class World:
    """The keys of both ends, and for a gateway the gateway itself with a place for each pair of types."""

    def __init__(self, home, way, library_peer):
        self.home = home
        self.way = way
        self.library_peer = library_peer
        self.server_public, self.server_secret = key_pair()
        self.client_public, self.client_secret = key_pair()
        ours = {f"{kind}-{role}": role for kind in ("gateway", "run", "library") for role in ("server", "client")}
        self.ours = ours.get(way)
        if self.ours:
            facts = home.facts("key", "new", self.ours, "--ungated")
            setattr(self, f"{self.ours}_public", facts["public_key"])
            setattr(self, f"{self.ours}_secret", facts["handle"])
        self.ports = {pair: free_port() for pair in PAIRS}
        if way.startswith("gateway"):
            self.start_gateway()

    def plain(self, pair):
        return f"ipc://{self.home.folder}/{'-'.join(pair)}.ipc"

    def curve(self, pair):
        return f"tcp://127.0.0.1:{self.ports[pair]}"

    def start_gateway(self):
        config = os.path.join(self.home.folder, "gateway.toml")
        with open(config, "w", encoding="ascii") as file:
            for pair in PAIRS:
                name = f'name = "{"-".join(pair)}"\nkey = "{self.ours}"\n'
                if self.ours == "server":
                    file.write(f'[[listener]]\n{name}listen = "{self.curve(pair)}"\nbackend = "{self.plain(pair)}"\n')
                else:
                    file.write(f'[[connector]]\n{name}listen = "{self.plain(pair)}"\nconnect = "{self.curve(pair)}"\n'
                               f"server_key = '{self.server_public}'\n")
        self.gateway = self.home.start(self.home.caisson, "--home", self.home.folder, "gateway", config)
        wait_until(self.listens, "the gateway listens", 30)

    def listens(self):
        expect(self.gateway.process.poll() is None, "the gateway has ended")
        if self.ours == "client":
            return all(os.path.exists(self.plain(pair)[6:]) for pair in PAIRS)
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[PAIRS[-1]])) == 0

    def end_words(self, language, role, pair, sizes):
        """(words, environment) of the peer in that role: ours in pyzmq or C, the other in `language`."""
        kind = pair[0] if role == "server" else pair[1]
        is_ours = self.ours == role
        ours = (Language("libzmq", [compiled("peer_libzmq", ["libzmq"])]) if self.way.startswith("gateway") else
                Language("pyzmq", [PYTHON, "-B", os.path.join(PEERS, "peer.py")]))
        chosen = ours if is_ours else language
        if is_ours and self.way.startswith("gateway"):
            place, keys = self.plain(pair), []
        elif role == "server":
            place, keys = self.curve(pair), [self.server_secret]
        else:
            place, keys = self.curve(pair), [self.server_public, self.client_public, self.client_secret]
        if is_ours and self.way.startswith("library"):
            keys = [*([] if role == "server" else [self.server_public]), self.home.folder, self.ours]
            images = {"CAISSON_IMAGES": os.path.dirname(self.home.caisson)}
            return [self.library_peer, kind, role, place, *keys, "--sizes", *sizes], images
        words = [*chosen.words, kind, role, place, *keys, "--sizes", *sizes]
        if is_ours and self.way.startswith("run"):
            words = [self.home.caisson, "--home", self.home.folder, "run", "--key", self.ours, "--", *words]
        return words, chosen.environment

    def play(self, language, pair, sizes):
        exchange(self.end_words(language, "server", pair, sizes), self.end_words(language, "client", pair, sizes),
                 pair[0])


def rows(is_long, is_short):
    for language in languages():
        for pair in PAIRS:
            yield language, pair, SIZES + (LARGE_SIZES if is_long else [])
        if not is_long and (language.name == "libzmq" or not is_short):
            yield language, LARGE_PAIR, LARGE_SIZES


def main():
    caisson, way, *more = sys.argv[1:]
    failed = 0
    with home_for(caisson) as home:
        world = World(home, way, next((word for word in more if not word.startswith("--")), None))
        for language, pair, sizes in rows("--long" in more, "--short" in more):
            began = time.monotonic()
            try:
                world.play(language, pair, sizes)
                verdict = "ok   "
            except (Failed, subprocess.SubprocessError, OSError) as error:
                failed += 1
                verdict = f"FAIL ({error})"
            print(f"{way:<15} {language.name:<7} {pair[0]:>6} {pair[1]:<7} {time.monotonic() - began:5.1f} s  {verdict}",
                  flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
