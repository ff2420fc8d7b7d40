#!/usr/bin/env python3
"""A plain ZeroMQ publisher, as anybody would write it: no security options, an ipc endpoint, a counter a message.

    publisher.py ENDPOINT [MESSAGES PER SECOND]
"""
import sys
import time

import zmq


def main():
    endpoint = sys.argv[1]
    pause = 1 / float(sys.argv[2]) if len(sys.argv) > 2 else 0.02
    socket = zmq.Context().socket(zmq.PUB)
    socket.bind(endpoint)
    print("publishing", flush=True)
    count = 0
    while True:
        count += 1
        socket.send_multipart([b"tick", str(count).encode()])
        time.sleep(pause)


if __name__ == "__main__":
    main()
