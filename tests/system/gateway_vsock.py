#!/usr/bin/python3
"""Messages over vsock between a connector and a listener of one machine: `gateway_vsock.py CAISSON`. Exit status 77, which
CTest shows as skipped, where the kernel carries no vsock between programs of one machine."""
import os
import socket
import sys

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway_routes import PARTS, Gateway, connector, converse  # noqa: E402
from home import run_tests  # noqa: E402

VSOCK_PORT = 34568  # another one than gateway_robust.py, which may run beside
LOOPBACK = 1  # the context that is this machine
SKIPPED = 77


def has_vsock_loopback():
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, socket.VMADDR_PORT_ANY))
        return True
    except OSError:
        return False


def between_programs(gateway, key):
    return (f'[[listener]]\nname = "in"\nlisten = "vsock://*:{VSOCK_PORT}"\nbackend = "{gateway.ipc("app")}"\n'
            f'key = "front"\n' + connector(gateway, "out", f"vsock://{LOOPBACK}:{VSOCK_PORT}", key))


def vsock_carries_messages(home):  # [GATE-17]
    with Gateway(home) as gateway:
        gateway.start(between_programs(gateway, gateway.key("front")), "out")
        server = gateway.socket(zmq.ROUTER, bind=gateway.ipc("app"))
        converse(gateway.socket(zmq.DEALER, connect=gateway.ipc("out")), server, PARTS)


if __name__ == "__main__":
    if not has_vsock_loopback():
        print("skipped: this kernel carries no vsock between programs of one machine", flush=True)
        sys.exit(SKIPPED)
    sys.exit(run_tests(sys.argv[1], [vsock_carries_messages]))
