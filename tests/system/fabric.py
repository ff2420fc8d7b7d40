"""What the system tests of agents and servers share: programs with logs, started and ended by their pid."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time


class Failed(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Failed(what)


class Program:
    """A started program whose lines go to a file, so that nothing blocks on a pipe."""

    def __init__(self, words, log):
        self.log = log
        self.stream = open(log, "ab")
        self.offset = os.path.getsize(log)
        self.process = subprocess.Popen(words, stdout=self.stream, stderr=self.stream, stdin=subprocess.DEVNULL)

    def text(self):
        with open(self.log, "rb") as stream:
            stream.seek(self.offset)
            return stream.read().decode(errors="replace")

    def forget(self):
        self.offset = os.path.getsize(self.log)

    def says(self, what, timeout=20):
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if what in self.text():
                return
            if self.process.poll() is not None and what not in self.text():
                break
            time.sleep(0.05)
        raise Failed(f"{self.log} did not say {what!r} but:\n{self.text()[-2000:]}")

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.stream.close()
        return self.process.returncode


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Fabric:
    """`caisson`, run to its end or started, with one home for each role."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.started = []

    def caisson(self, home, *words):
        done = subprocess.run([self.program, "--home", home, *words], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def verb(self, home, *words):
        status, out, err = self.caisson(home, *words)
        expect(status == 0, f"caisson {' '.join(words)}: {status} {out} {err}")
        return out

    def start(self, words, log):
        program = Program(words, os.path.join(self.folder, log))
        self.started.append(program)
        return program

    def end(self):
        for program in reversed(self.started):
            program.end()


def play(story_of, done, logs):
    """Plays a story in a folder of its own; ends what it started; prints "ok: ..." or what failed."""
    folder = tempfile.mkdtemp(prefix="agent-", dir="/tmp")
    story = story_of(folder)
    try:
        story.play()
        print(f"ok: {done}")
        return 0
    except Failed as failure:
        print(f"failed: {failure}")
        for name in logs:
            path = os.path.join(folder, name)
            if os.path.exists(path):
                with open(path, errors="replace") as stream:
                    print(f"--- {name}\n{stream.read()[-3000:]}")
        return 1
    finally:
        story.end()
        shutil.rmtree(folder, ignore_errors=True)
