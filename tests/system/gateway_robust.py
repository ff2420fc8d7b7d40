#!/usr/bin/python3
"""What a gateway outlives: a chamber that is killed or hangs, a log that nobody reads, an endpoint that this kernel
lacks: `gateway_robust.py CAISSON`."""
import datetime
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway_routes import Gateway, connector, converse, listener  # noqa: E402
from gateway_vsock import between_programs, has_vsock_loopback  # noqa: E402
from home import Failed, children_of, expect, run_tests, time, wait_until  # noqa: E402

UNAVAILABLE = 69
DETECTION_MS_MAX = 100
KILLS_MAX = 5
VSOCK_PORT = 34567


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def chamber_of(gateway):
    """The locked-down process of its chamber; it stands below the gateway or its nursery."""
    def below(pid):
        for child in children_of(pid):
            yield child
            yield from below(child)
    for pid in below(gateway.process.pid):
        with open(f"/proc/{pid}/status") as stream, open(f"/proc/{pid}/comm") as name:
            if "Seccomp:\t2" in stream.read() and "guard" not in name.read():
                return pid
    return None


def restarts(gateway):
    name = "caisson_gateway_chamber_restarts_total "
    return [int(line[len(name):]) for line in gateway.http("/metrics").splitlines() if line.startswith(name)][0]


class Lateness(threading.Thread):
    """Sleeps of a millisecond, and how much longer they take on this machine now: what a loaded one keeps from us."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ended = False
        self.late = []  # (when it should have ended, by how much it was late)
        self.start()

    def run(self):
        while not self.ended:
            wanted = time.time() + 0.001
            time.sleep(0.001)
            self.late.append((wanted, time.time() - wanted))

    def until(self, moment):
        self.ended = True
        self.join()
        return sum(min(late, moment - wanted) for wanted, late in self.late if wanted < moment)


def kill_chamber(gateway):
    """How many ms after its chamber was killed the gateway knew, by its log, less what a loaded machine took of them."""
    before = restarts(gateway)
    chamber = chamber_of(gateway)
    expect(chamber is not None, "the gateway has no locked-down chamber")
    lateness, killed = Lateness(), time.time()
    os.kill(chamber, signal.SIGKILL)
    wait_until(lambda: restarts(gateway) == before + 1, "the killed chamber is started anew", 20)
    told = [line["time"] for line in map(json.loads, gateway.process.what_it_said().splitlines())
            if "the chamber has ended" in line["event"]]
    known = datetime.datetime.strptime(told[-1], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    took, late = known.timestamp() - killed, lateness.until(known.timestamp())
    print(f"      that it was killed was known within {took * 1000:.0f} ms, of which {late * 1000:.0f} were late",
          flush=True)
    return 1000 * (took - late)


def until_answered(client, server, text):
    """libzmq makes the session anew by itself; what was on its way may be lost, so it is sent until it comes."""
    poller = zmq.Poller()
    poller.register(client, zmq.POLLIN)
    poller.register(server, zmq.POLLIN)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        client.send(text)
        for one, _ in poller.poll(300):
            parts = one.recv_multipart()
            if one is server:
                server.send_multipart(parts)
            elif parts == [text]:
                return
    raise Failed("no answer within 30 s")


def a_killed_or_hung_chamber_is_started_anew_and_sessions_are_made_again(home):  # [GATE-40]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        port = free_port()
        gateway.start(f'[[listener]]\nname = "in"\nlisten = "tcp://127.0.0.1:{port}"\nbackend = "{gateway.ipc("app")}"\n'
                      f'key = "front"\n' + connector(gateway, "out", f"tcp://127.0.0.1:{port}", key), "out")
        server = gateway.socket(zmq.ROUTER, bind=gateway.ipc("app"))
        client = gateway.socket(zmq.DEALER, connect=gateway.ipc("out"))
        direct = gateway.curve_client(zmq.DEALER, key, f"tcp://127.0.0.1:{port}")
        converse(client, server, [b"before"])
        first = chamber_of(gateway)
        expect(first is not None, "the gateway has no locked-down chamber")
        known_ms = []
        while not known_ms or (min(known_ms) > DETECTION_MS_MAX and len(known_ms) < KILLS_MAX):
            known_ms.append(kill_chamber(gateway))
        expect(min(known_ms) <= DETECTION_MS_MAX, f"known within {known_ms} ms")
        until_answered(client, server, b"after it was killed")
        until_answered(direct, server, b"a client of libzmq's own")
        second = chamber_of(gateway)
        expect(second not in (None, first), "the chamber is the same process")
        with open(f"/proc/{second}/task/{second}/children") as stream:
            guard = int(stream.read().split()[0])
        os.kill(guard, signal.SIGSTOP)  # without it the chamber cannot be entered: it hangs for whoever asks it
        until_answered(client, server, b"after it hung")
        expect(restarts(gateway) == len(known_ms) + 1, "the hung chamber was not started anew")
        said = gateway.stop()
        expect(sum("started anew with the same keys" in line["event"] for line in said) == len(known_ms) + 1,
               "it was not said each time")
        expect(any(line.get("reason") == "chamber_lost" for line in said), "no session was said to be cut off")


def silent_connections(source, port, count):
    """Connections that say nothing, all of one source."""
    opened = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
        one.setblocking(False)
        opened.append(one)
    return opened


def heard(connections):
    """How many of them were greeted: the others are waiting, or were closed unread."""
    count = 0
    for one in connections:
        try:
            count += len(one.recv(64, socket.MSG_PEEK)) > 0
        except BlockingIOError:
            pass
    return count


def one_source_takes_no_other_sources_place(home):  # [GATE-3] [GATE-18] [CURVE-52]
    with Gateway(home) as gateway:
        key, port = gateway.key("front"), free_port()
        gateway.start("connections_max = 8\nhandshakes_max = 4\nhandshakes_per_source = 2\n"
                      f'[[listener]]\nname = "in"\nlisten = "tcp://127.0.0.1:{port}"\nbackend = "{gateway.ipc("app")}"\n'
                      'key = "front"\n')
        server = gateway.socket(zmq.ROUTER, bind=gateway.ipc("app"))
        greedy = silent_connections("127.0.0.66", port, 12)
        wait_until(lambda: gateway.metric("ended_total", "in", reason="too_many") == 4, "four are above the limit", 20)
        wait_until(lambda: heard(greedy) >= 2, "handshakes of one source are under way", 20)
        expect(heard(greedy) == 2, f"{heard(greedy)} handshakes of one source are under way")
        client = gateway.curve_client(zmq.DEALER, key, f"tcp://127.0.0.1:{port}")
        converse(client, server, [b"all connections are taken, but by who waits"])
        expect(gateway.metric("ended_total", "in", reason="too_many") == 5, "nobody gave way")
        expect(heard(greedy) == 2 and gateway.metric("handshakes", "in") == 7, "who gave way was no waiting one")
        second = silent_connections("127.0.0.67", port, 3)
        wait_until(lambda: heard(second) == 2, "another source's handshakes begin", 20)
        began = time.monotonic()
        late = gateway.curve_client(zmq.DEALER, key, f"tcp://127.0.0.1:{port}")
        converse(late, server, [b"all handshakes are taken"])
        print(f"      with all handshakes taken: {time.monotonic() - began:.1f} s", flush=True)
        expect(gateway.metric("ended_total", "in", reason="handshake_time") >= 1, "no handshake gave way")
        said = gateway.stop()
        expect(any("others wait for its place" in line["event"] for line in said), "it was not said why")
        for one in greedy + second:
            one.close()


class Numbers:
    """A client that sends numbers, as fast as they are taken, from a thread of its own."""

    def __init__(self, gateway, server_key, letter):
        self.public, secret = zmq.curve_keypair()
        self.socket = gateway.curve_client(zmq.PUSH, server_key, gateway.ipc("in"), keys=(self.public, secret),
                                           sndtimeo=100, sndhwm=1000)
        self.letter, self.stopped = letter, False
        self.thread = threading.Thread(target=self.send)
        self.thread.start()

    def send(self):
        number = 0
        while not self.stopped:
            try:
                self.socket.send(self.letter + b"%08d" % number + self.letter * (number % 1500))
                number += 1
            except zmq.Again:
                pass

    def stop(self):
        self.stopped = True
        self.thread.join()


def receive_numbers(sink, last, wanted):
    """Until so many more have come of each letter in `wanted`; those of a letter only rise, and each comes whole."""
    more = dict.fromkeys(wanted, 0)
    end = time.monotonic() + 60
    while any(more[letter] < wanted[letter] for letter in wanted):
        expect(time.monotonic() < end, f"within 60 s came {more}")
        text = sink.recv()
        letter, number = text[:1], int(text[1:9])
        expect(text[9:] == letter * (number % 1500), f"a message of {letter} is not what was sent")
        expect(number > last.get(letter, -1), f"{number} of {letter} came after {last.get(letter)}")
        last[letter] = number
        if letter in more:
            more[letter] += 1


def frames_keep_their_order_when_a_chamber_dies_at_work_and_a_reload_ends_sessions(home):  # [GATE-19]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in"), "in")
        sink = gateway.socket(zmq.PULL, bind=gateway.ipc("in.app"))
        clients = [Numbers(gateway, key, letter) for letter in (b"a", b"b", b"c")]
        try:
            last = {}
            receive_numbers(sink, last, {b"a": 2000, b"b": 2000, b"c": 2000})
            os.kill(chamber_of(gateway), signal.SIGKILL)
            wait_until(lambda: restarts(gateway) == 1, "the killed chamber is started anew", 20)
            receive_numbers(sink, last, {b"a": 2000, b"b": 2000, b"c": 2000})
            kept = [client.public.decode() for client in clients[:2]]
            gateway.write(listener(gateway, "in", more=f"allow = ['{kept[0]}', '{kept[1]}']\n"))
            gateway.reload()
            wait_until(lambda: gateway.metric("ended_total", "in", reason="revoked") == 1, "one is cut off", 10)
            receive_numbers(sink, last, {b"a": 4000, b"b": 4000})
        finally:
            for client in clients:
                client.stop()
        said = gateway.stop()
        bad = [line for line in said if line.get("reason") == "bad_message"]
        expect(not bad, f"a message did not open: {bad}")


def what_a_peer_sent_before_it_went_arrives_at_a_slow_program(home):  # [GATE-22]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.start(listener(gateway, "in"), "in")
        sink = gateway.socket(zmq.PULL, rcvhwm=10, bind=gateway.ipc("in.app"))
        count = 60
        with zmq.Context() as context:  # leaving it waits until the gateway has taken all of it
            public, secret = zmq.curve_keypair()
            source = context.socket(zmq.PUSH)
            source.linger = 20000
            source.curve_publickey, source.curve_secretkey, source.curve_serverkey = public, secret, key.encode()
            source.connect(gateway.ipc("in"))
            for number in range(count):
                source.send(b"%06d" % number + bytes(10000))
        for number in range(count):
            expect(sink.recv()[:6] == b"%06d" % number, f"message {number} of {count} is another")
        wait_until(lambda: gateway.metric("ended_total", "in", reason="closed") == 1, "its link ends", 20)


def a_log_that_nobody_reads_stops_no_message(home):  # [GATE-33]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        gateway.write(listener(gateway, "in"))
        reader, writer = os.pipe()
        process = subprocess.Popen([home.caisson, "--home", home.folder, "gateway", gateway.config], stderr=writer,
                                   env=home.environment)
        try:
            wait_until(lambda: os.path.exists(gateway.ipc("in")[6:]), "the gateway listens", 30)
            server = gateway.socket(zmq.ROUTER, bind=gateway.ipc("in.app"))
            for _ in range(1200):  # each is a line of the log, and a pipe holds 64 KiB
                stranger = socket.socket(socket.AF_UNIX)
                stranger.connect(gateway.ipc("in")[6:])
                stranger.sendall(b"GET / HTTP/1.0\r\n\r\n" + bytes(64))
                stranger.settimeout(20)
                while stranger.recv(4096):
                    pass
                stranger.close()
            client = gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"))
            converse(client, server, [b"nobody reads"])
            os.set_blocking(reader, False)
            text = b""
            while piece := read_some(reader):
                text += piece
            client.close()
            wait_until(lambda: b"lines were dropped here" in read_some(reader), "it says that lines were dropped", 20)
            expect(b"refused" in text, "the first lines are missing")
        finally:
            process.terminate()
            process.wait(20)
            os.close(reader)
            os.close(writer)


def read_some(reader):
    try:
        return os.read(reader, 65536)
    except BlockingIOError:
        return b""


def vsock_is_refused_in_words_where_the_kernel_does_not_carry_it_between_programs(home):  # [GATE-17]
    if has_vsock_loopback():
        return  # gateway_vsock.py carries messages
    with Gateway(home) as gateway:
        gateway.write(between_programs(gateway, gateway.key("front")))
        status, _, said = home.run("gateway", gateway.config)
        expect(status == UNAVAILABLE and "this kernel has no vsock" in said and "use tcp:// or ipc://" in said,
               f"status {status}: {said}")


def has_vsock():
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
        return True
    except OSError:
        return False


def a_listener_on_vsock_is_there_and_a_server_that_is_not_is_tried_again_in_words(home):  # [GATE-5] [GATE-17]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        text = (f'[[listener]]\nname = "in"\nlisten = "vsock://*:{VSOCK_PORT}"\nbackend = "{gateway.ipc("app")}"\n'
                f'key = "front"\n' + connector(gateway, "out", f"vsock://2:{VSOCK_PORT}", key))
        if not has_vsock():
            gateway.write(text)
            status, _, said = home.run("gateway", gateway.config)
            expect(status == UNAVAILABLE and "load vsock and a transport" in said, f"status {status}: {said}")
            return
        gateway.start(text, "out")
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as other:
            try:
                other.bind((socket.VMADDR_CID_ANY, VSOCK_PORT))
                raise Failed("the port is free: nobody listens")
            except OSError as error:
                expect(error.errno == errno.EADDRINUSE, str(error))
        second = os.path.join(home.folder, "second.toml")
        with open(second, "w") as stream:
            stream.write(text.replace("/out", "/out2"))
        os.chmod(second, 0o600)
        status, _, said = home.run("gateway", second)
        expect(status != 0 and f"vsock://*:{VSOCK_PORT}: another program listens there already" in said, said)
        program = gateway.socket(zmq.DEALER, connect=gateway.ipc("out"))  # nobody serves it, on the host or at all
        wait_until(lambda: "; again in" in gateway.process.what_it_said(), "the connector tries again", 60)
        said = [line["event"] for line in gateway.stop() if "; again in" in line["event"]]
        expect(f"vsock://2:{VSOCK_PORT}: " in said[0], said[0])
        why = said[0].split(f"vsock://2:{VSOCK_PORT}: ", 1)[1]
        expect("the connection to the server broke: " in why or why.startswith("connecting to "), f"no reason: {why}")
        program.close()


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [a_killed_or_hung_chamber_is_started_anew_and_sessions_are_made_again,
                                     one_source_takes_no_other_sources_place,
                                     frames_keep_their_order_when_a_chamber_dies_at_work_and_a_reload_ends_sessions,
                                     what_a_peer_sent_before_it_went_arrives_at_a_slow_program,
                                     a_log_that_nobody_reads_stops_no_message,
                                     vsock_is_refused_in_words_where_the_kernel_does_not_carry_it_between_programs,
                                     a_listener_on_vsock_is_there_and_a_server_that_is_not_is_tried_again_in_words]))
