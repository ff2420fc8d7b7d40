#!/usr/bin/python3
"""The security suites of libzmq, pyzmq and CZMQ, unmodified, and npm's zeromq, under `caisson run`:
`foreign_suites.py CAISSON [--keep FOLDER] [--only NAME]`.

libzmq's and CZMQ's tests come from Debian's source packages of the versions that are installed, pyzmq's from the
installed python3-zmq, which ships them. Sources and what is built of them stay in FOLDER ($CAISSON_CACHE/foreign, else
build/foreign), outside of what is committed; a source that cannot be had is a failure. npm's package brings no tests
of its own: its zeromq runs our peer, in four exchanges. [SHIM-3] [SHIM-4]
"""
import argparse
import concurrent.futures
import glob
import re
import shutil
import subprocess

from home import PYTHON, Failed, expect, home_for, os, sys, time
from interop_matrix import PEERS, exchange, free_port, key_pair, node_modules

ZMQ_TESTS = "/usr/lib/python3/dist-packages/zmq/tests"
SOURCES = {"zeromq3": "libzmq5", "czmq": "libczmq4"}
# What configure would have found; the tests ask for no more.
PLATFORM = "".join(f"#define {name} 1\n" for name in (
    "ZMQ_HAVE_LINUX", "ZMQ_HAVE_CURVE", "ZMQ_USE_LIBSODIUM", "ZMQ_HAVE_IPC", "ZMQ_HAVE_UIO", "ZMQ_HAVE_EVENTFD",
    "ZMQ_USE_EPOLL", "ZMQ_USE_CV_IMPL_STL11", "ZMQ_USE_BUILTIN_SHA1", "ZMQ_HAVE_SO_KEEPALIVE"))
SUPPORT = ("tests/testutil", "tests/testutil_unity", "tests/testutil_monitoring", "tests/testutil_security",
           "src/random", "src/err", "src/clock")
# (test, how many pass, may it use the raw keys in its source)
LIBZMQ = (("security_curve", 15, False), ("security_null", 4, False), ("security_plain", 4, False),
          ("security_zap", 30, False), ("security_no_zap_handler", 2, False), ("metadata", 1, False),
          ("heartbeats", 20, True), ("sodium", 4, True))
PYZMQ = ("test_security.py", "test_auth.py", "test_z85.py", "test_monitor.py")
PYZMQ_PASS = 32  # all that Debian's python3-zmq 24.0.1 has in these files; none may be skipped
CZMQ = (("zauth", True), ("zcert", False), ("zcertstore", False), ("zproxy", False))
AT_ONCE = 3  # they mostly sleep


def output_of(*words, folder=None, timeout=200, environment=None):
    result = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=timeout, env=environment)
    if result.returncode != 0:
        raise Failed(f"{' '.join(words)}: status {result.returncode}: {(result.stdout + result.stderr)[-1500:]}")
    return result.stdout


def suites_of_the_system():
    """The system's Debian suites, as deb-src."""
    found = []
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if not os.path.isfile(path):
            continue
        with open(path) as file:
            text = file.read()
        if path.endswith(".list"):
            found += [re.sub(r"^deb(-src)?\s", "deb-src ", line) for line in text.splitlines()
                      if re.match(r"deb\s.*debian\.org", line)]
            continue
        for stanza in re.split(r"\n\s*\n", text):
            fields = dict(re.findall(r"^(URIs|Suites|Components|Signed-By):\s*(.+)$", stanza, re.MULTILINE))
            if "debian.org" in fields.get("URIs", ""):
                signed = f"[signed-by={fields['Signed-By']}] " if "Signed-By" in fields else ""
                found += [f"deb-src {signed}{fields['URIs']} {suite} {fields['Components']}"
                          for suite in fields["Suites"].split()]
    expect(found, "no Debian suite in /etc/apt: its source packages cannot be had")
    return found


def fetch(name, package, folder):
    """The unpacked source of an installed package; fetched once."""
    version = output_of("dpkg-query", "-W", "-f", "${source:Version}", package)
    place = os.path.join(folder, f"{name}-{version.split('-')[0]}")
    if os.path.isdir(place):
        return place
    lists = os.path.join(folder, "apt")
    os.makedirs(os.path.join(lists, "partial"), exist_ok=True)
    with open(os.path.join(folder, "sources.list"), "w") as file:
        file.write("\n".join(suites_of_the_system()) + "\n")
    options = ["-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=-",
               "-o", f"Dir::State::Lists={lists}", "-o", "APT::Sandbox::User=root"]
    output_of("apt-get", *options, "-q", "update")
    output_of("apt-get", *options, "-q", "source", "--download-only", f"{name}={version}", folder=folder)
    new = os.path.join(folder, "new")
    shutil.rmtree(new, ignore_errors=True)
    output_of("dpkg-source", "-x", glob.glob(f"{folder}/{name}_*.dsc")[0], new)
    os.rename(new, place)
    return place


def build_libzmq(source, folder):
    """{test: program}"""
    out = os.path.join(folder, "libzmq")
    programs = {test: os.path.join(out, f"test_{test}") for test, *_ in LIBZMQ}
    if all(os.path.exists(program) for program in programs.values()):
        return programs
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(source, "src/platform.hpp"), "w") as file:
        file.write(PLATFORM)
    flags = ["-O0", "-w", f"-I{source}/src", f"-I{source}/include", f"-I{source}/external/unity", f"-I{source}/tests",
             "-DUNITY_EXCLUDE_FLOAT", "-DUNITY_USE_COMMAND_LINE_ARGS", "-D_GNU_SOURCE"]
    objects = [os.path.join(out, "unity.o")]
    output_of("gcc-12", *flags, "-c", f"{source}/external/unity/unity.c", "-o", objects[0])
    units = [*SUPPORT, *(f"tests/test_{test}" for test, *_ in LIBZMQ)]

    def compile_unit(unit):
        target = os.path.join(out, os.path.basename(unit) + ".o")
        output_of("g++-12", "-std=c++11", *flags, "-c", f"{source}/{unit}.cpp", "-o", target, timeout=400)
        return target
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        compiled = list(pool.map(compile_unit, units))
    objects += compiled[:len(SUPPORT)]
    for test, program in programs.items():
        output_of("g++-12", f"{out}/test_{test}.o", *objects, "-o", program, "-lzmq", "-lsodium", "-lpthread")
    return programs


def build_czmq(source, folder):
    program = os.path.join(folder, "czmq_selftest")
    if not os.path.exists(program):
        output_of("gcc-12", "-O0", "-w", f"-I{source}/src", f"-I{source}/include", f"{source}/src/czmq_selftest.c",
                  "-o", program, "-lczmq", "-lzmq")
    return program


def run_under(home, words, raw=False, folder=None):
    allow = ["--allow-raw-keys"] if raw else []
    return output_of(home.caisson, "--home", home.folder, "run", *allow, "--", *words, folder=folder,
                     environment=home.environment)


def libzmq_test(home, program, count, raw):
    try:
        said = run_under(home, [program], raw)
    except Failed as failed:
        # Without us test_security_zap too waits for an event that has passed, until its alarm, in 1 of 32 runs.
        if "Still waiting for first event" not in str(failed):
            raise
        said = run_under(home, [program], raw)
    summary = re.search(r"(\d+) Tests (\d+) Failures (\d+) Ignored", said)
    expect(summary and tuple(int(part) for part in summary.groups()) == (count, 0, 0),
           f"{count} tests are expected to pass, none ignored: {said[-600:]}")
    return f"{count} passed"


def pyzmq_tests(home, folder):
    said = run_under(home, [PYTHON, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                            *(f"{ZMQ_TESTS}/{name}" for name in PYZMQ)], folder=folder)
    summary = said.strip().splitlines()[-1].strip("= ")
    expect(re.fullmatch(rf"{PYZMQ_PASS} passed(, \d+ warnings?)? in [0-9.:()s ]+", summary),
           f"{PYZMQ_PASS} tests are expected to pass, and nothing else: {said[-1500:]}")
    return summary


def czmq_test(home, program, name, raw, folder):
    place = os.path.join(folder, f"czmq-{name}")
    os.makedirs(os.path.join(place, "src/selftest-rw"), exist_ok=True)
    said = run_under(home, [program, "-t", name], raw, folder=place)
    expect(f"* {name}: OK" in said, said[-600:])
    return "passed"


def npm_test(home, ours, kinds):
    """npm's zeromq under run in the role `ours`, plain pyzmq at the other end."""
    facts = home.facts("key", "show", "any")
    public, secret = key_pair()
    own, other = (facts["public_key"], facts["handle"]), (public, secret)
    server, client = (own, other) if ours == "server" else (other, own)
    node = [home.caisson, "--home", home.folder, "run", "--", shutil.which("node") or "node",
            os.path.join(PEERS, "peer.cjs")]
    plain = [PYTHON, "-B", os.path.join(PEERS, "peer.py")]
    endpoint, sizes = f"tcp://127.0.0.1:{free_port()}", ["--sizes", "0", "1,0,255", "65539"]
    exchange(([*(node if ours == "server" else plain), kinds[0], "server", endpoint, server[1], *sizes],
              {"NODE_PATH": node_modules()}),
             ([*(node if ours == "client" else plain), kinds[1], "client", endpoint, server[0], *client, *sizes],
              {"NODE_PATH": node_modules()}), kinds[0])
    return "passed"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("caisson")
    cache = os.environ.get("CAISSON_CACHE") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build")
    parser.add_argument("--keep", metavar="FOLDER", default=os.path.join(cache, "foreign"))
    parser.add_argument("--only", metavar="NAME", help="those whose name has this in it")
    arguments = parser.parse_args()
    folder = os.path.abspath(arguments.keep)
    os.makedirs(folder, exist_ok=True)
    sources = {name: fetch(name, package, folder) for name, package in SOURCES.items()}
    programs = build_libzmq(sources["zeromq3"], folder)
    selftest = build_czmq(sources["czmq"], folder)
    expect(os.path.isdir(ZMQ_TESTS), f"{ZMQ_TESTS}: python3-zmq has brought no tests")

    def case(name, test):
        began = time.monotonic()
        try:
            with home_for(arguments.caisson) as home:
                home.verb("key", "new", "any", "--ungated")
                return name, True, test(home), time.monotonic() - began
        except (Failed, subprocess.TimeoutExpired, OSError) as error:
            return name, False, str(error), time.monotonic() - began
    cases = [(f"libzmq test_{test}", lambda home, t=test, c=count, r=raw: libzmq_test(home, programs[t], c, r))
             for test, count, raw in LIBZMQ]
    cases += [("pyzmq test_security, test_auth, test_z85, test_monitor", lambda home: pyzmq_tests(home, folder))]
    cases += [(f"czmq {name}", lambda home, n=name, r=raw: czmq_test(home, selftest, n, r, folder))
              for name, raw in CZMQ]
    cases += [(f"npm zeromq {kind}", lambda home, o=ours, p=pair: npm_test(home, o, p))
              for ours, pair, kind in (("server", ("ROUTER", "DEALER"), "ROUTER"),
                                       ("client", ("ROUTER", "DEALER"), "DEALER"),
                                       ("server", ("PUB", "SUB"), "PUB"), ("client", ("PUB", "SUB"), "SUB"))]
    cases = [each for each in cases if not arguments.only or arguments.only in each[0]]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, good, said, seconds in pool.map(lambda each: case(*each), cases):
            failed += not good
            print(f"{'ok  ' if good else 'FAIL'}  {seconds:5.1f} s  {name}: {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as error:
        sys.exit(f"foreign_suites: {error}")
