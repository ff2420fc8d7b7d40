#!/usr/bin/env python3
"""The main job of caisson on one machine, played for real: `./up` calls it.

An attestation server, two attested nodes (alpha, beta), a plain publisher behind `caisson gateway` on alpha and an
unmodified CURVE subscriber under `caisson run` on beta. A measured file on beta is changed: trust falls, the
messages stop. It is restored: they flow again.

    story.py            starts the fabric and shows its state until Ctrl-C
    story.py --once     plays the story unattended, one line a step; exit 0 only if every step was observed
"""
import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import memory_scan  # noqa: E402

TOP = Path(__file__).resolve().parent.parent
PROGRAMS = TOP / "tools" / "story"
PYTHON = "/usr/bin/python3"  # Debian's, which has python3-zmq
NODES = ("alpha", "beta")
MEASURED_FILES = ("/bin/ls", "/bin/cat", "/usr/bin/env", "/etc/os-release", "/etc/debian_version", "/etc/passwd",
                  "/etc/login.defs", "/usr/lib/os-release")
CHANGED_FILE = "etc/login.defs"
INTERVAL_MS = 500
HOLD_MS = 1000
STOP_BOUND_S = 1.0
REFUSED = "is not trusted now, or not known yet"  # the gateway's words for it


class StepFailed(Exception):
    pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def curve_key_pair():
    import zmq
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def z85_bytes(text):
    raw = b""
    for start in range(0, len(text), 5):
        value = 0
        for letter in text[start:start + 5]:
            value = value * 85 + memory_scan.Z85.index(letter)
        raw += value.to_bytes(4, "big")
    return raw


class Fabric:
    """All processes and files of the story. Everything it starts it ends by pid; all files lie below `state`."""

    def __init__(self, caisson, state):
        self.caisson = str(caisson)
        self.state = state
        self.processes = {}
        self.server_address = f"127.0.0.1:{free_port()}"
        self.gateway_endpoint = f"tcp://127.0.0.1:{free_port()}"

    def home(self, who):
        return self.state / who

    def log_path(self, name):
        return self.state / f"{name}.log"

    def run(self, who, *arguments, text=None):
        """Runs a verb to its end and returns what it printed; a failure is a failed step with the verb's own words."""
        done = subprocess.run([self.caisson, "--home", str(self.home(who)), *arguments], input=text,
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise StepFailed(f"`caisson {' '.join(arguments)}` exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self, name, command):
        log = open(self.log_path(name), "ab")
        self.processes[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def start_verb(self, name, who, *arguments):
        self.start(name, [self.caisson, "--home", str(self.home(who)), *arguments])

    def log_text(self, name):
        try:
            return self.log_path(name).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def check_alive(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                tail = "\n".join(self.log_text(name).splitlines()[-5:])
                raise StepFailed(f"{name} ended with {process.returncode}:\n{tail}")

    def wait_for(self, what, seconds, condition):
        """Polls `condition` until it gives something true. Returns that."""
        deadline = time.monotonic() + seconds
        while True:
            self.check_alive()
            result = condition()
            if result:
                return result
            if time.monotonic() > deadline:
                raise StepFailed(f"not seen within {seconds:g} s: {what}")
            time.sleep(0.02)

    def node_status(self, node):
        for entry in json.loads(self.run("server", "--json", "status"))["nodes"]:
            if entry["name"] == node:
                return entry
        return {"state": "not enrolled"}

    def ticks(self):
        """The times of the messages the subscriber has received so far."""
        times = []
        for line in self.log_text("subscriber").splitlines():
            first = line.split(" ")[0]
            if first.replace(".", "", 1).isdigit():
                times.append(float(first))
        return times

    def stop(self):
        for name in reversed(list(self.processes)):
            process = self.processes[name]
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.processes.clear()


class Story:
    def __init__(self, fabric, tell):
        self.fabric = fabric
        self.tell = tell
        self.secrets = {}

    def copy_measured_files(self, node):
        tree = self.fabric.home(node) / "system"
        for source in MEASURED_FILES:
            target = tree / source.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path(source).resolve(), target)
        return tree

    def start_server(self):
        fabric = self.fabric
        fabric.home("server").mkdir(parents=True)
        fabric.run("server", "server", "init", "--listen", fabric.server_address)
        fabric.start_verb("server", "server", "server", "run")
        host, port = fabric.server_address.split(":")

        def listening():
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) == 0
        fabric.wait_for("the attestation server listens", 10, listening)
        return f"listens on {fabric.server_address}, SQLite, own CA"

    def enrol(self, node):
        fabric = self.fabric
        home = fabric.home(node)
        home.mkdir(parents=True)
        tree = self.copy_measured_files(node)
        policy = home / "policy.toml"
        policy.write_text(f'version = 1\ninterval_ms = {INTERVAL_MS}\nhold_ms = {HOLD_MS}\n'
                          f'proc = ["cmdline", "modules"]\n\n[[tree]]\npath = "{tree}"\n')
        reference = home / "reference.json"
        fabric.run("server", "baseline", "capture", "--policy", str(policy), "--out", str(reference))
        join = home / "join.json"
        fabric.run("server", "server", "invite", node, "--out", str(join))
        fabric.run("server", "policy", "set", node, str(policy))
        fabric.run("server", "baseline", "set", node, str(reference))
        fabric.run(node, "agent", "join", str(join))
        fabric.start_verb(f"{node} agent", node, "agent", "run")
        return f"{sum(1 for path in tree.rglob('*') if path.is_file())} real files, cmdline and modules measured"

    def become_trusted(self):
        described = []
        for node in NODES:
            entry = self.fabric.wait_for(f"{node} is trusted", 30, lambda node=node: self.status_if(node, "trusted"))
            described.append(f"{node} trusted ({entry['platform']}, {entry['root']})")
        missing = [text.split(" (")[0].split(":")[0] for text in
                   json.loads(self.fabric.run("alpha", "--json", "status"))["missing_protections"]]
        return "; ".join(described) + (f"; this kernel gives no {', no '.join(missing)}" if missing else "")

    def status_if(self, node, state):
        entry = self.fabric.node_status(node)
        return entry if entry["state"] == state else None

    def make_keys(self):
        for node, name in (("alpha", "gateway"), ("beta", "subscriber")):
            public, secret = curve_key_pair()
            self.secrets[f"{name} key"] = z85_bytes(secret)
            self.fabric.run(node, "key", "import", name, "--raw-z85", "-", text=secret + "\n")
            shown = json.loads(self.fabric.run(node, "--json", "key", "show", name))
            if shown["public_key"] != public:
                raise StepFailed(f"key {name}: the chamber computed another public key")
            setattr(self, f"{name}_key", shown)
        return "two long-term keys sealed into chambers, gated by the server's verdicts"

    def start_messages(self):
        fabric = self.fabric
        backend = f"ipc://{fabric.state}/publisher.ipc"
        fabric.start("publisher", [PYTHON, str(PROGRAMS / "publisher.py"), backend])
        config = fabric.home("alpha") / "gateway.toml"
        config.write_text(f'[[listener]]\nname = "ticks"\nlisten = "{fabric.gateway_endpoint}"\n'
                          f'backend = "{backend}"\nkey = "gateway"\n')
        fabric.wait_for("the publisher runs", 10, lambda: "publishing" in fabric.log_text("publisher"))
        fabric.start_verb("gateway", "alpha", "gateway", str(config))
        fabric.start("subscriber", [fabric.caisson, "--home", str(fabric.home("beta")), "run", "--", PYTHON,
                                    str(PROGRAMS / "subscriber.py"), fabric.gateway_endpoint,
                                    self.gateway_key["public_key"], self.subscriber_key["public_key"],
                                    self.subscriber_key["handle"]])
        times = fabric.wait_for("20 messages at the subscriber", 30,
                                lambda: fabric.ticks() if len(fabric.ticks()) >= 20 else None)
        return f"unmodified pyzmq to unmodified pyzmq over CURVE: {len(times)} messages"

    def program_reads_who_asks(self):
        """The publisher's own words, from message properties, against what the attestation server knows of beta."""
        fabric = self.fabric

        def said():
            return [line for line in fabric.log_text("publisher").splitlines() if line.startswith("subscribed ")]
        words = fabric.wait_for("the publisher hears of a subscription", 10, said)[-1].split(" ")[1:]
        beta, key = fabric.node_status("beta"), self.subscriber_key["public_key"]
        claims = [claim for claim in beta["curve_keys"] if claim["public_key"] == key]
        if len(claims) != 1:
            raise StepFailed(f"the server knows {len(claims)} chambers with the subscriber's key: {beta}")
        expected = ["trusted", beta["witness_key"], claims[0]["mrenclave"], key]
        if words != expected:
            raise StepFailed(f"the publisher reads {words}, the server says {expected}")
        return f"the publisher reads trust, node {words[1][:16]}.., chamber {words[2][:16]}.. and key, as the server says"

    def scan_memory(self):
        self.check_scan_sees()
        scan = memory_scan.scan_all(self.secrets)
        if scan.hits:
            raise StepFailed("key material outside the chambers: " +
                             "; ".join(f"pid {hit[0]} {hit[1][:40]} {hit[3]} in {hit[2]}" for hit in scan.hits))
        note = f", {len(scan.refused)} processes not readable" if scan.refused else ""
        return (f"0 copies of either secret (raw, Z85, hex) in {scan.processes} processes, {scan.bytes_read >> 20} MiB "
                f"(a planted one was found; {scan.bytes_refused >> 10} KiB of chamber memory unreadable{note})")

    def check_scan_sees(self):
        """A scan that finds nothing proves something only if it finds a copy that is there."""
        planted = secrets.token_bytes(32)
        child = subprocess.Popen([PYTHON, "-c", "import sys; k = sys.stdin.readline(); print('ok', flush=True); input()"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            child.stdin.write(planted.hex() + "\n")
            child.stdin.flush()
            child.stdout.readline()
            scan = memory_scan.Scan()
            memory_scan.scan_process(child.pid, {"planted": planted}, scan)
        finally:
            child.kill()
            child.communicate()
        if not scan.hits:
            raise StepFailed("the memory scan did not find a key planted in a process of ours")

    def change_file(self):
        fabric = self.fabric
        self.gateway_log_seen = len(fabric.log_text("gateway"))
        self.changed = fabric.home("beta") / "system" / CHANGED_FILE
        self.original = self.changed.read_bytes()
        self.changed.write_bytes(self.original + b"# changed by the story\n")
        entry = fabric.wait_for("beta is contraindicated", 15, lambda: self.status_if("beta", "contraindicated"))
        self.verdict_time = entry["since_ms"] / 1000
        for reason in entry["reasons"]:
            if reason["path"].endswith(CHANGED_FILE):
                return (f"beta contraindicated: {CHANGED_FILE}, expected {reason['expected'][:16]}.., "
                        f"found {reason['found'][:16]}..")
        raise StepFailed(f"beta is contraindicated, but not for {CHANGED_FILE}: {entry['reasons']}")

    def messages_stop(self):
        fabric = self.fabric
        time.sleep(max(0.0, self.verdict_time + STOP_BOUND_S - time.time()) + 1.5)
        fabric.check_alive()
        after = [at - self.verdict_time for at in fabric.ticks() if at > self.verdict_time]
        last = max(after, default=0.0)
        if last > STOP_BOUND_S:
            raise StepFailed(f"a message arrived {last:.2f} s after the verdict")
        refused = fabric.wait_for("the gateway refuses beta's handshakes", 10,
                                  lambda: fabric.log_text("gateway")[self.gateway_log_seen:].count(REFUSED))
        if self.refusals_counted() < refused:
            raise StepFailed(f"{refused} refusals are in the gateway's log, {self.refusals_counted()} in its metrics")
        return f"last message {last:.2f} s after the verdict; {refused} handshakes refused since"

    def refusals_counted(self):
        """What the gateway's metrics say of clients whose node is not trusted."""
        paths = list((self.fabric.home("alpha") / "gateway").glob("*.sock"))
        with socket.socket(socket.AF_UNIX) as asker, asker.makefile("rw") as stream:
            asker.connect(str(paths[0]))
            stream.write("GET /metrics HTTP/1.0\r\n\r\n")
            stream.flush()
            start = 'caisson_gateway_ended_total{listener="ticks",reason="untrusted"} '
            return sum(int(line[len(start):]) for line in stream if line.startswith(start))

    def restore_file(self):
        fabric = self.fabric
        seen = len(fabric.ticks())
        self.changed.write_bytes(self.original)
        fabric.wait_for("beta is trusted again", 15, lambda: self.status_if("beta", "trusted"))
        fabric.wait_for("messages flow again", 20, lambda: len(fabric.ticks()) >= seen + 20)
        return f"beta trusted again, {len(fabric.ticks()) - seen} new messages"

    def build_up(self):
        yield "server", self.start_server
        for node in NODES:
            yield f"enrol {node}", lambda node=node: self.enrol(node)
        yield "trust", self.become_trusted
        yield "keys", self.make_keys
        yield "messages", self.start_messages
        yield "who asks", self.program_reads_who_asks

    def acts(self):
        yield "memory", self.scan_memory
        yield "change", self.change_file
        yield "cut off", self.messages_stop
        yield "restore", self.restore_file
        yield "memory again", self.scan_memory

    def play(self, steps):
        for name, step in steps:
            started = time.monotonic()
            try:
                evidence = step()
            except OSError as error:
                raise StepFailed(f"{name}: {error}") from error
            self.tell(name, time.monotonic() - started, evidence)


def tell_line(name, seconds, evidence):
    print(f"[{seconds:6.2f} s] {name:<12} {evidence}", flush=True)


def clean_up(state):
    shutil.rmtree(state, ignore_errors=True)
    if state.exists():
        raise StepFailed(f"{state} could not be removed")


def leftovers(state):
    """Processes that still name our state folder."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid() and str(state) in memory_scan.command_of(int(entry)):
            found.append(f"{entry} ({memory_scan.command_of(int(entry))})")
    return found


def play_once(caisson):
    state = Path(tempfile.mkdtemp(prefix="story-", dir=TOP / "build"))
    fabric = Fabric(caisson, state)
    story = Story(fabric, tell_line)
    started = time.monotonic()
    try:
        story.play(story.build_up())
        story.play(story.acts())
        fabric.stop()
        if leftovers(state):
            raise StepFailed(f"processes left behind: {', '.join(leftovers(state))}")
        clean_up(state)
        tell_line("end", time.monotonic() - started, "every step observed; no process and no file left behind")
        return 0
    except StepFailed as failure:
        print(f"story: FAILED: {failure}\nstory: logs are in {state}", file=sys.stderr)
        return 1
    finally:
        fabric.stop()


def show_live(fabric, story):
    hint = f"change a file below {fabric.home('beta')}/system and watch trust fall; Ctrl-C ends all"
    last_count, last_time = len(fabric.ticks()), time.monotonic()
    while True:
        time.sleep(1)
        fabric.check_alive()
        count, now = len(fabric.ticks()), time.monotonic()
        rate = (count - last_count) / (now - last_time)
        last_count, last_time = count, now
        if sys.stdout.isatty():
            print("\033[H\033[2J", end="")
        print(fabric.run("server", "status"), end="")
        print(f"messages     {count} received, {rate:.0f} a second\n\n{hint}", flush=True)


def play_live(caisson):
    state = Path(tempfile.mkdtemp(prefix="fabric-", dir=TOP / "build"))
    fabric = Fabric(caisson, state)
    story = Story(fabric, tell_line)
    try:
        story.play(story.build_up())
        show_live(fabric, story)
    except StepFailed as failure:
        print(f"story: FAILED: {failure}\nstory: logs are in {state}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nending the fabric")
        fabric.stop()
        clean_up(state)
        return 0
    finally:
        fabric.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="play the story unattended and exit")
    parser.add_argument("--caisson", default=str(TOP / "build" / "caisson"), help="the program to use")
    arguments = parser.parse_args()
    if not Path(arguments.caisson).exists():
        print(f"story: {arguments.caisson} is missing; build it with ./up --build-only", file=sys.stderr)
        return 69
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return play_once(arguments.caisson) if arguments.once else play_live(arguments.caisson)


if __name__ == "__main__":
    sys.exit(main())
