#!/usr/bin/python3
"""The plain side of `caisson gateway`, and what an operator is told of it: `gateway_plain.py CAISSON`."""
import json
import os
import socket
import sys

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fabric import free_port  # noqa: E402
from gateway_routes import PARTS, Gateway, ZapHandler, converse, listener  # noqa: E402
from home import expect, run_tests, wait_until, z85_bytes  # noqa: E402


class Door:
    """A back end that says nothing: a listening socket that tells whether anybody has come."""

    def __init__(self, gateway, name):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(gateway.ipc(name)[6:])
        self.socket.listen()
        self.socket.setblocking(False)
        self.visitors = []

    def has_a_visitor(self):
        try:
            self.visitors.append(self.socket.accept()[0])
            return True
        except BlockingIOError:
            return False

    def close(self):
        for one in [self.socket] + self.visitors:
            one.close()


def says(client):
    """The client, which libzmq connects again and again for as long as somebody holds it."""
    client.send(b"x")
    return client


def is_refused(gateway, name, reason):
    wait_until(lambda: gateway.metric("ended_total", name, reason=reason) >= 1, f"{name}: {reason}", 30)


def nobody_connects_to_the_program_for_a_client_that_is_refused(home):  # [GATE-1] [GATE-20]
    with Gateway(home) as gateway:
        key = gateway.key("front")
        friend, listed, stranger = (zmq.curve_keypair() for _ in range(3))
        handler = ZapHandler(gateway, {(b"CURVE", z85_bytes(friend[0].decode())): b"friend",
                                       (b"PLAIN", b"alice", b"secret"): b"alice"})
        asks = f"zap = '{handler.endpoint}'\n"
        names = ", ".join(f"'{keys[0].decode()}'" for keys in (friend, listed))
        gateway.start(listener(gateway, "in", more=f"{asks}allow = [{names}]\n") +
                      without_key(listener(gateway, "plain", more=asks + "mechanism = 'plain'\nunprotected = true\n")) +
                      listener(gateway, "away", more=f"zap = '{gateway.ipc('nobody')}'\n"), "in", "plain", "away")
        doors = {name: Door(gateway, name + ".app") for name in ("in", "plain", "away")}
        clients = [says(gateway.curve_client(zmq.DEALER, key, gateway.ipc("away"), keys=friend))]  # who waits 10 s
        garbage = socket.socket(socket.AF_UNIX)
        garbage.connect(gateway.ipc("in")[6:])
        garbage.sendall(b"GET / HTTP/1.1\r\n\r\n" * 8)
        is_refused(gateway, "in", "no_zmtp")
        for keys, reason in ((stranger, "not_listed"), (listed, "zap_refused")):
            clients.append(says(gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=keys)))
            is_refused(gateway, "in", reason)
        clients.append(says(gateway.socket(zmq.DEALER, connect=gateway.ipc("plain"), plain_username=b"alice",
                                           plain_password=b"no")))
        is_refused(gateway, "plain", "zap_refused")
        is_refused(gateway, "away", "zap_unavailable")
        for name, door in doors.items():
            expect(not door.has_a_visitor(), f"{name}: the program was connected to for somebody who was refused")
        clients += [says(gateway.curve_client(zmq.DEALER, key, gateway.ipc("in"), keys=friend)),
                    says(gateway.socket(zmq.DEALER, connect=gateway.ipc("plain"), plain_username=b"alice",
                                        plain_password=b"secret"))]
        for name in ("in", "plain"):
            wait_until(doors[name].has_a_visitor, f"{name}: the program is connected to for who is admitted", 30)
        for door in doors.values():
            door.close()
        garbage.close()
        handler.stop()


def without_key(text):
    return text.replace('key = "front"\n', "")


def unprotected_connector(gateway, name, connect, mechanism, more=""):
    return (f'[[connector]]\nname = "{name}"\nlisten = "{gateway.ipc(name)}"\nconnect = "{connect}"\n'
            f'mechanism = "{mechanism}"\nunprotected = true\n{more}')


def plain_connector(gateway, name, password):
    path = os.path.join(gateway.home.folder, name + ".password")
    with open(path, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(password + "\n")
    return unprotected_connector(gateway, name, gateway.ipc("server"), "plain",
                                 f'username = "alice"\npassword_file = "{path}"\n')


def connectors_speak_plain_with_the_password_of_their_file_and_null(home):  # [GATE-4] [ZMTP-6]
    with Gateway(home) as gateway:
        handler = ZapHandler(gateway, {(b"PLAIN", b"alice", b"open sesame"): b"alice"})
        gateway.start(
            without_key(listener(gateway, "server", more=f"zap = '{handler.endpoint}'\nmechanism = 'plain'\n"
                                 "unprotected = true\n")) +
            plain_connector(gateway, "right", "open sesame") + plain_connector(gateway, "wrong", "close sesame") +
            unprotected_connector(gateway, "null", gateway.ipc("libzmq"), "null"), "server", "right", "wrong", "null")
        behind = gateway.socket(zmq.ROUTER, bind=gateway.ipc("server.app"))
        converse(gateway.socket(zmq.DEALER, connect=gateway.ipc("right")), behind, PARTS)
        expect(gateway.metric("unprotected", "right") == 1, "not shown as unprotected")
        wrong = says(gateway.socket(zmq.DEALER, connect=gateway.ipc("wrong")))
        is_refused(gateway, "server", "zap_refused")
        is_refused(gateway, "wrong", "outer_unavailable")
        expect(behind.poll(200) == 0, "a wrong password brought a message in")
        wrong.close()
        converse(gateway.socket(zmq.DEALER, connect=gateway.ipc("null")),
                 gateway.socket(zmq.ROUTER, bind=gateway.ipc("libzmq")), PARTS)
        handler.stop()
        said = json.dumps(gateway.stop())
        expect(said.count("UNPROTECTED") >= 4 and "sesame" not in said, f"the log: {said}")


def fetch(port, path):
    with socket.create_connection(("127.0.0.1", port)) as asker:
        asker.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while piece := asker.recv(65536):
            answer += piece
    return answer.decode()


def metrics_over_tcp_count_clients_whose_program_is_not_there(home):  # [GATE-30] [GATE-31]
    with Gateway(home) as gateway:
        key, port = gateway.key("front"), free_port()
        gateway.start(f'metrics = "tcp://127.0.0.1:{port}"\n' + listener(gateway, "in"), "in")
        client = says(gateway.curve_client(zmq.DEALER, key, gateway.ipc("in")))
        is_refused(gateway, "in", "plain_unavailable")
        answer = fetch(port, "/metrics")
        lines = [line.rsplit(" ", 1) for line in answer.splitlines()]
        counted = [int(value) for name, *value in lines for value in value
                   if name == 'caisson_gateway_ended_total{listener="in",reason="plain_unavailable"}']
        expect(answer.startswith("HTTP/1.") and " 200 OK" in answer.splitlines()[0], f"answered {answer[:200]}")
        expect(len(counted) == 1 and counted[0] >= 1, f"over TCP: {answer}")
        expect(" 404 " in fetch(port, "/nothing").splitlines()[0], "a page that is not there")
        client.close()
        refused = [line["event"] for line in gateway.stop() if line.get("reason") == "plain_unavailable"]
        expect(refused and all("refused: " in one or "takes no connection" in one for one in refused), f"said {refused}")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        nobody_connects_to_the_program_for_a_client_that_is_refused,
        connectors_speak_plain_with_the_password_of_their_file_and_null,
        metrics_over_tcp_count_clients_whose_program_is_not_there]))
