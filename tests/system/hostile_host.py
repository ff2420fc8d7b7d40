"""Alpha's host works against alpha's gate: it withholds, delays and replays what the attestation server says.

The fabric is the story's. In each case beta's measured file is changed while alpha's host cheats; messages to beta must
stop within the hold time (1 s) of the verdict, and flow again once the host is honest and the file is back.
usage: hostile_host.py CAISSON
"""
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))
import story  # noqa: E402

TIME_ANSWER = 103  # docs/spec/measurement.md, section 5
DELAY_S = 1.5      # longer than the hold time
DELIVERY_S = 0.5   # from the gate to the subscriber's clock, on a busy machine


def head_size(body, at):
    """The size of the CBOR head at `at`."""
    return {24: 2, 25: 3, 26: 5, 27: 9}.get(body[at] & 31, 1)


def fields_of(body):
    """(type, request's bytes, the rest) of a frame: [type, request, ...]."""
    start = head_size(body, 0)
    end = start + head_size(body, start)
    kind = int.from_bytes(body[start + 1:end], "big") if end - start > 1 else body[start] & 31
    after = end + head_size(body, end)
    return kind, body[end:after], body[after:]


def split_answer(rest):
    """A time answer's token (with its head) and its results."""
    size = head_size(rest, 0)
    length = int.from_bytes(rest[1:size], "big") if size > 1 else rest[0] & 31
    return rest[:size + length], rest[size + length:]


def receive(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def receive_frame(connection):
    return receive(connection, int.from_bytes(receive(connection, 4), "big"))


class Proxy:
    """Stands where alpha's agent.sock was and hands frames on, honestly or not."""

    def __init__(self, path):
        self.mode = "honest"
        self.cheated = 0
        self.recorded = []
        self.real = str(path.with_name("agent.real.sock"))
        os.rename(path, self.real)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o600)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, program):
        agent = socket.socket(socket.AF_UNIX)
        try:
            agent.connect(self.real)
            while True:
                asked = receive_frame(program)
                agent.sendall(len(asked).to_bytes(4, "big") + asked)
                answer = self.tamper(receive_frame(agent))
                program.sendall(len(answer).to_bytes(4, "big") + answer)
        except OSError:
            pass
        finally:
            program.close()
            agent.close()

    def tamper(self, answer):
        kind, request, rest = fields_of(answer)
        if kind != TIME_ANSWER:
            return answer
        mode = self.mode
        if mode == "honest":
            self.recorded = (self.recorded + [rest])[-64:]
            return answer
        self.cheated += 1
        if mode == "delays":
            time.sleep(DELAY_S)
            return answer
        old = self.recorded[self.cheated % len(self.recorded)]
        if mode == "replays verdicts":  # under the newest time
            old = split_answer(rest)[0] + split_answer(old)[1]
        return b"\x84\x18" + bytes([TIME_ANSWER]) + request + old


class HostileHost:
    def __init__(self, caisson, state):
        self.fabric = story.Fabric(caisson, state)
        self.story = story.Story(self.fabric, lambda name, seconds, evidence: print(f"{name}: {evidence}", flush=True))
        self.proxy = None

    def build_up(self):
        for name, step in self.story.build_up():
            if name == "messages":  # the gateway's first connection is already the proxy's
                self.proxy = Proxy(self.fabric.home("alpha") / "agent" / "agent.sock")
            self.story.play([(name, step)])

    def agent(self):
        return self.fabric.processes["alpha agent"]

    def cheat(self, mode):
        before = self.proxy.cheated
        if mode == "withholds":
            self.agent().send_signal(signal.SIGSTOP)
        else:
            self.proxy.mode = mode
            self.fabric.wait_for(f"the host {mode}", 5, lambda: self.proxy.cheated > before)

    def be_honest(self):
        self.agent().send_signal(signal.SIGCONT)
        self.proxy.mode = "honest"

    def one_case(self, mode):
        started = time.time()
        self.cheat(mode)
        self.story.change_file()
        evidence = self.story.messages_stop()
        last = max(self.fabric.ticks())
        self.be_honest()
        self.story.restore_file()
        print(f"the host {mode}: {evidence}; {last - started:.2f} s after the host began", flush=True)

    def only_withheld(self):
        """No verdict at all: trust still ends with the hold time."""
        started = time.time()
        self.cheat("withholds")
        time.sleep(story.HOLD_MS / 1000 + 1.5)
        seen = len(self.fabric.ticks())
        last = max(self.fabric.ticks()) - started
        if last > story.STOP_BOUND_S + DELIVERY_S:
            raise story.StepFailed(f"a message arrived {last:.2f} s after the host began to withhold time")
        self.be_honest()
        self.fabric.wait_for("messages flow again", 20, lambda: len(self.fabric.ticks()) >= seen + 20)
        print(f"the host withholds time: last message {last:.2f} s later, although nothing had changed", flush=True)


def main():
    state = Path(tempfile.mkdtemp(prefix="hostile-"))
    host = HostileHost(sys.argv[1], state)
    try:
        host.build_up()
        host.only_withheld()
        for mode in ("withholds", "delays", "replays", "replays verdicts"):
            host.one_case(mode)
        print("ok: no cheating of the host prolonged trust")
        return 0
    except story.StepFailed as failure:
        print(f"failed: {failure}")
        for name in ("gateway", "alpha agent", "beta agent", "subscriber"):
            print(f"--- {name}\n{host.fabric.log_text(name)[-2000:]}")
        return 1
    finally:
        if host.proxy:
            host.be_honest()
        host.fabric.stop()
        shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
