#!/usr/bin/python3
"""Who is cut off while he talks: signed access lists, which the chamber enforces, at the gateway and under `caisson run`,
and new epochs: `gateway_access.py CAISSON`."""
import json
import os
import signal
import sys
import time

import zmq
from zmq.utils import z85

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway_routes import Gateway, converse, listener  # noqa: E402
from home import Failed, expect, run_tests, wait_until  # noqa: E402


class Operator:
    """Signs lists in a folder of his own, and puts them where the host reads them."""

    def __init__(self, home):
        self.home = home
        self.place = os.path.join(home.folder, "operator")
        self.list = os.path.join(home.folder, "clients.list")
        self.key = json.loads(self.verb("init"))["list_key"]

    def verb(self, *words):
        status, out, err = self.home.run("access", *words, "--json", home=self.place)
        expect(status == 0, f"caisson access {' '.join(words)}: status {status}: {err}")
        return out

    def sign(self, *keys, serial=None):
        """The signed list, not yet in its place."""
        path = os.path.join(self.home.folder, "clients.txt")
        with open(path, "w") as file:
            file.write("# who may come\n" + "".join(key.decode() + "\n" for key in keys))
        more = ["--serial", str(serial)] if serial else []
        facts = json.loads(self.verb("sign", path, "--out", path + ".new", *more))
        expect(sorted(facts["keys"]) == sorted(key.decode() for key in keys), f"other keys: {facts}")
        return path + ".new"

    def give(self, *keys, serial=None):
        os.rename(self.sign(*keys, serial=serial), self.list)


def listed_key(home, operator, name="front"):
    facts = home.facts("key", "new", name, "--ungated", "--list-key", operator.key)
    expect(facts["list_key"] == operator.key, f"the key does not say whose list counts: {facts}")
    return facts["public_key"], facts["handle"]


def route(gateway, operator):
    return listener(gateway, "in", more=f'access_list = "{operator.list}"\n')


def the_chamber_admits_whom_the_signed_list_names_and_ends_who_is_taken_back(home):  # [GATE-14] [CURVE-60] [CURVE-61]
    operator = Operator(home)
    friend, other = zmq.curve_keypair(), zmq.curve_keypair()
    with Gateway(home) as gateway:
        key, _ = listed_key(home, operator)
        operator.give(friend[0], serial=7)
        both = listener(gateway, "both", more=f"access_list = '{operator.list}'\nallow = ['{friend[0].decode()}']\n")
        gateway.start(route(gateway, operator) + both, "in", "both")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=friend)
        converse(client, router, [b"hello"])
        stranger = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=other)
        stranger.send(b"me too")
        wait_until(lambda: gateway.metric("ended_total", "in", reason="not_listed") > 0, "the stranger is refused", 30)
        state = json.loads(gateway.http("/sessions"))
        expect(state["listeners"][0]["lists"] == "chamber", f"enforced by another: {state['listeners']}")
        expect(" chamber " in home.verb("top", "--once"), "top does not say who enforces the list")
        expect(state["listeners"][1]["lists"] == "chamber+host", f"enforced by another: {state['listeners']}")

        operator.give(friend[0], other[0], serial=6)  # an old one: it widens, and is not taken
        time.sleep(0.8)
        expect(gateway.metric("sessions_open", "in") == 1, "an older list counts")
        operator.give(other[0], serial=8)
        began = time.monotonic()
        wait_until(lambda: gateway.metric("ended_total", "in", reason="revoked") == 1, "the session ends", 30)
        took = time.monotonic() - began
        expect(took < 1, f"it took {took:.2f} s")
        converse(stranger, router, [b"me too"]) if router.recv_multipart()[1:] == [b"me too"] else None
        said = json.dumps(gateway.stop())
    expect("not newer" in said and "serial 8" in said, f"the log: {said}")


def a_list_that_the_chamber_does_not_take_starts_no_gateway(home):  # [GATE-14]
    operator = Operator(home)
    friend = zmq.curve_keypair()
    listed_key(home, operator)
    home.verb("key", "new", "free", "--ungated")
    operator.give(friend[0])
    with open(operator.list, "rb") as file:
        good = file.read()
    others = json.loads(home.run("access", "init", "--json", home=os.path.join(home.folder, "stranger"))[1])
    expect(others["list_key"] != operator.key, "one signer")
    with Gateway(home) as gateway:
        def refused(content, key="front"):
            with open(operator.list, "wb") as file:
                file.write(content)
            gateway.write(route(gateway, operator).replace('key = "front"', f'key = "{key}"'))
            status, _, err = home.run("gateway", gateway.config)
            expect(status in (65, 66) and "access list" in err, f"status {status}: {err}")
            return err
        refused(friend[0] + b"\n")                   # nobody has signed it
        refused(good[:-1])
        refused(good[:-1] + bytes([good[-1] ^ 1]))
        expect("--list-key" in refused(good, "free"), "it is not said that the key has no list")
        clients = os.path.join(home.folder, "clients.txt")
        home.run("access", "sign", clients, "--out", operator.list, home=os.path.join(home.folder, "stranger"))
        with open(operator.list, "rb") as file:
            refused(file.read())                     # another has signed it
    many = os.path.join(home.folder, "many.txt")
    with open(many, "w") as file:
        file.writelines(z85.encode(number.to_bytes(32, "big")).decode() + "\n" for number in range(1, 1026))
    status, _, err = home.run("access", "sign", many, home=operator.place)
    expect(status == 75 and "1025 keys" in err and not os.path.exists(many + ".signed"), f"status {status}: {err}")


def a_program_under_run_serves_whom_the_signed_list_names(home):  # [SHIM-14]
    operator = Operator(home)
    friend, other = zmq.curve_keypair(), zmq.curve_keypair()
    public, handle = listed_key(home, operator)
    operator.give(friend[0])
    server = home.start(home.caisson, "--home", home.folder, "run", "--access-list", operator.list, "--",
                        *home.peer_words("echo", public, handle, count=1000))
    endpoint = server.line()
    context = zmq.Context()

    def client(keys, patience_ms):
        one = context.socket(zmq.DEALER)
        one.linger, one.rcvtimeo = 0, patience_ms
        one.curve_publickey, one.curve_secretkey, one.curve_serverkey = *keys, public.encode()
        one.connect(endpoint)
        return one

    def answers(one):
        one.send(b"hello")
        try:
            return one.recv() == b"hello"
        except zmq.Again:
            return False
    try:
        known = client(friend, 60000)
        expect(answers(known), "who is named is not served")
        expect(not answers(client(other, 2000)), "who is not named is served")
        operator.give(other[0])
        known.rcvtimeo = 300
        for _ in range(100):
            if not answers(known):
                break
            time.sleep(0.1)
        else:
            raise Failed("who is taken back is served on and on")
        expect(answers(client(other, 60000)), "who is named now is not served")
        expect(server.process.poll() is None, "the program has ended")
    finally:
        context.destroy(linger=0)


def a_gateway_that_is_told_of_a_copy_ends_all_sessions_and_goes_on(home):  # [GATE-15] [CURVE-50]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"))
        converse(client, router, [b"before"])
        gateway.process.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: gateway.metric("ended_total", "in", reason="epoch") == 1, "the session ends", 30)
        wait_until(lambda: gateway.metric("sessions_open", "in") == 1, "libzmq connects again", 30)
        converse(client, router, [b"after"])


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        the_chamber_admits_whom_the_signed_list_names_and_ends_who_is_taken_back,
        a_list_that_the_chamber_does_not_take_starts_no_gateway,
        a_program_under_run_serves_whom_the_signed_list_names,
        a_gateway_that_is_told_of_a_copy_ends_all_sessions_and_goes_on,
    ]))
