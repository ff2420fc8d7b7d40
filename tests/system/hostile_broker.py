#!/usr/bin/python3
"""End to end over real carriers, through a broker that drops, repeats, reorders, replays, truncates, changes, swaps
identities and mixes sessions: `hostile_broker.py CAISSON E2E-PEER [SEED]`. On every pattern: no plaintext passes it,
nothing is forged, nothing is taken twice; and an honest broker gets everything through."""
import os
import random
import sys
import threading
import time

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import expect, run_tests  # noqa: E402

PEER = os.path.abspath(sys.argv[2])
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
COUNT = 40
TEXT = b"plain text"


class Broker:
    """Carries what comes on one socket to another, by `ways`: {socket: function(packets, what came)}."""

    def __init__(self, hostile, seed=SEED):
        self.context = zmq.Context()
        self.random = random.Random(seed)
        self.hostile = hostile
        self.ways = {}
        self.kept, self.held = [], []
        self.carried = bytearray()
        self.going = True
        self.lockstep = False  # REQ and REP: each message goes on, but changed
        self.thread = threading.Thread(target=self.run, daemon=True)

    def bind(self, kind):
        socket = self.context.socket(kind)
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        return socket, f"tcp://127.0.0.1:{port}"

    def run(self):
        poller = zmq.Poller()
        for socket in self.ways:
            poller.register(socket, zmq.POLLIN)
        while self.going:
            for socket, _ in poller.poll(20):
                parts = socket.recv_multipart()
                way = self.ways[socket]
                self.carry(parts, lambda packets, way=way, origin=parts: way(packets, origin))

    def carry(self, parts, give):
        self.carried += b"\0".join(parts)
        first = next((at for at, part in enumerate(parts) if part.startswith(b"CE1")), None)
        if first is None:
            if self.lockstep:
                give(parts)
            return
        packets = parts[first:]
        self.kept.append(packets)
        for message in self.attacked(packets) if self.hostile else [packets]:
            give(message)

    def attacked(self, packets):
        kind = self.random.randrange(11)
        packets = list(packets)
        if kind == 0 and not self.lockstep:
            return []
        if kind == 1 and not self.lockstep:
            return [packets, packets]
        if kind == 2 and not self.lockstep:
            self.held.append(packets)
            return []
        if kind == 3:
            old = self.random.choice(self.kept)
            return [old] if self.lockstep else [old, packets]
        if kind == 4:
            packets[-1] = packets[-1][:self.random.randrange(len(packets[-1]))]
        elif kind == 5:
            changed = bytearray(packets[-1])
            changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
            packets[-1] = bytes(changed)
        elif kind == 6:
            packets = [b"somebody else", *packets]
        elif kind == 7:
            packets[-1] = self.random.choice(self.kept)[-1][:20] + packets[-1][20:]
        released, self.held = (self.held, []) if self.random.randrange(2) else ([], self.held)
        return [packets, *released]

    def replay_all(self, way):
        for packets in self.kept:
            way(packets, [b"0"])

    def end(self):
        self.going = False
        self.thread.join(5)
        self.context.destroy(0)


def way_to(socket, *names):
    def give(packets, _):
        try:
            socket.send_multipart([*names, *packets], zmq.NOBLOCK)
        except zmq.ZMQError:
            pass  # nobody there, or not its turn
    return give


def dealer_and_dealer(broker):
    """Mailboxes: a DEALER of the broker's for each, and the broker says from whom it is."""
    front, front_address = broker.bind(zmq.DEALER)
    back, back_address = broker.bind(zmq.DEALER)
    broker.ways = {front: way_to(back, b"from"), back: way_to(front, b"from")}
    return f"DEALER,{front_address}", f"DEALER,{back_address}", way_to(back)


def router_and_dealer(broker):
    """The sender is one identity of a ROUTER; what comes back goes to it, or, now and then, to nobody's."""
    front, front_address = broker.bind(zmq.ROUTER)
    back, back_address = broker.bind(zmq.DEALER)
    identity = []

    def there(packets, origin):
        identity[:] = origin[:1]
        way_to(back, b"from")(packets, origin)

    def return_way(packets, origin):
        swapped = broker.hostile and broker.random.randrange(4) == 0
        if identity:
            way_to(front, b"swapped" if swapped else identity[0], b"from")(packets, origin)
    broker.ways = {front: there, back: return_way}
    return f"DEALER,{front_address}", f"DEALER,{back_address}", way_to(back)


def request_and_reply(broker):
    front, front_address = broker.bind(zmq.REP)
    back, back_address = broker.bind(zmq.REQ)
    broker.lockstep = True
    broker.ways = {front: way_to(back), back: way_to(front)}
    return f"REQ,{front_address}", f"REP,{back_address}", way_to(back)


def push_and_pull(broker):
    front_in, one = broker.bind(zmq.PULL)
    front_out, two = broker.bind(zmq.PUSH)
    back_in, three = broker.bind(zmq.PULL)
    back_out, four = broker.bind(zmq.PUSH)
    broker.ways = {front_in: way_to(back_out), back_in: way_to(front_out)}
    return f"PUSH,{one},PULL,{two}", f"PUSH,{three},PULL,{four}", way_to(back_out)


def pair_and_pair(broker):
    front, front_address = broker.bind(zmq.PAIR)
    back, back_address = broker.bind(zmq.PAIR)
    broker.ways = {front: way_to(back), back: way_to(front)}
    return f"PAIR,{front_address}", f"PAIR,{back_address}", way_to(back)


def raw_zmtp2(broker):
    front, front_address = broker.bind(zmq.DEALER)
    back, back_address = broker.bind(zmq.DEALER)
    broker.ways = {front: way_to(back, b"from"), back: way_to(front, b"from")}
    return f"zmtp2,{front_address[len('tcp://'):]}", f"zmtp2,{back_address[len('tcp://'):]}", way_to(back)


def expect_true_and_once(lines, most, least, what):
    got = [line[len("got "):] for line in lines if line.startswith("got ")]
    sent = {f"{TEXT.decode()} {number}" for number in range(most)}
    expect(set(got) <= sent, f"{what}: forged: {set(got) - sent}")
    expect(len(got) == len(set(got)), f"{what}: taken twice: {sorted(got)}")
    expect(least <= len(got) <= most, f"{what}: {len(got)} of {most} messages, at least {least} expected")


def finish(receiver, least):
    """What it heard: at least so many messages, if they come at all, and what comes within half a second more."""
    lines, watchdog = [], threading.Timer(20, receiver.process.kill)
    watchdog.start()
    while sum(line.startswith("got ") for line in lines) < least and (line := receiver.process.stdout.readline()):
        lines.append(line)
    watchdog.cancel()
    time.sleep(0.5)
    receiver.process.terminate()
    return [line.rstrip("\n") for line in lines + receiver.process.stdout.readlines()]


def exchange(home, pattern, order, hostile):
    what = f"{pattern.__name__}, {order}, {'hostile' if hostile else 'honest'}"
    broker = Broker(hostile)
    sender_way, receiver_way, replay_way = pattern(broker)
    broker.thread.start()
    home.environment["CAISSON_IMAGES"] = os.path.dirname(home.caisson)
    receiver = home.start(PEER, home.folder, order, receiver_way, "receive")
    word, key = receiver.line().split()
    expect(word == "key", word)
    sender = home.start(PEER, home.folder, order, sender_way, "send", key, str(COUNT))
    least = 5 if hostile else COUNT
    try:
        status, out, err = sender.finish(60)
        expect(status == 0 and out.endswith("ok\n"), f"{what}: {out} {err}")
        if hostile and not broker.lockstep:
            broker.replay_all(replay_way)
        lines = finish(receiver, least)
    finally:
        broker.end()
    expect_true_and_once(lines, COUNT, least, what)
    expect(TEXT not in broker.carried and b"CE1" in broker.carried, f"{what}: plaintext passed the broker")


def sessions_over_dealer_and_dealer(home):
    for order in ("window", "strict"):
        exchange(home, dealer_and_dealer, order, True)
    exchange(home, dealer_and_dealer, "strict", False)


def sessions_over_a_router_with_identities(home):
    for hostile in (True, False):
        exchange(home, router_and_dealer, "window", hostile)


def sessions_over_request_and_reply(home):
    for hostile in (True, False):
        exchange(home, request_and_reply, "window", hostile)


def sessions_over_push_and_pull(home):
    for hostile in (True, False):
        exchange(home, push_and_pull, "window", hostile)


def sessions_over_pair(home):
    for hostile in (True, False):
        exchange(home, pair_and_pair, "window", hostile)


def sessions_over_raw_zmtp_2_0(home):
    for hostile in (True, False):
        exchange(home, raw_zmtp2, "window", hostile)


def fan_out_over_pub_and_sub_through_xsub_and_xpub(home):
    for hostile in (True, False):
        fan_out(home, hostile)


def fan_out(home, hostile):
    what = f"fan-out, {'hostile' if hostile else 'honest'}"
    broker = Broker(hostile)
    front, front_address = broker.bind(zmq.DEALER)
    hear, hear_address = broker.bind(zmq.XSUB)
    hear.send(b"\x01")
    tell, tell_address = broker.bind(zmq.XPUB)
    tell.setsockopt(zmq.XPUB_VERBOSE, 1)
    backs = [broker.bind(zmq.DEALER) for _ in range(2)]
    home.environment["CAISSON_IMAGES"] = os.path.dirname(home.caisson)
    receivers, keys = [], []
    for _, address in backs:
        receivers.append(home.start(PEER, home.folder, "window", f"DEALER,{address}+SUB,{tell_address}", "receive"))
        keys.append(receivers[-1].line().split()[1])

    def to_server(packets, origin):  # the sender's route is the receiver's number
        way_to(backs[1 if origin[0] == b"1" else 0][0], b"from")(packets, origin)

    broker.ways = {front: to_server, hear: way_to(tell, b"fan"),
                   **{back: way_to(front, b"from") for back, _ in backs}}
    joined = hear.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    sender = home.start(PEER, home.folder, "window", f"DEALER,{front_address}+PUB,{hear_address}", "fan",
                        str(COUNT), *keys)
    # What is published before somebody has subscribed is lost: nothing is carried until all have.
    joined.recv_multipart()
    for _ in receivers:
        expect(tell.recv() == b"\x01", "something else than a subscription")
    hear.disable_monitor()
    broker.thread.start()
    least = 5 if hostile else COUNT - 5
    try:
        status, out, err = sender.finish(60)
        expect(status == 0 and out.endswith("ok\n"), f"{what}: {out} {err}")
        if hostile:
            broker.replay_all(way_to(tell, b"fan"))
        lines = [finish(receiver, least) for receiver in receivers]
    finally:
        broker.end()
    for heard in lines:
        expect_true_and_once(heard, COUNT, least, what)
    expect(TEXT not in broker.carried and b"CE1" in broker.carried, f"{what}: plaintext passed the broker")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        sessions_over_dealer_and_dealer,
        sessions_over_a_router_with_identities,
        sessions_over_request_and_reply,
        sessions_over_push_and_pull,
        sessions_over_pair,
        sessions_over_raw_zmtp_2_0,
        fan_out_over_pub_and_sub_through_xsub_and_xpub,
    ]))
