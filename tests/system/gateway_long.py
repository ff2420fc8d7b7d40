#!/usr/bin/python3
"""What takes too long for every check: `gateway_long.py CAISSON [PART_MIB [PARTS]]`, a message of many large parts
through two gateways, whose memory is that of its largest part and not of all of it."""
import os
import sys

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway_routes import Gateway, connector, listener  # noqa: E402
from home import expect, run_tests  # noqa: E402

MIB = 1 << 20
PART_MIB, PARTS = 64, 16
BESIDE_PARTS_MIB = 32  # the program itself and its smaller buffers
HELD_PARTS = 4  # of a listener and a connector in one process, each: the part it gathers, and the one it gives on


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as stream:
        return [int(line.split()[1]) // 1024 for line in stream if line.startswith("VmHWM:")][0]


def a_message_of_many_parts_needs_the_memory_of_its_largest(home):  # [GATE-9]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in") + connector(gateway, "out", gateway.ipc("in"), key), "in", "out")
        pull = gateway.socket(zmq.PULL, bind=gateway.ipc("in.app"))
        push = gateway.socket(zmq.PUSH, connect=gateway.ipc("out"))
        pull.rcvtimeo = push.sndtimeo = 600_000
        push.send(b"open")
        expect(pull.recv() == b"open", "another message")
        before = memory_mib(gateway.process.pid)
        part = os.urandom(PART_MIB * MIB)
        for index in range(PARTS):
            push.send(part, zmq.SNDMORE if index + 1 < PARTS else 0, copy=False)
        for index in range(PARTS):
            expect(pull.recv() == part, f"part {index} differs")
        grown = memory_mib(gateway.process.pid) - before
        print(f"      {PARTS} parts of {PART_MIB} MiB: the gateway's memory grew by {grown} MiB", flush=True)
        expect(grown <= HELD_PARTS * PART_MIB + BESIDE_PARTS_MIB, f"its memory grew by {grown} MiB")


if __name__ == "__main__":
    PART_MIB, PARTS = (int(word) for word in (sys.argv[2:] + [PART_MIB, PARTS][len(sys.argv) - 2:]))
    sys.exit(run_tests(sys.argv[1], [a_message_of_many_parts_needs_the_memory_of_its_largest]))
