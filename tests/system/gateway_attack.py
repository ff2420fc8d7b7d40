#!/usr/bin/python3
"""Many idle clients of a gateway, honest ones that talk, and one attacker: `gateway_attack.py CAISSON [IDLE]`.

With IDLE (10000 is the whole test) the honest clients' p99 beside an attacker must be within 1.5 times of that of the
same run without one; the attacker has a machine of his own in reality, so his program gets here what time the others
leave. It says as well how it is beside an attacker who attacks a program that only accepts and closes: what his own work
costs on this machine. Without IDLE the test is a short one with few idle clients and asserts no time, only that nobody
honest loses a message or a session.
"""
import os
import random
import resource
import socket
import sys
import time

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway_routes import Gateway  # noqa: E402
from home import PYTHON, expect, run_tests, wait_until  # noqa: E402

SHORT_IDLE = 200
TRIPS = {True: 300, False: 2000}
ROUNDS = {True: 1, False: 5}
P99_RATIO_MAX = 1.5
PORTS_OF_AN_ADDRESS = 10000
AT_ONCE = 256  # handshakes: whoever waits for longer than 30 s is closed, and one process makes all of them
DESCRIPTORS_BESIDE = 600  # of the gateway: itself, the attacker's connections
ATTACKER = "127.0.0.66"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)


def idle_clients(port, key, count):
    """A process of its own: connections that are opened, authenticated and then say nothing."""
    raise_files()
    client = zmq.Context().socket(zmq.ROUTER)
    client.setsockopt(zmq.PROBE_ROUTER, 1)
    client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
    client.curve_serverkey = key.encode()
    events, opened = client.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED), 0
    for number in range(count):
        client.connect(f"tcp://127.0.1.{1 + number // PORTS_OF_AN_ADDRESS}:0;127.0.0.1:{port}")
        while opened <= number - AT_ONCE:
            events.recv_multipart()
            opened += 1
    print("ready", flush=True)
    time.sleep(3600)


def raise_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def idle_that_fit(wanted):
    """A gateway needs two descriptors for each: what this machine's hard limit allows."""
    fitting = (raise_files() - DESCRIPTORS_BESIDE) // 2
    if fitting < wanted:
        print(f"      {fitting} idle clients of {wanted}: the hard limit of descriptors permits no more", flush=True)
    return min(wanted, fitting)


def backend(endpoint):
    """Echoes; what a probe brings is empty and is not answered."""
    raise_files()
    router = zmq.Context().socket(zmq.ROUTER)
    router.setsockopt(zmq.BACKLOG, 4096)
    router.bind(endpoint)
    print("ready", flush=True)
    while True:
        parts = router.recv_multipart()
        if parts[-1]:
            router.send_multipart(parts)


def attack(port, hello):
    """Garbage, half handshakes, replayed HELLOs and slow bytes, as fast as one process can, until it is ended."""
    # Of another machine, and so never in the way of whoever wakes here: a nice process may end its slice first.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    port, hello, dice, slow = int(port), bytes.fromhex(hello), random.Random(1), []
    print("ready", flush=True)
    while True:
        stranger = socket.socket()
        stranger.settimeout(0.05)
        try:
            stranger.bind((ATTACKER, 0))
            stranger.connect(("127.0.0.1", port))
            turn = dice.randrange(6)
            if turn == 0:
                stranger.sendall(dice.randbytes(200))
            elif turn == 1:
                stranger.sendall(GREETING[:dice.randrange(64)])
            elif turn == 2:
                stranger.sendall(GREETING + hello)
                stranger.recv(4096)
            elif turn == 3:
                stranger.sendall(GREETING + hello + b"\x06" + (300).to_bytes(8, "big") + b"\x08INITIATE" + bytes(291))
            elif turn == 4:
                stranger.sendall(GREETING + b"\x06" + (1 << 40).to_bytes(8, "big"))
            else:
                slow.append(stranger)
                stranger = None
            for one in slow:
                one.send(b"\xff")
            if len(slow) > 40:
                slow.pop(0).close()
        except OSError:
            slow = slow[-20:]
        if stranger is not None:
            stranger.close()


def sink():
    """What no attack costs anything: connections are accepted and closed."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listening.getsockname()[1], flush=True)
    while True:
        listening.accept()[0].close()


def record_hello(gateway, port, key):
    """A well-formed HELLO for this server, caught on its way from a libzmq client."""
    catcher = socket.socket()
    catcher.bind(("127.0.0.1", 0))
    catcher.listen()
    catcher.settimeout(10)
    client = gateway.curve_client(zmq.DEALER, key, f"tcp://127.0.0.1:{catcher.getsockname()[1]}")
    caught = catcher.accept()[0]
    caught.settimeout(10)
    caught.sendall(GREETING)
    octets = b""
    while len(octets) < 64 + 202:
        octets += caught.recv(4096)
    client.close()
    caught.close()
    catcher.close()
    expect(octets[64:72] == b"\x04\xc8\x05HELLO", "no HELLO was caught")
    return octets[64:64 + 202]


def p99(client, trips):
    times = []
    for number in range(trips):
        began = time.perf_counter()
        client.send(b"%d" % number)
        expect(client.recv() == b"%d" % number, "another answer")
        times.append(time.perf_counter() - began)
    return sorted(times)[trips * 99 // 100]


def start(home, gateway, idle):
    key = gateway.key("front")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    behind = home.start(PYTHON, __file__, "backend", gateway.ipc("app"))
    expect(behind.line() == "ready", "no back end")
    gateway.start(f'connections_max = 10240\n[[listener]]\nname = "in"\nlisten = "tcp://127.0.0.1:{port}"\n'
                  f'backend = "{gateway.ipc("app")}"\nkey = "front"\n')
    wait_until(lambda: os.path.isdir(os.path.join(home.folder, "gateway")) and
               os.listdir(os.path.join(home.folder, "gateway")), "the gateway", 30)
    idlers = home.start(PYTHON, __file__, "idle", str(port), key, str(idle))
    expect(idlers.line() == "ready", "no idle clients")  # all but the last few are in
    wait_until(lambda: gateway.metric("sessions_open", "in") >= idle, f"{idle} idle sessions", 30 + idle / 20)
    return port, key


def honest_clients_notice_nothing_of_an_attacker(home):  # [GATE-3] [GATE-7]
    short = IDLE is None
    idle, began = idle_that_fit(IDLE or SHORT_IDLE), time.monotonic()
    with Gateway(home) as gateway:
        port, key = start(home, gateway, idle)
        print(f"      {idle} idle clients are in after {time.monotonic() - began:.0f} s", flush=True)
        client = gateway.curve_client(zmq.DEALER, key, f"tcp://127.0.0.1:{port}")
        p99(client, 100)
        hello = record_hello(gateway, port, key)

        def refused():
            return sum(gateway.metric("ended_total", "in", reason=reason)
                       for reason in ("no_zmtp", "bad_handshake", "closed", "too_large", "too_many"))

        elsewhere = None if short else home.start(PYTHON, __file__, "sink").line()
        times = {}
        for _ in range(ROUNDS[short]):
            times.setdefault("alone", []).append(p99(client, TRIPS[short]))
            for target in [str(port)] if short else [elsewhere, str(port)]:
                attacker = home.start(PYTHON, __file__, "attack", target, hello.hex())
                expect(attacker.line() == "ready", "no attacker")
                time.sleep(0.5)
                times.setdefault(target, []).append(p99(client, TRIPS[short]))
                if target == str(port):
                    wait_until(lambda: refused() > 20, "the attacker is refused", 30)
                attacker.end()
        medians = {target: sorted(each)[len(each) // 2] for target, each in times.items()}
        without, beside = medians["alone"], medians[str(port)]
        if not short:
            print(f"      p99 {medians[elsewhere] * 1e6:.0f} us beside one who attacks another program", flush=True)
        print(f"      {idle} idle: p99 {without * 1e6:.0f} us alone, {beside * 1e6:.0f} us beside an attacker whose "
              f"{refused()} connections were refused", flush=True)
        expect(gateway.metric("sessions_open", "in") == idle + 1, "an honest session was lost")
        expect(short or beside <= P99_RATIO_MAX * without, f"p99 rose to {beside / without:.2f} times")
        newcomer = gateway.curve_client(zmq.DEALER, key, f"tcp://127.0.0.1:{port}")
        p99(newcomer, 5)


ROLES = {"idle": lambda port, key, count: idle_clients(port, key, int(count)), "backend": backend, "attack": attack,
         "sink": sink}
if __name__ == "__main__":
    if sys.argv[1] in ROLES:
        ROLES[sys.argv[1]](*sys.argv[2:])
    IDLE = int(sys.argv[2]) if len(sys.argv) > 2 else None
    sys.exit(run_tests(sys.argv[1], [honest_clients_notice_nothing_of_an_attacker]))
