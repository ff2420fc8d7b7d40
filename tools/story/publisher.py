#!/usr/bin/env python3
"""A plain ZeroMQ publisher, as anybody would write it: no security options, an ipc endpoint, a counter a message.

    publisher.py ENDPOINT [MESSAGES PER SECOND]

Prints "subscribed TRUST NODE MEASUREMENT KEY" for each subscription, as the properties of its message say it.
"""
import sys
import time

import zmq

PROPERTIES = ("X-Caisson-Trust", "X-Caisson-Node", "X-Caisson-Measurement", "X-Caisson-Key")


def property_of(message, name):
    try:
        return message.get(name)
    except zmq.ZMQError:  # nobody has set it
        return "none"


def tell_of_subscriptions(socket):
    while socket.poll(0):
        message = socket.recv(copy=False)
        if message.bytes[:1] == b"\x01":
            print("subscribed", *(property_of(message, name) for name in PROPERTIES), flush=True)


def main():
    endpoint = sys.argv[1]
    pause = 1 / float(sys.argv[2]) if len(sys.argv) > 2 else 0.02
    socket = zmq.Context().socket(zmq.XPUB)
    socket.bind(endpoint)
    print("publishing", flush=True)
    count = 0
    while True:
        tell_of_subscriptions(socket)
        count += 1
        socket.send_multipart([b"tick", str(count).encode()])
        time.sleep(pause)


if __name__ == "__main__":
    main()
