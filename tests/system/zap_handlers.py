#!/usr/bin/python3
"""The example ZAP handlers, asked as RFC 27 says: over a file, SQLite, and Debian's slapd: `zap_handlers.py CAISSON`."""
import os
import socket
import sqlite3
import struct
import subprocess
import sys

import zmq
from zmq.utils import z85

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "..", "examples", "zap"))
import passwords  # noqa: E402
from home import PYTHON, expect, run_tests, time, wait_until  # noqa: E402

HANDLERS = os.path.join(HERE, "..", "..", "examples", "zap")
BASE = "dc=example,dc=org"
SILENCE_MS = 300


class Handler:
    """One handler process and a socket that asks it, as a gateway does."""

    def __init__(self, home, script, *words):
        self.endpoint = f"ipc://{home.folder}/zap.ipc"
        self.process = home.start(PYTHON, "-B", os.path.join(HANDLERS, script), self.endpoint, *words)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger, self.socket.rcvtimeo = 0, 10000
        self.socket.connect(self.endpoint)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.process.end()

    def send(self, *frames):
        self.socket.send_multipart([b"", *frames])

    def ask(self, mechanism, *credentials, domain=b"chat"):
        self.send(b"1.0", b"7", domain, b"127.0.0.1", b"", mechanism, *credentials)
        empty, version, request_id, code, _text, user, metadata = self.socket.recv_multipart()
        expect((empty, version, request_id, metadata) == (b"", b"1.0", b"7", b""), "the frames around the verdict")
        expect(user == b"" or code == b"200", "a user without admission")
        return code, user

    def is_silent(self):
        return not self.socket.poll(SILENCE_MS)


def key():
    public, _ = zmq.curve_keypair()
    return z85.decode(public), public.decode()


def judges(handler, raw, user=b"alice"):
    """The verdicts that every list gives alike: alice's key `raw`, bob's password `sesame`."""
    expect(handler.ask(b"CURVE", raw) == (b"200", user), "a key of the list is admitted by its name")
    expect(handler.ask(b"CURVE", key()[0]) == (b"400", b""), "a foreign key is refused")
    expect(handler.ask(b"PLAIN", b"bob", b"sesame") == (b"200", b"bob"), "a right password is admitted")
    expect(handler.ask(b"PLAIN", b"bob", b"Sesame") == (b"400", b""), "a wrong password is refused")
    expect(handler.ask(b"PLAIN", b"bob", b"") == (b"400", b""), "an empty password is refused")
    expect(handler.ask(b"PLAIN", b"eve", b"sesame") == (b"400", b""), "an unknown user is refused")
    expect(handler.ask(b"NULL") == (b"400", b""), "nobody is admitted without credentials")


def a_file_decides_and_is_read_anew(home):
    raw, text = key()
    path = os.path.join(home.folder, "clients.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# who\nchat curve {text} alice\n* plain bob {passwords.kept('sesame')}\n")
    with Handler(home, "file.py", path) as handler:
        judges(handler, raw)
        expect(handler.ask(b"CURVE", raw, domain=b"other") == (b"400", b""), "a line of another domain does not count")
        expect(handler.ask(b"PLAIN", b"bob", b"sesame", domain=b"other")[0] == b"200", "a line of every domain counts")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"chat curve {text}\n")
        expect(handler.ask(b"CURVE", raw) == (b"500", b""), "a broken list admits nobody")
        os.remove(path)
        expect(handler.ask(b"CURVE", raw) == (b"500", b""), "a missing list admits nobody")


def what_is_no_request_gets_no_answer(home):
    raw, text = key()
    path = os.path.join(home.folder, "clients.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"* curve {text} alice\n")
    with Handler(home, "file.py", path) as handler:
        wait_until(lambda: os.path.exists(handler.endpoint[6:]), "the handler listens", 10)
        for frames in ((b"2.0", b"7", b"chat", b"", b"", b"CURVE", raw), (b"1.0", b"7", b"chat", b"", b"", b"CURVE"),
                       (b"1.0", b"7", b"chat", b"", b"", b"CURVE", raw[:31]),
                       (b"1.0", b"7", b"chat", b"", b"", b"GSSAPI", b"x"), (b"1.0",),
                       (b"1.0", b"7", b"\xff", b"", b"", b"CURVE", raw),
                       (b"1.0", b"7", b"chat" * 1000, b"", b"", b"CURVE", raw)):
            handler.send(*frames)
        expect(handler.is_silent(), "an answer to what is no request")
        expect(handler.ask(b"CURVE", raw) == (b"200", b"alice"), "the next right request is answered")


def sqlite_decides(home):
    raw, text = key()
    path = os.path.join(home.folder, "clients.db")
    subprocess.run([PYTHON, "-B", os.path.join(HANDLERS, "sqlite.py"), "--init", path], check=True)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO curve VALUES ('chat', ?, 'alice')", (text,))
        database.execute("INSERT INTO plain VALUES ('*', 'bob', ?)", (passwords.kept("sesame"),))
    with Handler(home, "sqlite.py", path) as handler:
        judges(handler, raw)
        with sqlite3.connect(path) as database:
            database.execute("DELETE FROM curve")
        expect(handler.ask(b"CURVE", raw) == (b"400", b""), "a deleted key is refused at once")
        database.close()
        os.remove(path)
        expect(handler.ask(b"CURVE", raw) == (b"500", b""), "a missing database admits nobody")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_slapd(home, entries):
    """Debian's slapd on loopback with a directory of its own; (process, URL)."""
    folder = os.path.join(home.folder, "ldap")
    os.makedirs(os.path.join(folder, "data"))
    config = os.path.join(folder, "slapd.conf")
    with open(config, "w", encoding="ascii") as file:
        schemas = "".join(f"include /etc/ldap/schema/{name}.schema\n" for name in ("core", "cosine", "inetorgperson"))
        file.write(f"{schemas}modulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {folder}/slapd.pid\n"
                   f"database mdb\nmaxsize 10485760\nsuffix {BASE}\ndirectory {folder}/data\n"
                   "access to attrs=userPassword by anonymous auth by * none\naccess to * by * read\n")
    subprocess.run(["/usr/sbin/slapadd", "-f", config], input=entries, text=True, check=True, capture_output=True)
    port = free_port()
    process = home.start("/usr/sbin/slapd", "-d", "0", "-f", config, "-h", f"ldap://127.0.0.1:{port}")

    def listens():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens, "slapd listens", 15)
    return process, f"ldap://127.0.0.1:{port}"


# A key whose text differs in the case of one letter; not every such text is one.
def in_other_case(text):
    for at, letter in enumerate(text):
        if letter.isalpha():
            try:
                return z85.decode((text[:at] + letter.swapcase() + text[at + 1:]).encode())
            except struct.error:  # above 32 bits
                pass
    raise AssertionError(f"no letter of {text} can be of the other case")


def an_ldap_directory_decides(home):
    raw, text = key()
    person = "objectClass: inetOrgPerson\ncn: {0}\nsn: {0}\nuid: {0}\n"
    entries = (f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n"
               f"dn: uid=alice,{BASE}\n{person.format('alice')}description: {text}\n\n"
               f"dn: uid=bob,{BASE}\n{person.format('bob')}userPassword: sesame\n")
    slapd, url = start_slapd(home, entries)
    with Handler(home, "directory.py", url, BASE) as handler:
        judges(handler, raw)
        expect(handler.ask(b"CURVE", in_other_case(text))[0] != b"200", "a key that differs by case is another key")
        expect(handler.ask(b"PLAIN", b"bob,dc=example", b"sesame") == (b"400", b""), "a name is no path")
        expect(handler.ask(b"PLAIN", b"*", b"sesame") == (b"400", b""), "a name is no pattern")
        slapd.end()
        expect(handler.ask(b"CURVE", raw) == (b"500", b""), "a directory that is gone admits nobody")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [a_file_decides_and_is_read_anew, what_is_no_request_gets_no_answer,
                                     sqlite_decides, an_ldap_directory_decides]))
