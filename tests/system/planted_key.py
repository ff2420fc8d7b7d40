#!/usr/bin/python3
"""A key that the test knows lives in chambers of `caisson run` and `caisson gateway` while messages pass, and is looked
for all the time: in the memory of every process of theirs that is neither locked nor secret, and in their core dumps
(under a sanitizer caisson itself leaves none). `planted_key.py CAISSON`, as root (else 77). A control that keeps the key
must be found in both places.

`planted_key.py CAISSON story` does the same with both keys of the story that ./up plays, from when they are sealed to its
end: servers, agents, gateway, programs and every chamber.
"""
import os
import pathlib
import resource
import subprocess
import sys
import threading

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools")]
import memory_scan  # noqa: E402
import story  # noqa: E402
from home import PYTHON, Failed, children_of, expect, home_for, is_alive, run_tests, signal, time, wait_until, z85_bytes  # noqa: E402,F401,E501

MESSAGES = 400


class Watch:
    """Scans, until it is told to end, whatever stands below the given processes."""

    def __init__(self, secrets, roots=()):
        self.secrets, self.roots, self.ended = secrets, roots, False
        self.scan, self.looks, self.seen = memory_scan.Scan(), 0, set()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def look(self):
        pids, at = list(self.roots), 0
        while at < len(pids):
            try:
                pids += children_of(pids[at])
            except OSError:
                pass
            at += 1
        for pid in pids:
            try:
                memory_scan.scan_process(pid, self.secrets, self.scan, memory_scan.unprotected_mappings)
                self.seen.add(pid)
            except OSError:
                continue  # it ended while we looked
        self.looks += 1

    def run(self):
        while not self.ended:
            if self.roots:
                self.look()
            time.sleep(0.1)

    def end(self):
        self.ended = True
        self.thread.join()


def exchange(home, public, server_public, endpoint):
    """Messages of a plain libzmq client with whoever answers at `endpoint`."""
    secret = zmq.curve_keypair()
    context = zmq.Context()
    client = context.socket(zmq.REQ)
    client.linger, client.rcvtimeo = 0, 20000
    client.curve_publickey, client.curve_secretkey = secret
    client.curve_serverkey = server_public.encode()
    client.connect(endpoint)
    for number in range(MESSAGES):
        client.send(b"%d" % number)
        expect(client.recv() == b"%d" % number, "another answer")
    context.destroy(linger=0)


def start_gateway(home):
    listen, backend = f"ipc://{home.folder}/gateway.ipc", f"ipc://{home.folder}/app.ipc"
    config = os.path.join(home.folder, "gateway.toml")
    with open(config, "w") as file:
        file.write(f'[[listener]]\nname = "planted"\nlisten = "{listen}"\nbackend = "{backend}"\nkey = "planted"\n')
    code = (f"import zmq\nsocket = zmq.Context().socket(zmq.REP)\nsocket.bind({backend!r})\n"
            "while True:\n    socket.send(socket.recv())\n")
    back_end = home.start(PYTHON, "-c", code)
    gateway = home.start(home.caisson, "--home", home.folder, "gateway", config)
    wait_until(lambda: os.path.exists(listen[6:]), "the gateway listens", 20)
    return gateway, back_end, listen


def abort_and_read_cores(home, pids):
    """The bytes of the cores they leave after SIGABRT."""
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGABRT)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "all ended", 20)
    contents = []
    for name in [name for name in os.listdir(home.folder) if name.startswith("core")]:
        path = os.path.join(home.folder, name)
        with open(path, "rb") as core:
            contents.append(core.read())
        os.remove(path)
    return contents


def has_key(content, secret):
    return any(text in content for text in memory_scan.forms(secret).values())


def control_is_found(home, secret, cores_tried):
    code = ("import sys\nkept = bytes.fromhex(sys.stdin.readline().strip())\nprint('kept', flush=True)\n"
            "sys.stdin.read()\n")
    control = subprocess.Popen([PYTHON, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               cwd=home.folder)
    control.stdin.write(secret.hex() + "\n")
    control.stdin.flush()
    control.stdout.readline()
    scan = memory_scan.Scan()
    memory_scan.scan_process(control.pid, {"key": secret}, scan, memory_scan.unprotected_mappings)
    expect(scan.hits, "the scan does not see a key that is kept in plain memory")
    control.send_signal(signal.SIGABRT)
    control.wait(20)
    for pipe in (control.stdin, control.stdout):
        pipe.close()
    if cores_tried:
        cores = abort_and_read_cores(home, [])
        expect(any(has_key(core, secret) for core in cores), "the control left no core with its key")


def cores_are_files():
    with open("/proc/sys/kernel/core_pattern") as pattern:
        text = pattern.read().strip()
    return text.startswith("core") and "/" not in text


def a_planted_key_is_nowhere_but_in_secret_memory(home):
    public, secret_text = (half.decode() for half in zmq.curve_keypair())
    secret = z85_bytes(secret_text)
    handle = home.facts("key", "import", "planted", "--raw-z85", "-", "--ungated", stdin=secret_text)["handle"]
    cores_tried = cores_are_files()
    os.chdir(home.folder)
    control_is_found(home, secret, cores_tried)
    watch = Watch({"key": secret}, [])
    try:
        run = home.start_run(*home.peer_words("echo", public, handle, count=MESSAGES))
        watch.roots.append(run.pid)
        exchange(home, public, public, run.line())
        gateway, back_end, listen = start_gateway(home)
        watch.roots.append(gateway.pid)
        exchange(home, public, public, listen)
        looks = watch.looks
        wait_until(lambda: watch.looks > looks + 1, "a whole look at all of them", 90)
    finally:
        watch.end()
    expect(not watch.scan.hits, f"copies of the key: {watch.scan.hits}")
    expect(not watch.scan.refused, f"not looked at: {watch.scan.refused}")
    lasting = home.start_run("/bin/sleep", "60")
    wait_until(lambda: len(children_of(lasting.pid)) >= 2, "program and chamber", 20)
    pids = [gateway.pid, back_end.pid, *children_of(gateway.pid), *children_of(lasting.pid), lasting.pid]
    cores = abort_and_read_cores(home, pids) if cores_tried else []
    expect(not cores_tried or cores, f"no core dump of {len(pids)} processes")
    expect(not any(has_key(core, secret) for core in cores), "a core dump has the key")
    print(f"      {watch.looks} looks at {len(watch.seen)} processes, {watch.scan.bytes_read >> 20} MiB read, 0 copies; "
          f"{len(cores)} core dumps, 0 copies" + ("" if cores_tried else " (core_pattern gives no files here)"))


class ProcessesOf:
    """The pids of a fabric, of those that it has started by now."""

    def __init__(self, fabric):
        self.fabric = fabric

    def __iter__(self):
        return iter([process.pid for process in list(self.fabric.processes.values())])

    def __len__(self):
        return len(self.fabric.processes)


def the_storys_keys_are_nowhere_but_in_secret_memory(home):
    fabric = story.Fabric(home.caisson, pathlib.Path(home.folder))
    told = story.Story(fabric, lambda name, _seconds, _evidence: None)
    control_is_found(home, os.urandom(32), False)
    watch = None
    try:
        for name, step in told.build_up():
            told.play([(name, step)])
            if name == "keys":
                watch = Watch(told.secrets, ProcessesOf(fabric))
        told.play((name, step) for name, step in told.acts() if not name.startswith("memory"))
        looks = watch.looks
        wait_until(lambda: watch.looks > looks + 1, "a whole look at all of them", 90)
    except story.StepFailed as failure:
        raise Failed(str(failure)) from failure
    finally:
        if watch:
            watch.end()
        fabric.stop()
    expect(not watch.scan.hits, f"copies of a key: {watch.scan.hits}")
    expect(not watch.scan.refused, f"not looked at: {watch.scan.refused}")
    print(f"      {watch.looks} looks at {len(watch.seen)} processes, {watch.scan.bytes_read >> 20} MiB read, 0 copies")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("planted_key: not root: nobody to read the memory of others")
        sys.exit(77)
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    whole = sys.argv[2:] == ["story"]
    sys.exit(run_tests(sys.argv[1], [the_storys_keys_are_nowhere_but_in_secret_memory if whole
                                     else a_planted_key_is_nowhere_but_in_secret_memory]))
