#!/usr/bin/python3
"""The interop peer in pyzmq; README.md beside it says what it does."""
import sys
import threading

import zmq

PATTERN = bytes(range(251))
TIMEOUT_MS = 60_000


def part(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def fail(what):
    print(f"peer.py: {what}", file=sys.stderr)
    sys.exit(1)


def compare(parts, sizes):
    if [len(one) for one in parts] != sizes:
        fail(f"sizes {[len(one) for one in parts]}, expected {sizes}")
    if any(one != part(len(one)) for one in parts):
        fail("octets differ")


def parse(arguments):
    at = arguments.index("--sizes")
    return arguments[:at], [[int(size) for size in one.split(",")] for one in arguments[at + 1:]]


def open_socket(kind, role, keys):
    socket = zmq.Context.instance().socket(getattr(zmq, kind))
    socket.linger, socket.rcvtimeo, socket.sndtimeo = 5000, TIMEOUT_MS, TIMEOUT_MS
    if role == "server" and keys:
        socket.curve_server, socket.curve_secretkey = True, keys[0].encode()
    elif keys:
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = [key.encode() for key in keys]
    return socket


def publish(socket, kind, messages):
    if kind == "XPUB":
        socket.recv()  # a subscription
    go = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), go.set()), daemon=True).start()
    while not go.wait(0.02):
        socket.send(b"hello")
    for sizes in messages:
        socket.send_multipart([part(size) for size in sizes])


def subscribe(socket, kind, messages):
    if kind == "SUB":
        socket.subscribe(b"")
    else:
        socket.send(b"\x01")
    parts = socket.recv_multipart()
    print("hello", flush=True)
    while parts == [b"hello"]:
        parts = socket.recv_multipart()
    for index, sizes in enumerate(messages):
        compare(parts if index == 0 else socket.recv_multipart(), sizes)


def serve(socket, kind, messages):
    if kind in ("PUB", "XPUB"):
        return publish(socket, kind, messages)
    for sizes in messages:
        parts = socket.recv_multipart()
        compare(parts[1:] if kind == "ROUTER" else parts, sizes)
        if kind != "PULL":
            socket.send_multipart(parts)
    return None


def ask(socket, kind, messages):
    if kind in ("SUB", "XSUB"):
        return subscribe(socket, kind, messages)
    for sizes in messages:
        socket.send_multipart([part(size) for size in sizes])
        if kind != "PUSH":
            compare(socket.recv_multipart(), sizes)
    return None


def main():
    (kind, role, endpoint, *keys), messages = parse(sys.argv[1:])
    socket = open_socket(kind, role, keys)
    if role == "server":
        socket.bind(endpoint)
        print("bound", flush=True)
        serve(socket, kind, messages)
    else:
        socket.connect(endpoint)
        ask(socket, kind, messages)
    print(f"ok {len(messages)}", flush=True)
    sys.stdin.readline()  # what was sent may leave before the socket ends
    zmq.Context.instance().destroy(linger=5000)


main()
