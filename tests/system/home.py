"""What the system tests share: a home for keys in a temporary folder, and programs started and ended by their pid."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PEER = os.path.join(HERE, "curve_peer.py")
PYTHON = "/usr/bin/python3"  # Debian's, which has pyzmq
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


class Failed(Exception):
    """What was expected and what was seen."""


def expect(condition, what):
    if not condition:
        raise Failed(what)


def z85_bytes(text):
    raw = b""
    for start in range(0, len(text), 5):
        value = 0
        for letter in text[start:start + 5]:
            value = value * 85 + Z85.index(letter)
        raw += value.to_bytes(4, "big")
    return raw


class Started:
    """A program we started, with what it printed so far. What it says goes to a file: nobody reads it meanwhile, and a
    full pipe would stop the program."""

    def __init__(self, words, environment):
        self.words = words
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.said, text=True, env=environment)

    @property
    def pid(self):
        return self.process.pid

    def line(self):
        """The next line it prints."""
        line = self.process.stdout.readline().strip()
        if not line:
            raise Failed(f"{self.words}: ended without a line: {self.what_it_said()}")
        return line

    def what_it_said(self):
        size = os.fstat(self.said.fileno()).st_size
        return os.pread(self.said.fileno(), size, 0).decode(errors="replace")  # its place stays the program's

    def finish(self, timeout=60):
        """(exit status, what it printed, what it said)"""
        out, _ = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, self.what_it_said()

    def expect_ok(self, timeout=60):
        status, out, err = self.finish(timeout)
        expect(status == 0 and out.strip().split("\n")[-1].startswith("ok"),
               f"{self.words}: status {status}, printed {out!r}, said {err!r}")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for file in (self.process.stdout, self.said):
            file.close()


class Home:
    def __init__(self, caisson, folder):
        self.caisson = caisson
        self.folder = folder
        self.started = []
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment.pop("CAISSON_HOME", None)

    def run(self, *words, stdin="", timeout=60, home=None):
        """Runs a verb to its end: (exit status, stdout, stderr)."""
        result = subprocess.run([self.caisson, "--home", home or self.folder, *words], input=stdin,
                                capture_output=True, text=True, timeout=timeout, env=self.environment)
        return result.returncode, result.stdout, result.stderr

    def verb(self, *words, stdin=""):
        status, out, err = self.run(*words, stdin=stdin)
        expect(status == 0, f"caisson {' '.join(words)}: status {status}: {err}")
        return out

    def facts(self, *words, stdin=""):
        return json.loads(self.verb(*words, "--json", stdin=stdin))

    def start(self, *words):
        program = Started(list(words), self.environment)
        self.started.append(program)
        return program

    def start_run(self, *words, keys=()):
        """A program under `caisson run`."""
        chosen = [word for key in keys for word in ("--key", key)]
        return self.start(self.caisson, "--home", self.folder, "run", *chosen, "--", *words)

    def peer_words(self, role, public, secret, **options):
        words = [PYTHON, PEER, role, f"--public={public}", f"--secret={secret}"]  # Z85 may begin with a dash
        return words + [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


@contextlib.contextmanager
def home_for(caisson):
    folder = tempfile.mkdtemp(prefix="caisson_test_")
    home = Home(os.path.abspath(caisson), folder)
    try:
        yield home
    finally:
        for program in home.started:
            program.end()
        shutil.rmtree(folder, ignore_errors=True)


def children_of(pid):
    """The pids of its children, as the kernel tells it."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += [int(word) for word in file.read().split()]
    return found


def wait_until(condition, what, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def run_tests(caisson, tests):
    """Each test gets a home of its own. Exit status for CTest."""
    failed = 0
    for test in tests:
        began = time.monotonic()
        try:
            with home_for(caisson) as home:
                test(home)
            print(f"ok    {time.monotonic() - began:5.1f} s  {test.__name__.replace('_', ' ')}", flush=True)
        except Exception as error:  # whatever it is, the tests after it are played
            failed += 1
            print(f"FAIL  {time.monotonic() - began:5.1f} s  {test.__name__.replace('_', ' ')}: "
                  f"{'' if isinstance(error, Failed) else type(error).__name__ + ': '}{error}", flush=True)
    return 1 if failed else 0


__all__ = ["Failed", "Home", "expect", "home_for", "children_of", "wait_until", "is_alive", "run_tests", "z85_bytes",
           "signal", "sys", "os", "time"]
