#!/usr/bin/python3
"""`caisson run` on a node with an agent: `run_agent.py CAISSON AGENT_SERVER`. The server is a small one for tests."""
import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import expect, run_tests, wait_until  # noqa: E402

SERVER = os.path.abspath(sys.argv[2])


def text_of(path):
    with open(path, errors="replace") as file:
        return file.read()


def takes_connections(path):
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(path) == 0


def join(home):
    """A server and a running agent that has joined it; what the server prints, line by line."""
    state = os.path.join(home.folder, "server")
    measured = os.path.join(home.folder, "measured")
    os.mkdir(state)
    with open(measured, "w") as file:
        file.write("good")
    server = home.start(SERVER, state, measured)
    expect(server.line().startswith("listening"), "the server did not start")
    home.verb("agent", "join", os.path.join(state, "alpha.join"))
    agent = home.start(home.caisson, "--home", home.folder, "agent", "run")
    wait_until(lambda: takes_connections(os.path.join(home.folder, "agent", "agent.sock")), "the agent serves", 20)
    return server, agent


def keys_of_a_running_program_become_the_nodes_by_report(home):
    server, _ = join(home)
    made = home.facts("key", "new", "gated")
    expect(made["gated"], f"a key of a joined node is ungated: {made}")
    home.verb("key", "new", "open", "--ungated")
    line = server.line()
    expect(line.endswith("keys 0"), f"keys before the program runs: {line}")
    run = home.start_run("/bin/sleep", "60")
    for _ in range(2000):  # a verdict each 20 ms
        line = server.line()
        if line.endswith("keys 2"):
            break
    expect(line.startswith("verdict trusted") and line.endswith("keys 2"), f"the keys were not registered: {line}")
    expect(run.process.poll() is None, "the program ended")


def a_gated_key_without_an_agent_runs_and_says_so(home):
    home.verb("key", "new", "gated", "--verifier", "ab" * 32)
    status, out, err = home.run("run", "--", "/bin/echo", "ran")
    expect(status == 0 and out == "ran\n", f"{status} {out} {err}")
    expect("no agent at" in err and "caisson agent run" in err, f"no warning: {err}")


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [
        keys_of_a_running_program_become_the_nodes_by_report,
        a_gated_key_without_an_agent_runs_and_says_so,
    ]))
