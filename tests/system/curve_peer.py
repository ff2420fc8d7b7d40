#!/usr/bin/python3
"""A ZeroMQ program that knows nothing of caisson: pyzmq with the usual CURVE options.

It prints its endpoint (when it binds) and at the end one line "ok N" or what went wrong.
"""
import argparse
import os
import sys
import time

import zmq

WAIT_MS = 60000  # a machine may be busy; only what fails waits so long


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["echo", "ask", "publish", "subscribe", "keypair", "children"])
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:*")
    parser.add_argument("--public", default="")
    parser.add_argument("--secret", default="")
    parser.add_argument("--server-key", default="", help="of a CURVE client; without it we are the CURVE server")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--wait-ms", type=int, default=WAIT_MS)
    parser.add_argument("--linger", type=float, default=0, help="seconds to stay after the last message")
    parser.add_argument("--plant", default="", help="environment variable whose text is kept in memory, as a control")
    return parser.parse_args()


def open_socket(context, kind, options):
    socket = context.socket(kind)
    socket.linger = 0
    socket.rcvtimeo = socket.sndtimeo = options.wait_ms
    socket.curve_secretkey = options.secret.encode()
    socket.curve_publickey = options.public.encode()
    if options.server_key:
        socket.curve_serverkey = options.server_key.encode()
    else:
        socket.curve_server = True
    if "*" in options.endpoint:
        socket.bind(options.endpoint)
        print(socket.last_endpoint.decode(), flush=True)
    else:
        socket.connect(options.endpoint)
    return socket


def message(number):
    size = (1, 33, 200, 256, 1000, 9000)[number % 6]
    return b"%08d" % number + bytes([number % 256]) * size


def echo(context, options):
    socket = open_socket(context, zmq.ROUTER, options)
    for _ in range(options.count):
        socket.send_multipart(socket.recv_multipart())
    socket.close(linger=options.wait_ms)
    context.term()  # waits until the last answers are sent


def ask(context, options):
    socket = open_socket(context, zmq.DEALER, options)
    window = 50
    for number in range(options.count + window):
        if number < options.count:
            socket.send_multipart([b"part", b"", message(number)])
        if number >= window:
            if socket.recv_multipart() != [b"part", b"", message(number - window)]:
                sys.exit(f"message {number - window} came back altered")


def publish(context, options):
    """Until it is ended, or nobody can be waiting any more."""
    socket = open_socket(context, zmq.PUB, options)
    end = time.monotonic() + 2 * options.wait_ms / 1000
    number = 0
    while time.monotonic() < end:
        socket.send_multipart([b"topic", message(number)])
        number += 1
        if number % 50 == 0:
            time.sleep(0.01)


def subscribe(context, options):
    socket = open_socket(context, zmq.SUB, options)
    socket.subscribe(b"topic")
    last = -1
    for _ in range(options.count):
        topic, body = socket.recv_multipart()
        number = int(body[:8])
        if topic != b"topic" or number <= last or body != message(number):
            sys.exit(f"message {number} after {last} is not as it was sent")
        last = number


def keypair(context, options):
    """Keys made by the program itself, both ends in one process."""
    server_public, server_secret = zmq.curve_keypair()
    client_public, client_secret = zmq.curve_keypair()
    if zmq.curve_public(server_secret) != server_public:
        sys.exit("curve_public gives another public key")
    server = context.socket(zmq.ROUTER)
    server.curve_secretkey, server.curve_server = server_secret, True
    client = context.socket(zmq.DEALER)
    client.curve_secretkey, client.curve_publickey = client_secret, client_public
    client.curve_serverkey = server_public
    for socket in (server, client):
        socket.linger = 0
        socket.rcvtimeo = options.wait_ms
    client.connect(f"tcp://127.0.0.1:{server.bind_to_random_port('tcp://127.0.0.1')}")
    for number in range(options.count):
        client.send(message(number))
        server.send_multipart(server.recv_multipart())
        if client.recv() != message(number):
            sys.exit(f"message {number} came back altered")


def children(context, options):
    """A forked child and an exec'd one ask the chamber too."""
    if zmq.curve_public(options.secret.encode()).decode() != options.public:
        sys.exit("parent: another public key")
    child = os.fork()
    if child == 0:
        os._exit(0 if zmq.curve_public(options.secret.encode()).decode() == options.public else 1)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("forked child: no answer")
    import subprocess  # closes all descriptors in the child
    code = f"import zmq; print(zmq.curve_public({options.secret.encode()!r}).decode())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    if result.stdout.strip() != options.public:
        sys.exit(f"exec'd child: {result.stdout} {result.stderr}")


def main():
    options = arguments()
    planted = os.environ.get(options.plant, "").encode() * 2 if options.plant else b""
    context = zmq.Context()
    try:
        globals()[options.role](context, options)
    except zmq.ZMQError as error:
        sys.exit(f"{options.role}: {error}")
    print("ok", options.count, flush=True)
    time.sleep(options.linger)
    return len(planted) and 0


if __name__ == "__main__":
    sys.exit(main())
