#!/usr/bin/python3
"""The curve chamber and libzmq talk CURVE over TCP, in both roles: `curve_interop.py CAISSON CODEC-PEER COUNT`.

CODEC-PEER is curve_codec_peer: raw ZMTP around the built chamber. COUNT messages go each way in each role.
"""
import contextlib
import os
import socket
import struct
import sys
import threading

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import Failed, expect, run_tests  # noqa: E402

WAIT_MS = 30000
CODEC_PEER = os.path.abspath(sys.argv[2])
COUNT = int(sys.argv[3])

# The messages as curve_codec_peer.cpp makes them.
SIZES = (0, 1, 33, 200, 222, 223, 256, 1000, 4096)
PERIOD = 4096
FROM_SERVER, FROM_CLIENT = 1009, 2003
PATTERN = bytes((index * 7 + index // 256) % 256 for index in range(3 * PERIOD))

# Where things stand in the two directions of a handshake: a greeting, then frames.
GREETING = 64
HELLO = GREETING + 2
INITIATE = HELLO + 200 + 9
WELCOME = GREETING + 2
READY = WELCOME + 168 + 2


def message(number, direction):
    if number % 16 == 15:
        return [b""]
    parts = []
    for index in range(1 + number % 3):
        size = SIZES[(number * 5 + index * 3) % len(SIZES)]
        start = (number * 31 + index * 7 + direction) % PERIOD
        parts.append(PATTERN[start:start + size])
    parts[0] = number.to_bytes(8, "big") + parts[0]
    return parts


def converse(peer, count, own, other):
    """`count` messages each way at the same time, each checked."""
    sent = received = 0
    while sent < count or received < count:
        moved = False
        with contextlib.suppress(zmq.Again):
            while sent < count:
                peer.send_multipart(message(sent, own), zmq.NOBLOCK, copy=True)
                sent += 1
                moved = True
        with contextlib.suppress(zmq.Again):
            while received < count:
                parts = peer.recv_multipart(zmq.NOBLOCK)
                expect(parts == message(received, other), f"message {received} is not as it was sent")
                received += 1
                moved = True
        if not moved:
            expect(peer.poll(WAIT_MS, zmq.POLLIN | (zmq.POLLOUT if sent < count else 0)),
                   f"nothing for {WAIT_MS} ms after {sent} sent and {received} received")


@contextlib.contextmanager
def libzmq_server():
    """(a CURVE server of libzmq, its port, its public key)"""
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context, context.socket(zmq.DEALER) as server:
        server.linger = 0
        server.curve_secretkey, server.curve_server = secret, True
        yield server, str(server.bind_to_random_port("tcp://127.0.0.1")), public.decode()


@contextlib.contextmanager
def libzmq_client(port, server_key):
    with zmq.Context() as context, context.socket(zmq.DEALER) as client:
        client.linger = 0
        client.reconnect_ivl = -1
        client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
        client.curve_serverkey = server_key.encode()
        client.connect(f"tcp://127.0.0.1:{port}")
        yield client


def start_codec(home, *words):
    home.environment["CAISSON_IMAGES"] = os.path.dirname(home.caisson)
    return home.start(CODEC_PEER, home.folder, *words)


def serve(home, *plans):
    """(the chamber as CURVE server, its port, its public key)"""
    codec = start_codec(home, "serve", *plans)
    word, port, key = codec.line().split()
    expect(word == "listening", word)
    return codec, port, key


def expect_ok(codec, count):
    line = codec.line()
    expect(line == f"ok {count}", line)


class Proxy:
    """Between a client and the server at `port`; each connection follows the next case, (direction, offset, mask):
    one octet of one direction changes, or with mask 0 the connection ends there."""

    def __init__(self, port, cases):
        self.upstream = ("127.0.0.1", int(port))
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(WAIT_MS / 1000)
        self.port = str(self.listening.getsockname()[1])
        self.recorded = b""  # what the last client said
        self.thread = threading.Thread(target=self.run, args=(cases,), daemon=True)
        self.thread.start()

    def run(self, cases):
        for case in cases:
            client, _ = self.listening.accept()
            server = socket.create_connection(self.upstream)
            back = threading.Thread(target=self.pump, args=(server, client, "to client", case), daemon=True)
            back.start()
            self.pump(client, server, "to server", case)
            back.join()
            client.close()
            server.close()

    def pump(self, source, target, direction, case):
        place = 0
        aim, offset, mask = case
        recorded = b""
        with contextlib.suppress(OSError):
            while octets := source.recv(65536):
                recorded += octets
                if aim == direction and place <= offset < place + len(octets):
                    changed = bytearray(octets)
                    changed[offset - place] ^= mask
                    octets = bytes(changed[:None if mask else offset - place])
                    target.sendall(octets)
                    if not mask:
                        break
                else:
                    target.sendall(octets)
                place += len(octets)
        if direction == "to server":
            self.recorded = recorded
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def end(self):
        self.thread.join(5)
        self.listening.close()


def many_messages_with_the_chamber_as_server(home):
    codec, port, key = serve(home, str(COUNT))
    with libzmq_client(port, key) as client:
        converse(client, COUNT, FROM_CLIENT, FROM_SERVER)
        expect_ok(codec, COUNT)


def many_messages_with_the_chamber_as_client(home):
    with libzmq_server() as (server, port, key):
        codec = start_codec(home, "connect", port, key, str(COUNT))
        converse(server, COUNT, FROM_SERVER, FROM_CLIENT)
        expect_ok(codec, COUNT)


def attacked_messages_are_refused_and_the_session_ends(home):
    """Real MESSAGEs of libzmq, given to the chamber altered, truncated, twice and in another order."""
    for attack in ("altered", "truncated", "replayed", "reordered"):
        codec, port, key = serve(home, f"10:{attack}")
        with libzmq_client(port, key) as client:
            attacked(client, codec, attack, FROM_CLIENT, FROM_SERVER)
        with libzmq_server() as (server, port, key):
            codec = start_codec(home, "connect", port, key, f"10:{attack}")
            attacked(server, codec, attack, FROM_SERVER, FROM_CLIENT)


def attacked(peer, codec, attack, own, other):
    converse(peer, 10, own, other)
    for text in (b"first", b"second", b"third"):
        peer.send(text)
    line = codec.line()
    expect(line == f"ok 10, refused and ended: {attack}", f"{attack}: {line}")


# (direction, offset, mask), and where the chamber as server ends.
CLIENTS_CHANGED = [
    (("to server", 12, 1), "greeting"),
    *((("to server", HELLO + place, 1), "hello") for place in (-2, 0, 5, 6, 8, 79, 80, 111, 119, 120, 199)),
    (("to server", HELLO - 1, 8), "hello"),
    (("to server", HELLO - 2, 4), "hello"),
    (("to server", HELLO + 50, 0), "hello"),
    *((("to server", INITIATE + place, 1), "initiate")
      for place in (-9, 0, 8, 9, 24, 25, 104, 105, 112, 113, 128, 129, 161, 177, 250, 257)),
    (("to server", INITIATE + 50, 0), "initiate"),
    *((("to client", WELCOME + place, 1), "initiate") for place in (0, 8, 23, 24, 40, 100, 167)),
    *((("to client", READY + place, 1), "messages") for place in (0, 6, 13, 14, 30, 40)),
]

# The same, and where the chamber as client ends.
SERVERS_CHANGED = [
    (("to client", 12, 1), "greeting"),
    *((("to client", WELCOME + place, 1), "welcome") for place in (-2, 0, 8, 23, 24, 40, 100, 167)),
    (("to client", READY - 2, 4), "ready"),
    *((("to client", READY + place, 1), "ready") for place in (-2, 0, 6, 13, 14, 30, 40)),
    *((("to server", HELLO + place, 1), "welcome") for place in (80, 119, 120, 199)),
    *((("to server", INITIATE + place, 1), "ready") for place in (9, 25, 105, 113, 161, 177)),
]


def a_client_with_a_changed_handshake_does_not_get_in(home):
    codec, port, key = serve(home, *["1"] * (len(CLIENTS_CHANGED) + 1))
    proxy = Proxy(port, [case for case, _ in CLIENTS_CHANGED] + [("none", 0, 0)])
    for case, step in CLIENTS_CHANGED:
        with libzmq_client(proxy.port, key) as client:
            client.send_multipart(message(0, FROM_CLIENT))
            line = codec.line()
            expect(line.startswith(f"failed at {step}:"), f"{case}: {line}")
            expect(not client.poll(0), f"{case}: the client got a message")
    with libzmq_client(proxy.port, key) as client:
        converse(client, 1, FROM_CLIENT, FROM_SERVER)
        expect_ok(codec, 1)
    proxy.end()


def a_server_with_a_changed_handshake_gets_no_client(home):
    with libzmq_server() as (server, port, key):
        proxy = Proxy(port, [case for case, _ in SERVERS_CHANGED] + [("none", 0, 0)])
        codec = start_codec(home, "connect", proxy.port, key, *["1"] * (len(SERVERS_CHANGED) + 1))
        for case, step in SERVERS_CHANGED:
            line = codec.line()
            expect(line.startswith(f"failed at {step}:"), f"{case}: {line}")
            expect(not server.poll(0), f"{case}: the server got a message")
        converse(server, 1, FROM_SERVER, FROM_CLIENT)
        expect_ok(codec, 1)
    proxy.end()


def a_replayed_handshake_does_not_get_in(home):
    codec, port, key = serve(home, "1", "1", "1")
    proxy = Proxy(port, [("none", 0, 0)])
    with libzmq_client(proxy.port, key) as client:
        converse(client, 1, FROM_CLIENT, FROM_SERVER)
        expect_ok(codec, 1)
    proxy.end()
    hello_end = HELLO + 200
    (size,) = struct.unpack(">Q", proxy.recorded[INITIATE - 8:INITIATE])
    initiate = proxy.recorded[hello_end:INITIATE + size]
    for hello in (proxy.recorded[:hello_end], proxy.recorded[:hello_end]):
        with socket.create_connection(("127.0.0.1", int(port))) as replayed:
            replayed.sendall(hello + initiate)
            line = codec.line()
            expect(line.startswith("failed at initiate: expired"), line)


if __name__ == "__main__":
    try:
        sys.exit(run_tests(sys.argv[1], [
            many_messages_with_the_chamber_as_server,
            many_messages_with_the_chamber_as_client,
            attacked_messages_are_refused_and_the_session_ends,
            a_client_with_a_changed_handshake_does_not_get_in,
            a_server_with_a_changed_handshake_gets_no_client,
            a_replayed_handshake_does_not_get_in,
        ]))
    except Failed as failed:
        sys.exit(str(failed))
