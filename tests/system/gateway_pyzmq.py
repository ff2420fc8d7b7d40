#!/usr/bin/python3
"""Plain pyzmq programs behind `caisson gateway`, libzmq's own CURVE clients before it: `gateway_pyzmq.py CAISSON`."""
import os
import signal
import socket
import sys
import time

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import Failed, expect, run_tests, wait_until  # noqa: E402

COUNT = 20000
HANDSHAKES_PER_SOURCE = 64
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
NULL_GREETING = GREETING.replace(b"CURVE", b"NULL\0")


class World:
    """A plain publisher on ipc in this process, a gateway before it, and clients."""

    def __init__(self, home, allow=None):
        self.home = home
        self.backend = f"ipc://{home.folder}/app.ipc"
        self.listen = f"ipc://{home.folder}/gateway.ipc"
        self.config = os.path.join(home.folder, "gateway.toml")
        self.key = home.facts("key", "new", "gateway", "--ungated")["public_key"]
        self.context = zmq.Context()
        self.publisher = None
        self.clients = []
        self.write_config(allow)

    def write_config(self, allow=None):
        names = "" if allow is None else f"allow = [{', '.join(repr(key) for key in allow)}]\n"
        with open(self.config, "w") as file:
            file.write("waiting_per_source = 1\n")
            file.write(f'[[listener]]\nname = "ticks"\nlisten = "{self.listen}"\nbackend = "{self.backend}"\n'
                       f'key = "gateway"\n{names}')

    def start(self, publisher=True):
        self.gateway = self.home.start(self.home.caisson, "--home", self.home.folder, "gateway", self.config)
        wait_until(lambda: os.path.exists(self.listen[6:]), "the gateway listens", 20)
        if publisher:
            self.publish()
        return self

    def publish(self):
        self.publishing = zmq.Context()
        self.publisher = self.publishing.socket(zmq.XPUB)
        self.publisher.linger, self.publisher.sndhwm, self.publisher.rcvtimeo = 0, 0, 10000
        self.publisher.bind(self.backend)

    def unpublish(self):
        """Returns when its socket is gone, so that the next one may bind."""
        if self.publisher is not None:
            self.publishing.destroy(linger=0)
            self.publisher = None

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _trace):
        self.unpublish()
        self.context.destroy(linger=0)
        if isinstance(error, zmq.Again):
            self.gateway.process.terminate()
            raise Failed(f"nothing came for 10 s; the gateway said {self.gateway.finish(10)[2][-1500:]}") from error

    def client(self, *topics, keys=None, kind=zmq.SUB):
        public, secret = keys or zmq.curve_keypair()
        client = self.context.socket(kind)
        client.linger, client.rcvhwm, client.rcvtimeo = 0, 0, 10000
        client.curve_publickey, client.curve_secretkey = public, secret
        client.curve_serverkey = self.key.encode()
        for topic in topics:
            client.subscribe(topic)
        client.connect(self.listen)
        self.clients.append(client)
        return client

    def expect_subscription(self, what):
        end = time.monotonic() + 10
        while self.publisher.poll(50) == 0 and time.monotonic() < end:
            for client in self.clients:  # libzmq subscribes anew after a reconnect only while its program calls it
                if not client.closed:
                    client.poll(0)
        heard = self.publisher.recv()
        expect(heard == what, f"the publisher heard {heard!r} instead of {what!r}")

    def stranger(self, first=b""):
        stranger = socket.socket(socket.AF_UNIX)
        stranger.settimeout(5)
        stranger.connect(self.listen[6:])
        stranger.sendall(first)
        return stranger


def ends(stranger):
    """Whether the gateway closes the connection; what it says before is thrown away."""
    try:
        while stranger.recv(4096):
            pass
        return True
    except ConnectionResetError:
        return True
    except socket.timeout:
        return False


def expect_works(world, topic):
    with world.client(topic) as client:
        world.expect_subscription(b"\x01" + topic)
        world.publisher.send(topic + b" works")
        expect(client.recv() == topic + b" works", "another message")
    world.expect_subscription(b"\x00" + topic)


def twenty_thousand_messages_arrive_whole_and_in_order(home):  # [ZMTP-5]
    with World(home).start() as world:
        client = world.client(b"topic")
        world.expect_subscription(b"\x01topic")
        for number in range(COUNT):
            world.publisher.send_multipart([b"topic", b"%d" % number, b"", b"x" * (number % 700)])
        for number in range(COUNT):
            got = client.recv_multipart()
            expect(got == [b"topic", b"%d" % number, b"", b"x" * (number % 700)], f"message {number} is {got!r:.80}")


def large_parts_between_small_ones_arrive_whole_and_in_order_both_ways(home):  # [ZMTP-5] [GATE-19]
    sizes = (0, 1, 300, 16384, 16385, 16386, 5, 65536, 0, 40000, 262144, 7, 262145, 20000, 20001) * 4
    with World(home).start() as world:
        topic = b"t" * 20000
        client = world.client(topic)
        world.expect_subscription(b"\x01" + topic)
        for number, size in enumerate(sizes):
            world.publisher.send_multipart([topic, b"%d" % number, bytes([number]) * size])
        for number, size in enumerate(sizes):
            got = client.recv_multipart()
            expect(got == [topic, b"%d" % number, bytes([number]) * size], f"message {number} is {got!r:.80}")
        client.unsubscribe(topic)
        world.expect_subscription(b"\x00" + topic)
        talker = world.client(kind=zmq.XSUB)
        for number, size in enumerate(sizes):
            talker.send(b"%03d" % number + bytes([number]) * size)
        for number, size in enumerate(sizes):
            got = world.publisher.recv()
            expect(got == b"%03d" % number + bytes([number]) * size, f"message {number} is {got!r:.80}")


def subscribing_later_and_unsubscribing_reach_the_publisher(home):  # [ZMTP-5]
    with World(home).start() as world:
        client = world.client(b"a")
        world.expect_subscription(b"\x01a")
        client.subscribe(b"b")
        world.expect_subscription(b"\x01b")
        client.unsubscribe(b"a")
        world.expect_subscription(b"\x00a")
        world.publisher.send(b"a lost")
        world.publisher.send(b"b kept")
        expect(client.recv() == b"b kept", "a message of a topic that was left")


def a_client_that_joins_late_and_one_that_comes_again_are_served(home):
    with World(home).start() as world:
        keys = zmq.curve_keypair()
        for _ in range(3):
            client = world.client(b"t", keys=keys)
            world.expect_subscription(b"\x01t")
            world.publisher.send(b"t now")
            expect(client.recv() == b"t now", "another message")
            client.close()
            world.expect_subscription(b"\x00t")


def a_back_end_that_is_away_and_comes_back_is_found_by_the_clients_retries(home):
    with World(home).start(publisher=False) as world:
        client = world.client(b"t")
        time.sleep(0.3)
        for _ in range(2):
            world.publish()
            world.expect_subscription(b"\x01t")
            world.publisher.send(b"t here")
            expect(client.recv() == b"t here", "another message")
            world.unpublish()


def only_keys_of_the_allow_list_get_in_and_a_reload_cuts_off(home):  # [ZMTP-4]
    friend = zmq.curve_keypair()
    with World(home, allow=[friend[0].decode()]).start() as world:
        stranger = world.client(b"stranger")
        client = world.client(b"friend", keys=friend)
        world.expect_subscription(b"\x01friend")
        world.write_config(allow=[])
        world.gateway.process.send_signal(signal.SIGHUP)
        world.expect_subscription(b"\x00friend")
        world.publisher.rcvtimeo = 1000
        expect(world.publisher.poll(1000) == 0, "somebody got in")
        stranger.close()
        client.close()


def a_client_without_curve_is_refused_and_the_back_end_hears_nothing(home):  # [ZMTP-3]
    with World(home).start() as world:
        expect(ends(world.stranger(NULL_GREETING + b"\x04\x06\x05READY" + b"\x00\x02\x01t")), "NULL is not refused")
        expect(world.publisher.poll(300) == 0, "the back end heard of a plain client")
        expect_works(world, b"t")


def garbage_in_every_stage_ends_its_connection_alone(home):
    with World(home).start() as world:
        held = world.client(b"held")
        world.expect_subscription(b"\x01held")
        garbage = [b"GET / HTTP/1.1\r\n\r\n" * 8, bytes(64), b"\xff" * 64, GREETING + b"\x04\x05\x05HELL",
                   GREETING + b"\x00\x00", GREETING + b"\xf8", GREETING + b"\x06" + b"\xff" * 8,
                   GREETING + b"\x04\xc8\x05HELLO" + bytes(194)]
        for words in garbage:
            expect(ends(world.stranger(words)), f"not refused: {words!r:.60}")
        for size in range(0, len(GREETING), 7):
            world.stranger(GREETING[:size]).close()
        world.publisher.send(b"held on")
        expect(held.recv() == b"held on", "a session was lost")


def a_source_that_opens_connections_without_end_is_turned_away(home):
    with World(home).start() as world:
        held = world.client(b"held")
        world.expect_subscription(b"\x01held")
        slow = [world.stranger(GREETING[:20]) for _ in range(HANDSHAKES_PER_SOURCE + 1)]  # the last one waits
        expect(ends(world.stranger(GREETING)), "one more handshake than the limit")
        world.publisher.send(b"held on")
        expect(held.recv() == b"held on", "a session was lost")
        for stranger in slow:
            stranger.close()
        expect_works(world, b"t")


def sigterm_ends_it_within_a_second_and_removes_its_socket(home):
    with World(home).start() as world:
        held = world.client(b"t")
        world.expect_subscription(b"\x01t")
        began = time.monotonic()
        world.gateway.process.terminate()
        status, _, err = world.gateway.finish(10)
        expect(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.1f} s")
        expect(status == 0 and not os.path.exists(world.listen[6:]), f"status {status}, said {err}")
        held.close()


def a_bad_file_starts_nothing(home):
    world = World(home)
    with open(world.config, "a") as file:
        file.write("alow = []\n")
    status, _, err = home.run("gateway", world.config)
    expect(status == 65 and "gateway.toml:7: \"alow\"" in err, f"status {status}, said {err}")
    expect(not os.path.exists(world.listen[6:]), "it listened")
    world.context.destroy()


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        twenty_thousand_messages_arrive_whole_and_in_order,
        large_parts_between_small_ones_arrive_whole_and_in_order_both_ways,
        subscribing_later_and_unsubscribing_reach_the_publisher,
        a_client_that_joins_late_and_one_that_comes_again_are_served,
        a_back_end_that_is_away_and_comes_back_is_found_by_the_clients_retries,
        only_keys_of_the_allow_list_get_in_and_a_reload_cuts_off,
        a_client_without_curve_is_refused_and_the_back_end_hears_nothing,
        garbage_in_every_stage_ends_its_connection_alone, a_source_that_opens_connections_without_end_is_turned_away,
        sigterm_ends_it_within_a_second_and_removes_its_socket, a_bad_file_starts_nothing]))
