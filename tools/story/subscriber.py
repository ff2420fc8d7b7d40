#!/usr/bin/env python3
"""A ZeroMQ subscriber that sets the usual CURVE options, as anybody would write it.

    subscriber.py ENDPOINT SERVER_PUBLIC_KEY OWN_PUBLIC_KEY OWN_SECRET_KEY      (keys in Z85)

Prints "TIME COUNTER" for every message it receives.
"""
import sys
import time

import zmq


def main():
    endpoint, server_public, own_public, own_secret = sys.argv[1:5]
    socket = zmq.Context().socket(zmq.SUB)
    socket.curve_serverkey = server_public.encode()
    socket.curve_publickey = own_public.encode()
    socket.curve_secretkey = own_secret.encode()
    socket.reconnect_ivl = 50
    socket.subscribe(b"tick")
    socket.connect(endpoint)
    while True:
        _topic, counter = socket.recv_multipart()
        print(f"{time.time():.3f} {counter.decode()}", flush=True)


if __name__ == "__main__":
    main()
