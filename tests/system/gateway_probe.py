#!/usr/bin/python3
"""How a CURVE server treats unusual but well-encrypted input: `gateway_probe.py CAISSON docs/spec/curve.md`.

A raw ZMTP and CURVE client of its own plays 33 variations against libzmq and against `caisson gateway`, each before a
DEALER that echoes. What differs must be what the table of docs/spec/curve.md lists. [ZMTP-2] [ZMTP-5] [CURVE-6] [CURVE-12]
[CURVE-13] [CURVE-15] [CURVE-16]
"""
import concurrent.futures
import ctypes
import ctypes.util
import os
import re
import socket
import struct
import sys
import threading

import zmq
from zmq.utils import z85

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import expect, run_tests, wait_until  # noqa: E402

SILENCE_S = 1.0
LONG_SILENCE_S = 15.0  # for the cases that came out otherwise than listed: the machine may be busy
sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
sodium.sodium_init()
SIZE = ctypes.c_ulonglong


def seal(m, n, pk, sk):
    c = ctypes.create_string_buffer(len(m) + 16)
    assert sodium.crypto_box_easy(c, m, SIZE(len(m)), n, pk, sk) == 0
    return c.raw


def opened(c, n, pk, sk):
    m = ctypes.create_string_buffer(max(1, len(c) - 16))
    return m.raw[: len(c) - 16] if sodium.crypto_box_open_easy(m, c, SIZE(len(c)), n, pk, sk) == 0 else None


def keypair():
    a, b = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
    sodium.crypto_box_keypair(a, b)
    return a.raw, b.raw


def short(prefix, i):
    return prefix + struct.pack(">Q", i)


def prop(name, value):
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


DEALER = prop(b"Socket-Type", b"DEALER")


class Refused(Exception):
    pass


class Peer:
    def __init__(self, host, port, server_key, silence=SILENCE_S):
        self.S = server_key
        self.s = socket.create_connection((host, port))
        self.s.settimeout(silence)

    def rx(self, n):
        b = b""
        while len(b) < n:
            d = self.s.recv(n - len(b))
            if not d:
                raise EOFError
            b += d
        return b

    def frame(self):
        f = self.rx(1)[0]
        return f, self.rx(struct.unpack(">Q", self.rx(8))[0] if f & 2 else self.rx(1)[0])

    def send(self, body, flags=4, force_long=False):
        if len(body) > 255 or force_long:
            self.s.sendall(bytes([flags | 2]) + struct.pack(">Q", len(body)) + body)
        else:
            self.s.sendall(bytes([flags, len(body)]) + body)

    def greet(self, mech=b"CURVE", minor=1, as_server=0, padding=b"\0" * 8):
        self.s.sendall(b"\xff" + padding + b"\x7f\x03" + bytes([minor]) + mech.ljust(20, b"\0") + bytes([as_server]) + b"\0" * 31)
        return self.rx(64)

    def handshake(self, pad=b"\0" * 72, hello_n=1, init_n=2, vouch_S=None, vouch_C=None, meta=DEALER, hello_flags=4,
                  bend_cookie=False, other_cookie=None, greet=None, force_long=False, zeros=b"\0" * 64, version=b"\1\0"):
        self.greet(**(greet or {}))
        self.Cp, self.cs = keypair()
        C, c = keypair()
        self.send(b"\x05HELLO" + version + pad + self.Cp + struct.pack(">Q", hello_n)
                  + seal(zeros, short(b"CurveZMQHELLO---", hello_n), self.S, self.cs), hello_flags, force_long)
        f, w = self.frame()
        if w[:8] != b"\x07WELCOME":
            raise Refused
        p = opened(w[24:], b"WELCOME-" + w[8:24], self.S, self.cs)
        self.Sp, self.cookie = p[:32], p[32:]
        cookie = other_cookie or self.cookie
        if bend_cookie:
            cookie = cookie[:-1] + bytes([cookie[-1] ^ 1])
        vn = os.urandom(16)
        vouch = vn + seal((vouch_C or self.Cp) + (vouch_S or self.S), b"VOUCH---" + vn, self.Sp, c)
        self.send(b"\x08INITIATE" + cookie + struct.pack(">Q", init_n)
                  + seal(C + vouch + meta, short(b"CurveZMQINITIATE", init_n), self.Sp, self.cs))
        f, r = self.frame()
        if r[:6] != b"\x05READY":
            raise Refused
        self.n = init_n
        return self

    def message(self, n, data, inner=0, outer=0, bend=False, prefix=b"CurveZMQMESSAGEC"):
        b = b"\x07MESSAGE" + struct.pack(">Q", n) + seal(bytes([inner]) + data, short(prefix, n), self.Sp, self.cs)
        self.send(b[:-1] + bytes([b[-1] ^ 1]) if bend else b, outer)

    def outcome(self, expect):
        try:
            while True:
                f, b = self.frame()
                if b[:8] != b"\x07MESSAGE":
                    continue
                m = opened(b[16:], b"CurveZMQMESSAGES" + b[8:16], self.Sp, self.cs)
                if m is not None and m[1:] == expect:
                    return "echoed"
        except socket.timeout:
            return "silent"
        except (EOFError, ConnectionError):
            return "closed"


def outcomes_of(target, silence=SILENCE_S, only=None):
    """{case: echoed, silent, closed or refused}"""
    found = {}

    def fresh():
        return Peer(*target, silence)

    def case(name, body):
        if only is not None and name not in only:
            return
        try:
            found[name] = body()
        except (Refused, EOFError, ConnectionError, socket.timeout):
            found[name] = "refused"

    def hs(**kw):
        def go():
            p = fresh().handshake(**kw)
            p.message(p.n + 1, b"x")
            return p.outcome(b"x")
        return go

    def msg(*steps, expect=b"y"):
        def go():
            p = fresh().handshake()
            for args in steps:
                p.message(*args[:2], **(args[2] if len(args) > 2 else {}))
            return p.outcome(expect)
        return go

    def raw(body, flags=0):
        def go():
            p = fresh().handshake()
            p.send(body, flags)
            return p.outcome(b"never")
        return go

    case("baseline", hs())
    case("greeting: minor version 0", hs(greet={"minor": 0}))
    case("greeting: as-server bit set by the client", hs(greet={"as_server": 1}))
    case("greeting: junk padding", hs(greet={"padding": b"\x11" * 7 + b"\x01"}))
    case("greeting: mechanism NULL", hs(greet={"mech": b"NULL"}))
    case("HELLO: padding not zero", hs(pad=b"\x55" * 72))
    case("HELLO: signature box holds other than zeros", hs(zeros=b"\x01" * 64))
    case("HELLO: version 1.1", hs(version=b"\1\1"))
    case("HELLO: sent as message frame", hs(hello_flags=0))
    case("HELLO: long size field", hs(force_long=True))
    case("INITIATE: nonce lower than HELLO's", hs(hello_n=9, init_n=2))
    case("INITIATE: nonce equal to HELLO's", hs(hello_n=2, init_n=2))
    case("INITIATE: cookie changed by one bit", hs(bend_cookie=True))

    def stolen_cookie():
        a = fresh()
        try:
            a.handshake(bend_cookie=True)
        except (Refused, EOFError, ConnectionError, socket.timeout):
            pass
        return hs(other_cookie=a.cookie)()
    case("INITIATE: cookie of another connection", stolen_cookie)
    case("INITIATE: vouch names another server key", hs(vouch_S=os.urandom(32)))
    case("INITIATE: vouch names another transient key", hs(vouch_C=os.urandom(32)))
    case("metadata: lower-case name", hs(meta=prop(b"socket-type", b"DEALER")))
    case("metadata: no Socket-Type", hs(meta=b""))
    case("metadata: incompatible Socket-Type", hs(meta=prop(b"Socket-Type", b"SUB")))
    case("metadata: zero-length name", hs(meta=DEALER + prop(b"", b"x")))
    case("metadata: one stray octet at the end", hs(meta=DEALER + b"\0"))
    case("metadata: 300 octets of X- properties", hs(meta=DEALER + prop(b"X-a", b"v" * 292)))
    case("MESSAGE: as command frame", msg((3, b"y", {"outer": 4})))
    case("MESSAGE: outer MORE set, inner clear", msg((3, b"y", {"outer": 1})))
    case("MESSAGE: reserved inner flag bits set", msg((3, b"y", {"inner": 0xF8})))
    case("MESSAGE: nonce gap", msg((3, b"a"), (1000, b"y")))
    case("MESSAGE: nonce repeated", msg((3, b"a"), (3, b"y")))
    case("MESSAGE: nonce lower", msg((9, b"a"), (8, b"y")))
    case("MESSAGE: nonce above 2^63", msg(((1 << 63) + 5, b"y")))
    case("MESSAGE: wrong direction prefix", msg((3, b"y", {"prefix": b"CurveZMQMESSAGES"})))
    case("MESSAGE: bad tag", msg((3, b"y", {"bend": True})))
    case("MESSAGE: 32 octets (no flags octet)", raw(b"\x07MESSAGE" + struct.pack(">Q", 3) + b"\0" * 16))
    case("HELLO again after READY", raw(b"\x05HELLO" + b"\0" * 194, 4))
    return found


class Echo:
    """A DEALER that sends back what it gets."""

    def __init__(self, endpoint, secret=None):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        if secret:
            self.socket.curve_server, self.socket.curve_secretkey = True, secret
        self.socket.bind(endpoint)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            if self.socket.poll(100):
                self.socket.send_multipart(self.socket.recv_multipart())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.context.destroy(linger=0)


def listed(page):
    """{case: (libzmq's outcome, the gateway's)} of the table in docs/spec/curve.md."""
    with open(page) as file:
        section = file.read().split("## Where the gateway differs from libzmq")[1]
    rows = re.findall(r"^\| (\S[^|]*?) \| (\w+) \| (\w+) \| ([^|]+) \|$", section, re.MULTILINE)
    return {name: (theirs, ours) for name, theirs, ours, _why in rows if name != "case"}


def every_difference_from_libzmq_is_listed_with_its_reason(home):
    public, secret = zmq.curve_keypair()
    their_port = free_port()
    key = home.facts("key", "new", "probed", "--ungated")["public_key"]
    port = free_port()
    config = os.path.join(home.folder, "gateway.toml")
    with open(config, "w") as file:
        file.write(f'[[listener]]\nname = "probed"\nlisten = "tcp://127.0.0.1:{port}"\n'
                   f'backend = "ipc://{home.folder}/echo.ipc"\nkey = "probed"\n')
    known = listed(sys.argv[2])
    with Echo(f"ipc://{home.folder}/echo.ipc"), Echo(f"tcp://127.0.0.1:{their_port}", secret):
        home.start(home.caisson, "--home", home.folder, "gateway", config)
        wait_until(lambda: listens(port), "the gateway listens", 60)
        targets = (("127.0.0.1", their_port, z85.decode(public)), ("127.0.0.1", port, z85.decode(key.encode())))

        def both(*how):
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                return list(pool.map(lambda target: outcomes_of(target, *how), targets))

        def otherwise():
            """{case: ((theirs, ours), what is listed)}"""
            return {name: ((theirs.get(name), ours.get(name)), known.get(name)) for name in {*theirs, *known}
                    if (theirs.get(name), ours.get(name)) != known.get(name, (theirs.get(name),) * 2)}
        theirs, ours = both()
        if otherwise():
            for found, again in zip((theirs, ours), both(LONG_SILENCE_S, otherwise())):
                found.update(again)
    expect(len(ours) == 33 and theirs["baseline"] == ours["baseline"] == "echoed", f"{len(ours)} cases: {ours}")
    expect(not otherwise(), f"(seen, listed) differ: {otherwise()}")
    expect(all(theirs != ours for theirs, ours in known.values()), "a case is listed that is no difference")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [every_difference_from_libzmq_is_listed_with_its_reason]))
