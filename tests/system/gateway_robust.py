#!/usr/bin/python3
"""What a gateway outlives: a chamber that is killed or hangs, a log that nobody reads, an endpoint that this kernel
lacks: `gateway_robust.py CAISSON`."""
import os
import signal
import socket
import subprocess
import sys

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gateway_routes import Gateway, connector, converse, listener  # noqa: E402
from home import Failed, children_of, expect, run_tests, time, wait_until  # noqa: E402

UNAVAILABLE = 69
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
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: restarts(gateway) == 1, "the killed chamber is started anew", 20)
        print(f"      killed and started anew within {(time.monotonic() - began) * 1000:.0f} ms", flush=True)
        until_answered(client, server, b"after it was killed")
        until_answered(direct, server, b"a client of libzmq's own")
        second = chamber_of(gateway)
        expect(second not in (None, first), "the chamber is the same process")
        with open(f"/proc/{second}/task/{second}/children") as stream:
            guard = int(stream.read().split()[0])
        os.kill(guard, signal.SIGSTOP)  # without it the chamber cannot be entered: it hangs for whoever asks it
        until_answered(client, server, b"after it hung")
        expect(restarts(gateway) == 2, "the hung chamber was not started anew")
        said = gateway.stop()
        expect(sum("started anew with the same keys" in line["event"] for line in said) == 2, "it was not said twice")
        expect(any(line.get("reason") == "chamber_lost" for line in said), "no session was said to be cut off")


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


def has_vsock_loopback():
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
            probe.bind((1, socket.VMADDR_PORT_ANY))
        return True
    except OSError:
        return False


def vsock_carries_messages_or_is_refused_in_words(home):  # [GATE-17]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        text = (f'[[listener]]\nname = "in"\nlisten = "vsock://*:{VSOCK_PORT}"\nbackend = "{gateway.ipc("app")}"\n'
                f'key = "front"\n' + connector(gateway, "out", f"vsock://1:{VSOCK_PORT}", key))
        if has_vsock_loopback():
            gateway.start(text, "out")
            server = gateway.socket(zmq.ROUTER, bind=gateway.ipc("app"))
            converse(gateway.socket(zmq.DEALER, connect=gateway.ipc("out")), server, [b"over vsock"])
            return
        gateway.write(text)
        status, _, said = home.run("gateway", gateway.config)
        expect(status == UNAVAILABLE and "this kernel has no vsock" in said and "use tcp:// or ipc://" in said,
               f"status {status}: {said}")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [a_killed_or_hung_chamber_is_started_anew_and_sessions_are_made_again,
                                     a_log_that_nobody_reads_stops_no_message,
                                     vsock_carries_messages_or_is_refused_in_words]))
