#!/usr/bin/python3
"""The chat's broker: plain pyzmq, no keys, trusted by nobody. usage: broker.py ADDRESS [RECORD-FILE]

A member is a DEALER whose identity is its name. What it sends: [word, name, packets...]
  join NAME           it belongs to the room NAME from now on, and gets what was kept for it
  room NAME packets   to all members of the room but itself
  to NAME packets     to that member
What a member gets: ["to", who sent it, packets...], now or when it is back. The packets mean nothing here.
"""
import collections
import sys

import zmq

KEPT_MAX = 1000  # messages for a member who is away; then the oldest go


class Broker:
    def __init__(self, address, record):
        self.router = zmq.Context.instance().socket(zmq.ROUTER)
        self.router.router_mandatory = True
        self.router.router_handover = True
        self.router.bind(address)
        self.rooms = collections.defaultdict(set)
        self.kept = collections.defaultdict(lambda: collections.deque(maxlen=KEPT_MAX))
        self.record = record

    def deliver(self, member, message):
        try:
            self.router.send_multipart([member, *message], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.kept[member].append(message)

    def take(self, sender, word, name, packets):
        if word == b"join":
            self.rooms[name].add(sender)
            for message in self.kept.pop(sender, ()):
                self.deliver(sender, message)
        elif word == b"room":
            for member in sorted(self.rooms[name] - {sender}):
                self.deliver(member, [b"to", sender, *packets])
        elif word == b"to":
            self.deliver(name, [b"to", sender, *packets])

    def run(self):
        while True:
            message = self.router.recv_multipart()
            if self.record:
                self.record.write(b"\n".join(message) + b"\n")
                self.record.flush()
            if len(message) >= 3:
                self.take(message[0], message[1], message[2], message[3:])


def main():
    broker = Broker(sys.argv[1], open(sys.argv[2], "wb") if len(sys.argv) > 2 else None)
    print("listening", broker.router.last_endpoint.decode(), flush=True)
    broker.run()


if __name__ == "__main__":
    main()
