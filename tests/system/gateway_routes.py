#!/usr/bin/python3
"""Both sides of `caisson gateway`, every socket type, PLAIN, NULL and ZAP, and what an operator sees:
`gateway_routes.py CAISSON`."""
import json
import os
import signal
import socket
import sys
import threading
import time

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import PYTHON, Failed, expect, run_tests, wait_until, z85_bytes  # noqa: E402

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "zap")
PATIENCE_MS = 15000
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)


class Gateway:
    """A gateway with a configuration, started and ended by its test, and sockets that are closed with it."""

    def __init__(self, home):
        self.home = home
        self.config = os.path.join(home.folder, "gateway.toml")
        self.context = zmq.Context()
        self.keys = {}

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _trace):
        self.context.destroy(linger=0)
        if isinstance(error, zmq.Again):
            self.process.process.terminate()
            raise Failed(f"nothing came; the gateway said {self.process.finish(10)[2][-3000:]}") from error

    def ipc(self, name):
        return f"ipc://{self.home.folder}/{name}"

    def key(self, name):
        self.keys[name] = self.home.facts("key", "new", name, "--ungated")["public_key"]
        return self.keys[name]

    def write(self, text):
        with open(self.config, "w") as file:
            file.write(text)

    def start(self, text, *listens):
        self.write(text)
        self.process = self.home.start(self.home.caisson, "--home", self.home.folder, "--json", "gateway", self.config)
        for name in listens:
            wait_until(lambda name=name: os.path.exists(self.ipc(name)[6:]), f"the gateway listens at {name}", 30)
        wait_until(self.answers, "the gateway answers who asks for its state", 30)
        return self

    def answers(self):
        folder = os.path.join(self.home.folder, "gateway")
        return os.path.isdir(folder) and any(name.endswith(".sock") for name in os.listdir(folder))

    def reload(self):
        self.process.process.send_signal(signal.SIGHUP)

    def stop(self):
        """What it wrote, as JSON lines."""
        self.process.process.terminate()
        status, _, err = self.process.finish(20)
        expect(status == 0, f"status {status}: {err}")
        return [json.loads(line) for line in err.splitlines()]

    def socket(self, kind, bind=None, connect=None, **options):
        one = self.context.socket(kind)
        one.linger, one.rcvtimeo, one.sndtimeo = 0, PATIENCE_MS, PATIENCE_MS
        for name, value in options.items():
            setattr(one, name, value)
        if bind:
            one.bind(bind)
        if connect:
            one.connect(connect)
        return one

    def curve_client(self, kind, server_key, connect, keys=None, **options):
        public, secret = keys or zmq.curve_keypair()
        return self.socket(kind, connect=connect, curve_publickey=public, curve_secretkey=secret,
                           curve_serverkey=server_key.encode(), **options)

    def curve_server(self, kind, bind, **options):
        public, secret = zmq.curve_keypair()
        return public.decode(), self.socket(kind, bind=bind, curve_server=True, curve_publickey=public,
                                            curve_secretkey=secret, **options)

    def http(self, path):
        """What the gateway answers on its own socket."""
        folder = os.path.join(self.home.folder, "gateway")
        asker = socket.socket(socket.AF_UNIX)
        asker.connect(os.path.join(folder, [name for name in os.listdir(folder) if name.endswith(".sock")][0]))
        asker.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while piece := asker.recv(65536):
            answer += piece
        return answer.split(b"\r\n\r\n", 1)[1].decode()

    def metric(self, name, listener, **labels):
        wanted = "".join(f',{label}="{value}"' for label, value in labels.items())
        start = f'caisson_gateway_{name}{{listener="{listener}"{wanted}}} '
        return [int(line[len(start):]) for line in self.http("/metrics").splitlines() if line.startswith(start)][0]


def listener(gateway, name, key="front", more=""):
    return (f'[[listener]]\nname = "{name}"\nlisten = "{gateway.ipc(name)}"\nbackend = "{gateway.ipc(name + ".app")}"\n'
            f'key = "{key}"\n{more}')


def connector(gateway, name, connect, server_key, key="front", more=""):
    return (f"[[connector]]\nname = \"{name}\"\nlisten = \"{gateway.ipc(name)}\"\nconnect = \"{connect}\"\n"
            f"key = \"{key}\"\nserver_key = '{server_key}'\n{more}")


def converse(left, right, parts):
    """left to right and back, as these types do it."""
    left.send_multipart(parts)
    got = right.recv_multipart()
    expect(got[-len(parts):] == parts, f"got {got!r:.100}")
    right.send_multipart(got[:-len(parts)] + [b"back"] + parts)
    got = left.recv_multipart()
    expect(got[-len(parts) - 1:] == [b"back"] + parts, f"back came {got!r:.100}")


PARTS = [b"", b"x", b"y" * 255, b"z" * 256, b"w" * 100000]
TALKS = [(zmq.REQ, zmq.REP), (zmq.DEALER, zmq.ROUTER), (zmq.DEALER, zmq.DEALER), (zmq.PAIR, zmq.PAIR),
         (zmq.REQ, zmq.ROUTER), (zmq.DEALER, zmq.REP)]


def talk(kinds, left, right):
    if kinds == (zmq.DEALER, zmq.REP):
        left.send_multipart([b""] + PARTS)
        expect(right.recv_multipart() == PARTS, "another request")
        right.send_multipart(PARTS)
        expect(left.recv_multipart() == [b""] + PARTS, "another answer")
    else:
        converse(left, right, PARTS)


def one_way(make_from, make_to):
    """PUSH/PULL and the four of PUB/SUB, each with multipart; topics come and go."""
    source, sink = make_from(zmq.PUSH), make_to(zmq.PULL)
    source.send_multipart(PARTS)
    expect(sink.recv_multipart() == PARTS, "PUSH to PULL")
    source.close()
    sink.close()


def subscribes(publisher, subscriber, sub_kind):
    if sub_kind == zmq.SUB:
        subscriber.subscribe(b"a")
    else:
        subscriber.send(b"\x01a")
    expect(publisher.recv() == b"\x01a", "another subscription")
    publisher.send_multipart([b"b lost"])
    publisher.send_multipart([b"a"] + PARTS)
    expect(subscriber.recv_multipart() == [b"a"] + PARTS, "another message")
    if sub_kind == zmq.SUB:
        subscriber.unsubscribe(b"a")
    else:
        subscriber.send(b"\x00a")
    expect(publisher.recv() == b"\x00a", "another end of a subscription")


def every_socket_type_talks_through_a_listener(home):  # [ZMTP-5] [ZMTP-9]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in"), "in")
        for kinds in TALKS:
            right = gateway.socket(kinds[1], bind=gateway.ipc("in.app"))
            left = gateway.curve_client(kinds[0], key, gateway.ipc("in"))
            talk(kinds, left, right)
            left.close()
            right.close()
        for pub_kind, sub_kind in ((zmq.XPUB, zmq.SUB), (zmq.XPUB, zmq.XSUB)):
            publisher = gateway.socket(pub_kind, bind=gateway.ipc("in.app"))
            subscriber = gateway.curve_client(sub_kind, key, gateway.ipc("in"))
            subscribes(publisher, subscriber, sub_kind)
            publisher.close()
            subscriber.close()
        one_way(lambda kind: gateway.curve_client(kind, key, gateway.ipc("in")),
                lambda kind: gateway.socket(kind, bind=gateway.ipc("in.app")))
        one_way(lambda kind: gateway.socket(kind, bind=gateway.ipc("in.app")),
                lambda kind: gateway.curve_client(kind, key, gateway.ipc("in")))


def every_socket_type_talks_through_a_connector(home):  # [GATE-4]
    with Gateway(home) as gateway:
        gateway.key("front")
        public, secret = zmq.curve_keypair()
        gateway.start(connector(gateway, "out", gateway.ipc("server"), public.decode()), "out")

        def server(kind):
            return gateway.socket(kind, bind=gateway.ipc("server"), curve_server=True, curve_publickey=public,
                                  curve_secretkey=secret)
        for kinds in TALKS:
            # Bound first: a socket that was closed may still take a connection, and what is sent to it is lost.
            right = server(kinds[1])
            left = gateway.socket(kinds[0], connect=gateway.ipc("out"))
            talk(kinds, left, right)
            left.close()
            right.close()
        for sub_kind in (zmq.SUB, zmq.XSUB):
            publisher = server(zmq.XPUB)
            subscriber = gateway.socket(sub_kind, connect=gateway.ipc("out"))
            subscribes(publisher, subscriber, sub_kind)
            publisher.close()
            subscriber.close()
        one_way(lambda kind: gateway.socket(kind, connect=gateway.ipc("out")), server)
        one_way(server, lambda kind: gateway.socket(kind, connect=gateway.ipc("out")))


def two_gateways_carry_plain_programs_and_router_identities(home):  # [GATE-4]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in") + connector(gateway, "out", gateway.ipc("in"), key), "in", "out")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        dealers = [gateway.socket(zmq.DEALER, routing_id=b"dealer%d" % number, connect=gateway.ipc("out"))
                   for number in range(3)]
        for number, dealer in enumerate(dealers):
            dealer.send_multipart([b"from %d" % number] + PARTS)
        seen = sorted(router.recv_multipart() for _ in dealers)
        expect(seen == [[b"dealer%d" % number, b"from %d" % number] + PARTS for number in range(3)], "other identities")
        for number in (2, 0, 1):
            router.send_multipart([b"dealer%d" % number, b"to %d" % number])
        for number, dealer in enumerate(dealers):
            expect(dealer.recv() == b"to %d" % number, "another one's message")


def applications_read_the_peers_key_and_a_client_cannot_forge_it(home):  # [ZMTP-9]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        keys = zmq.curve_keypair()
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=keys)
        client.send(b"who am I")
        message = router.recv_multipart(copy=False)[-1]
        expect(message.get("X-Caisson-Key") == keys[0].decode(), "another key in the property")
        forger = gateway.context.socket(zmq.DEALER)
        forger.linger = 0
        public, secret = zmq.curve_keypair()
        forger.curve_publickey, forger.curve_secretkey, forger.curve_serverkey = public, secret, key.encode()
        forger.setsockopt(getattr(zmq, "METADATA", 95), b"X-Caisson-Key:forged")
        forger.connect(gateway.ipc("in"))
        forger.send(b"who am I")
        message = router.recv_multipart(copy=False)[-1]
        expect(message.get("X-Caisson-Key") == public.decode(), f"forged: {message.get('X-Caisson-Key')}")


def a_program_waits_until_its_server_is_there_and_finds_it_again(home):  # [GATE-5]
    with Gateway(home) as gateway:
        gateway.key("front")
        public, secret = zmq.curve_keypair()
        gateway.start(connector(gateway, "out", gateway.ipc("server"), public.decode(),
                                more="reconnect_ms = 50\nreconnect_max_ms = 200\n"), "out")
        program = gateway.socket(zmq.PUSH, connect=gateway.ipc("out"))
        program.send(b"early")
        wait_until(lambda: gateway.metric("ended_total", "out", reason="outer_unavailable") >= 3, "three tries", 10)
        for word in (b"early", b"later"):
            server = gateway.socket(zmq.PULL, bind=gateway.ipc("server"), curve_server=True, curve_publickey=public,
                                    curve_secretkey=secret)
            if word == b"later":
                program.send(word)
            expect(server.recv() == word, "another message")
            server.close()
            wait_until(lambda: gateway.metric("sessions_open", "out") == 0, "the broken session ends", 10)
        lines = gateway.stop()
        pauses = [line["event"].rsplit("again in ", 1)[1] for line in lines if "again in " in line["event"]]
        expect(pauses[:3] == ["50 ms", "100 ms", "200 ms"], f"pauses {pauses}")


def a_server_with_another_key_is_never_talked_to_and_the_log_says_so(home):  # [GATE-5]
    with Gateway(home) as gateway:
        gateway.key("front")
        wrong = zmq.curve_keypair()[0].decode()
        _, server = gateway.curve_server(zmq.PULL, gateway.ipc("server"))
        gateway.start(connector(gateway, "out", gateway.ipc("server"), wrong), "out")
        program = gateway.socket(zmq.PUSH, connect=gateway.ipc("out"))
        program.send(b"secret")
        wait_until(lambda: gateway.metric("ended_total", "out", reason="outer_unavailable") >= 1, "a refusal", 10)
        expect(server.poll(300) == 0, "a message reached another server")
        gateway.stop()


def a_plain_side_beyond_this_machine_is_forced_and_said_loudly(home):  # [ZMTP-8]
    with Gateway(home) as gateway:
        gateway.key("front")
        beyond = listener(gateway, "far").replace(gateway.ipc("far.app"), "tcp://192.0.2.1:5555")
        gateway.write(beyond)
        status, _, err = home.run("gateway", gateway.config)
        expect(status != 0 and "plain_leaves_machine" in err, f"it was taken: {status} {err}")
        gateway.start(beyond + "plain_leaves_machine = true\n", "far")
        said = [line["event"] for line in gateway.stop() if "PLAIN SIDE BEYOND LOOPBACK" in line["event"]]
        expect(len(said) == 1 and "192.0.2.1" in said[0], f"said {said}")


def null_and_plain_pass_and_say_loudly_that_nothing_is_protected(home):  # [ZMTP-6]
    with Gateway(home) as gateway:
        handler = ZapHandler(gateway, {(b"PLAIN", b"alice", b"secret"): b"alice"})
        gateway.start(
            f'[[listener]]\nname = "null"\nlisten = "{gateway.ipc("null")}"\nbackend = "{gateway.ipc("null.app")}"\n'
            'mechanism = "null"\nunprotected = true\n'
            f'[[listener]]\nname = "plain"\nlisten = "{gateway.ipc("plain")}"\nbackend = "{gateway.ipc("plain.app")}"\n'
            f'mechanism = "plain"\nunprotected = true\nzap = "{handler.endpoint}"\n', "null", "plain")
        for name, options in (("null", {}), ("plain", {"plain_username": b"alice", "plain_password": b"secret"})):
            router = gateway.socket(zmq.ROUTER, bind=gateway.ipc(name + ".app"))
            converse(gateway.socket(zmq.DEALER, connect=gateway.ipc(name), **options), router, PARTS)
            expect(gateway.metric("unprotected", name) == 1, "not shown as unprotected")
        wrong = gateway.socket(zmq.DEALER, connect=gateway.ipc("plain"), plain_username=b"alice", plain_password=b"no")
        wrong.send(b"x")
        wait_until(lambda: gateway.metric("ended_total", "plain", reason="zap_refused") >= 1, "a refusal", 10)
        curve = gateway.curve_client(zmq.DEALER, zmq.curve_keypair()[0].decode(), gateway.ipc("null"))
        curve.send(b"x")
        wait_until(lambda: sum(gateway.metric("ended_total", "null", reason=reason) for reason in ("no_zmtp", "closed")),
                   "another mechanism is refused, by the gateway or by libzmq's own close", 10)
        handler.stop()
        loud = [line["event"] for line in gateway.stop() if "UNPROTECTED" in line["event"] and "listens" in line["event"]]
        expect(len(loud) == 2 and "passwords are readable" in loud[1], f"said {loud}")


class ZapHandler:
    """A handler as RFC 27 has it, on a REP; who is not in `known` hears 400."""

    def __init__(self, gateway, known, name="zap"):
        self.known, self.asked, self.stopped = known, [], False
        self.endpoint = gateway.ipc(name)
        self.socket = gateway.context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(self.endpoint)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.stopped:
            if self.socket.poll(50):
                version, request, domain, address, identity, *rest = self.socket.recv_multipart()
                self.asked.append((domain, address, identity, *rest))
                user = self.known.get(tuple(rest))
                status = [b"200", b"OK", user] if user else [b"400", b"not known", b""]
                self.socket.send_multipart([version, request, *status, b""])
        self.socket.close()

    def stop(self):
        self.stopped = True
        self.thread.join()


def the_users_own_zap_handler_is_asked_after_the_chamber_and_can_only_refuse(home):  # [GATE-20] [ZMTP-4]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        friend, listed, stranger = (zmq.curve_keypair() for _ in range(3))
        raw = {keys[0]: z85_bytes(keys[0].decode()) for keys in (friend, listed, stranger)}
        handler = ZapHandler(gateway, {(b"CURVE", raw[friend[0]]): b"friend", (b"CURVE", raw[stranger[0]]): b"stranger"})
        gateway.start(listener(gateway, "in", more=f"zap = '{handler.endpoint}'\nzap_domain = 'test'\n"
                               f"allow = ['{friend[0].decode()}', '{listed[0].decode()}']\n"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        clients = [gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=keys, routing_id=b"me")
                   for keys in (friend, listed, stranger)]
        for client in clients:
            client.send(b"hello")
        message = router.recv_multipart(copy=False)[-1]
        expect(message.get("User-Id") == "friend", f"user {message.get('User-Id')}")
        for reason in ("zap_refused", "not_listed"):
            wait_until(lambda reason=reason: gateway.metric("ended_total", "in", reason=reason) >= 1, reason, 10)
        expect(router.poll(300) == 0, "somebody else got in")
        domain, address, identity, mechanism, credential = handler.asked[0]
        expect((domain, identity, mechanism) == (b"test", b"me", b"CURVE"), f"asked {handler.asked[0]}")
        expect(all(asked[-1] != raw[stranger[0]] for asked in handler.asked), "a client the list refuses was asked about")
        handler.stop()


def the_example_handler_over_a_file_judges_keys_and_passwords(home):  # [GATE-20]
    with Gateway(home) as gateway:
        key, friend, path = gateway.key("front"), zmq.curve_keypair(), os.path.join(home.folder, "people")
        sys.path.insert(0, EXAMPLES)
        import passwords  # pylint: disable=import-outside-toplevel
        with open(path, "w") as file:
            file.write(f"* curve {friend[0].decode()} alice\n* plain bob {passwords.kept('open sesame')}\n")
        home.start(PYTHON, "-B", os.path.join(EXAMPLES, "file.py"), gateway.ipc("zap"), path)
        wait_until(lambda: os.path.exists(gateway.ipc("zap")[6:]), "the handler", 20)
        asks = f"zap = '{gateway.ipc('zap')}'\n"
        gateway.start(listener(gateway, "curve", more=asks) +
                      listener(gateway, "plain", more=asks + "mechanism = 'plain'\nunprotected = true\n")
                      .replace('key = "front"\n', ""), "curve", "plain")
        behind = {name: gateway.socket(zmq.ROUTER, bind=gateway.ipc(name + ".app")) for name in ("curve", "plain")}
        for name, user, client in (
                ("curve", "alice", gateway.curve_client(zmq.DEALER, key, gateway.ipc("curve"), keys=friend)),
                ("plain", "bob", gateway.socket(zmq.DEALER, connect=gateway.ipc("plain"), plain_username=b"bob",
                                                plain_password=b"open sesame"))):
            client.send(b"hello")
            got = behind[name].recv_multipart(copy=False)[-1]
            expect(got.get("User-Id") == user, f"admitted as {got.get('User-Id')!r}")
        for name, client in (
                ("curve", gateway.curve_client(zmq.DEALER, key, gateway.ipc("curve"))),
                ("plain", gateway.socket(zmq.DEALER, connect=gateway.ipc("plain"), plain_username=b"bob",
                                         plain_password=b"close sesame"))):
            client.send(b"hello")
            wait_until(lambda name=name: gateway.metric("ended_total", name, reason="zap_refused") >= 1, name, 15)
            expect(behind[name].poll(100) == 0, "a refused client's message arrived")


def a_handler_that_is_away_admits_nobody_and_is_found_when_it_comes(home):  # [GATE-20]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in", more=f"zap = '{gateway.ipc('zap')}'\n"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        keys = zmq.curve_keypair()
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=keys)
        client.send(b"hello")
        expect(router.poll(500) == 0, "admitted without a handler")
        handler = ZapHandler(gateway, {(b"CURVE", z85_bytes(keys[0].decode())): b"friend"})
        expect(router.recv_multipart()[-1] == b"hello", "another message")
        handler.stop()


def several_keys_serve_one_listener_and_a_reload_takes_one_back_within_a_second(home):  # [GATE-10] [GATE-11]
    with Gateway(home) as gateway:
        old, new = gateway.key("old"), gateway.key("new")
        both = listener(gateway, "in").replace('key = "front"', 'keys = ["new", "old"]')
        gateway.start(both, "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        clients = {name: gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), routing_id=name.encode())
                   for name, key in (("old", old), ("new", new))}
        for name, client in clients.items():
            converse(client, router, [name.encode()])
        gateway.write(both.replace(', "old"', ""))
        began = time.monotonic()
        gateway.reload()
        wait_until(lambda: gateway.metric("sessions_open", "in") == 1, "the session of the old key ends", 5)
        expect(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.2f} s")
        converse(clients["new"], router, [b"still here"])
        opened = gateway.metric("sessions_opened_total", "in")
        expect(opened == 2, f"{opened} sessions: the one that stays was opened anew")


def a_list_that_is_written_anew_counts_at_once_and_a_bad_one_changes_nothing(home):  # [GATE-12]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        friend, other = zmq.curve_keypair(), zmq.curve_keypair()
        path = os.path.join(home.folder, "friends")

        def write_list(*keys):
            with open(path + ".new", "w") as file:
                file.write("# friends\n" + "".join(one.decode() + "\n" for one in keys))
            os.rename(path + ".new", path)

        write_list(friend[0])
        gateway.start(listener(gateway, "in", more=f'allow_file = "{path}"\n'), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=friend)
        converse(client, router, [b"hello"])
        with open(path, "a") as file:
            file.write("no key\n")
        time.sleep(0.8)
        converse(client, router, [b"still"])
        began = time.monotonic()
        write_list(other[0])
        wait_until(lambda: gateway.metric("sessions_open", "in") == 0, "the session ends", 5)
        expect(time.monotonic() - began < 1, f"it took {time.monotonic() - began:.2f} s")
        newcomer = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=other)
        converse(newcomer, router, [b"me now"])


def a_reload_opens_and_closes_listeners_and_a_bad_file_changes_nothing(home):  # [GATE-13]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "one"), "one")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("one.app"))
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("one"))
        converse(client, router, [b"a"])
        gateway.write(listener(gateway, "one") + "nonsense = 1\n")
        gateway.reload()
        time.sleep(0.3)
        converse(client, router, [b"b"])
        gateway.write(listener(gateway, "one") + listener(gateway, "two"))
        gateway.reload()
        wait_until(lambda: os.path.exists(gateway.ipc("two")[6:]), "the new listener", 5)
        converse(client, router, [b"c"])
        gateway.write(listener(gateway, "two"))
        with Knocker(gateway.ipc("one")[6:]):
            gateway.reload()
            wait_until(lambda: not os.path.exists(gateway.ipc("one")[6:]), "the old listener goes", 20)
        expect('"listener":"one"' not in gateway.http("/sessions"), "its session is still there")
        lines = gateway.stop()
        expect(any("nonsense" in line["event"] and "nothing was changed" in line["event"] for line in lines),
               "the bad file is not in the log")


class Knocker:
    """Connects again and again, so that a listener that goes has somebody at its door."""

    def __init__(self, path):
        self.path, self.stopped = path, False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopped:
            with socket.socket(socket.AF_UNIX) as one:
                if one.connect_ex(self.path) != 0:
                    time.sleep(0.001)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stopped = True
        self.thread.join()


def heartbeats_are_answered_and_a_silent_peer_is_cut_off(home):  # [ZMTP-7]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in", more="heartbeat_ms = 200\nheartbeat_timeout_ms = 300\n"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"), heartbeat_ivl=100, heartbeat_timeout=300)
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), heartbeat_ivl=100, heartbeat_timeout=300,
                                      heartbeat_ttl=400)
        converse(client, router, [b"a"])
        time.sleep(1.5)
        converse(client, router, [b"b"])
        expect(gateway.metric("sessions_opened_total", "in") == 1, "the session was opened anew")
        peer = gateway.home.start(sys.executable, "-c", STOPPABLE, gateway.ipc("in"), key)
        expect(peer.line() == "sent", "no client")
        wait_until(lambda: gateway.metric("sessions_open", "in") == 2, "the client that will be silent", 10)
        os.kill(peer.pid, signal.SIGSTOP)
        wait_until(lambda: gateway.metric("ended_total", "in", reason="silent") == 1, "it is cut off", 5)
        os.kill(peer.pid, signal.SIGCONT)


STOPPABLE = """
import sys, time, zmq
client = zmq.Context().socket(zmq.DEALER)
client.curve_publickey, client.curve_secretkey = zmq.curve_keypair()
client.curve_serverkey = sys.argv[2].encode()
client.connect(sys.argv[1])
client.send(b"x")
print("sent", flush=True)
time.sleep(60)
"""


def top_shows_the_sessions_and_every_refusal_is_counted_and_logged_in_words(home):  # [GATE-30] [GATE-31] [GATE-32]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        friend = zmq.curve_keypair()
        gateway.start(listener(gateway, "in", more=f"allow = ['{friend[0].decode()}']\n"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=friend)
        converse(client, router, [b"12345"])
        stranger = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"))
        stranger.send(b"x")
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(gateway.ipc("in")[6:])
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n" * 8)
        for reason in ("not_listed", "no_zmtp"):
            wait_until(lambda reason=reason: gateway.metric("ended_total", "in", reason=reason) >= 1, reason, 10)
        state = json.loads(home.verb("--json", "top"))["gateways"][0]["state"]
        session = [one for one in state["sessions"] if one["stage"] == "open"][0]
        expect((session["key"], session["messages_in"], session["bytes_in"], session["messages_out"]) ==
               (friend[0].decode(), 1, 5, 1), f"top says {session}")
        table = home.verb("top", "--once")
        expect(friend[0].decode() in table and "LISTENER" in table, f"top shows {table}")
        expect(state["listeners"][0]["lists"] == session["lists"] == "host" and " host " in table,
               f"a list of the host is shown as another's: {state['listeners']}, {table}")
        expect("platform process" in table and "development root, no hardware trust" in table, f"top shows {table}")
        lines = gateway.stop()
        chamber = [line for line in lines if "curve chamber on" in line["event"]]
        expect([(one["platform"], one["root"], one["debug"]) for one in chamber] == [("process", "file", "false")],
               f"the log says {chamber}")
        refused = {line["reason"]: line for line in lines if "refused" in line["event"]}
        expect("not in the allow list" in refused["not_listed"]["event"] and refused["not_listed"]["key"], f"{refused}")
        expect("does not speak ZMTP" in refused["no_zmtp"]["event"], f"{refused}")
        status, _, err = home.run("top")
        expect(status == 66 and "no gateway runs" in err, f"without a gateway: {status}, {err}")


def a_side_that_does_not_read_stops_the_other_and_nothing_is_lost(home):  # [GATE-6]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in"), "in")
        for way in ("inward", "outward"):
            if way == "inward":
                sink = gateway.socket(zmq.PULL, rcvhwm=1, bind=gateway.ipc("in.app"))
                source = gateway.curve_client(zmq.PUSH, key, gateway.ipc("in"), sndhwm=1)
            else:
                source = gateway.socket(zmq.PUSH, sndhwm=1, bind=gateway.ipc("in.app"))
                sink = gateway.curve_client(zmq.PULL, key, gateway.ipc("in"), rcvhwm=1)
            source.send(b"%06d" % 0 + bytes(50000))
            source.sndtimeo = 1000
            sent = 1
            try:
                while sent < 2000:
                    source.send(b"%06d" % sent + bytes(50000))
                    sent += 1
            except zmq.Again:
                pass
            expect(10 < sent < 500, f"{way}: {sent} messages of 50 kB went in before it stopped")
            status = open(f"/proc/{gateway.process.pid}/status").read()
            resident = int(status.split("VmRSS:")[1].split()[0])
            expect(resident < 400000, f"{way}: the gateway holds {resident} KiB")
            for number in range(sent):
                expect(sink.recv()[:6] == b"%06d" % number, f"{way}: message {number} is another")
            source.close()
            sink.close()


def a_flood_leaves_the_others_their_share(home):  # [GATE-7]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in"), "in")
        router = gateway.socket(zmq.ROUTER, rcvhwm=1000, bind=gateway.ipc("in.app"))
        clients = [gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), routing_id=b"%d" % number, sndhwm=0)
                   for number in range(4)]
        counts = {b"%d" % number: 0 for number in range(4)}
        for number, client in enumerate(clients):  # the first brings ten times as much
            for _ in range(40000 if number == 0 else 4000):
                client.send(bytes(64), zmq.DONTWAIT)
        while min(counts[b"%d" % number] for number in (1, 2, 3)) < 4000:
            counts[router.recv_multipart()[0]] += 1
        share = 3 * 4000 / max(counts[b"0"], 1)
        expect(share >= 0.8, f"the flood brought {counts[b'0']} while three others brought 4000 each")


def a_frame_above_the_limit_ends_its_link_by_its_head(home):  # [GATE-8]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in", more="message_bytes_max = 100000\n"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), routing_id=b"me")
        converse(client, router, [bytes(90000)])
        client.send(bytes(100001))
        wait_until(lambda: gateway.metric("ended_total", "in", reason="too_large") == 1, "the link ends", 10)
        converse(client, router, [b"again"])
        router.send_multipart([b"me", bytes(100001)])
        wait_until(lambda: gateway.metric("ended_total", "in", reason="too_large") == 2, "the other way too", 10)


def messages_larger_than_a_request_pass_both_ways_between_small_ones(home):  # [GATE-9]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in") + connector(gateway, "out", gateway.ipc("in"), key), "in", "out")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        dealer = gateway.socket(zmq.DEALER, connect=gateway.ipc("out"))
        for size in (262110, 262111, 262143, 262144, 262145, 262177, 1 << 20, 9000001):
            converse(dealer, router, [b"small", bytes(range(256)) * (size // 256) + b"x" * (size % 256), b"", b"y"])
        expect(gateway.metric("sessions_opened_total", "in") == 1, "a session broke")


def a_large_message_that_is_altered_on_the_way_reaches_nobody(home):  # [GATE-9]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        between = Altering(gateway.ipc("in")[6:], gateway.ipc("between")[6:], 900000)
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("between"))
        client.send(bytes(1 << 20))
        wait_until(lambda: gateway.metric("ended_total", "in", reason="bad_message") >= 1, "the link ends", 20)
        expect(router.poll(300) == 0, "a forged message arrived")
        between.stop()


class Altering:
    """Carries octets between two unix sockets; of what the client sends, the octet at `place` is another one."""

    def __init__(self, to, listen, place):
        self.to, self.place, self.stopped, self.sent = to, place, False, bytearray()
        self.door = socket.socket(socket.AF_UNIX)
        self.door.bind(listen)
        self.door.listen()
        self.door.settimeout(0.2)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.stopped:
            try:
                client = self.door.accept()[0]
            except TimeoutError:
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.to)
            back = threading.Thread(target=self.carry, args=(server, client, -1))
            back.start()
            self.carry(client, server, self.place, self.sent)
            back.join()
            client.close()
            server.close()
        self.door.close()

    def carry(self, source, sink, place, record=None):
        source.settimeout(0.2)
        sent = 0
        while not self.stopped:
            try:
                piece = bytearray(source.recv(65536))
                if not piece:
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                if sent <= place < sent + len(piece):
                    piece[place - sent] ^= 1
                sent += len(piece)
                if record is not None:
                    record += piece
                sink.sendall(piece)
            except TimeoutError:
                continue
            except OSError:
                return

    def stop(self):
        self.stopped = True
        self.thread.join()


def what_a_connector_says_of_its_program_has_room_in_a_jeromq_server(home):  # [CURVE-18]
    with Gateway(home) as gateway:
        gateway.key("front")
        public, server = gateway.curve_server(zmq.ROUTER, gateway.ipc("server"))
        between = Altering(gateway.ipc("server")[6:], gateway.ipc("between")[6:], -1)
        gateway.start(connector(gateway, "out", gateway.ipc("between"), public), "out")
        dealer = gateway.socket(zmq.DEALER, connect=gateway.ipc("out"), identity=b"i" * 221)
        converse(dealer, server, [b"x"])
        between.stop()
        at = between.sent.index(b"\x08INITIATE")
        metadata = int.from_bytes(between.sent[at - 8:at]) - 257  # what else INITIATE has
        expect(metadata == 256, f"INITIATE has {metadata} octets of metadata")


def a_refused_client_hears_a_close_and_no_error(home):  # [GATE-1] [GATE-2]
    with Gateway(home) as gateway:
        gateway.key("front")
        gateway.start(listener(gateway, "in", more="allow = []\n"), "in")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        for first in (b"GET / HTTP/1.1\r\n\r\n" * 8, GREETING.replace(b"CURVE", b"NULL\0") + b"\x04\x06\x05READY",
                      GREETING + b"\x04\xc8\x05HELLO" + bytes(194)):
            stranger = socket.socket(socket.AF_UNIX)
            stranger.settimeout(10)
            stranger.connect(gateway.ipc("in")[6:])
            stranger.sendall(first)
            heard = b""
            try:
                while piece := stranger.recv(4096):
                    heard += piece
            except ConnectionResetError:
                pass
            expect(len(heard) <= 64 and b"ERROR" not in heard, f"a stranger heard {heard!r}")
        expect(router.poll(200) == 0, "the program heard of a stranger")


def a_program_of_another_user_is_refused_on_the_plain_side(home):  # [ZMTP-8]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        other = os.getuid() + 1
        gateway.start(listener(gateway, "in", more=f"backend_uid = {other}\n") +
                      connector(gateway, "out", gateway.ipc("in"), key, more=f"program_uid = {other}\n"), "in", "out")
        router = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
        client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"))
        client.send(b"x")
        program = gateway.socket(zmq.DEALER, connect=gateway.ipc("out"))
        program.send(b"x")
        for name in ("in", "out"):
            wait_until(lambda name=name: gateway.metric("ended_total", name, reason="plain_user") >= 1, name, 10)
        expect(router.poll(200) == 0, "a program of another user got a message")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        every_socket_type_talks_through_a_listener, every_socket_type_talks_through_a_connector,
        two_gateways_carry_plain_programs_and_router_identities,
        applications_read_the_peers_key_and_a_client_cannot_forge_it,
        a_program_waits_until_its_server_is_there_and_finds_it_again,
        a_server_with_another_key_is_never_talked_to_and_the_log_says_so,
        a_plain_side_beyond_this_machine_is_forced_and_said_loudly,
        null_and_plain_pass_and_say_loudly_that_nothing_is_protected,
        the_users_own_zap_handler_is_asked_after_the_chamber_and_can_only_refuse,
        the_example_handler_over_a_file_judges_keys_and_passwords,
        a_handler_that_is_away_admits_nobody_and_is_found_when_it_comes,
        several_keys_serve_one_listener_and_a_reload_takes_one_back_within_a_second,
        a_list_that_is_written_anew_counts_at_once_and_a_bad_one_changes_nothing,
        a_reload_opens_and_closes_listeners_and_a_bad_file_changes_nothing,
        heartbeats_are_answered_and_a_silent_peer_is_cut_off,
        top_shows_the_sessions_and_every_refusal_is_counted_and_logged_in_words,
        a_side_that_does_not_read_stops_the_other_and_nothing_is_lost, a_flood_leaves_the_others_their_share,
        a_frame_above_the_limit_ends_its_link_by_its_head,
        messages_larger_than_a_request_pass_both_ways_between_small_ones,
        a_large_message_that_is_altered_on_the_way_reaches_nobody,
        what_a_connector_says_of_its_program_has_room_in_a_jeromq_server, a_refused_client_hears_a_close_and_no_error,
        a_program_of_another_user_is_refused_on_the_plain_side]))
