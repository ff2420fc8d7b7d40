#!/usr/bin/env python3
"""Enforces the arrows of the house: which folder may include what, which library has which owner, and a few rules
about files that a reader can see without a compiler.

Usage: check_includes.py [TOP]. Prints one line per violation, exits 1 if there is any.
"""
import re
import sys
from pathlib import Path

import tree

# Folder: the folders it may include besides itself. None: whatever it exercises.
ARROWS = {
    "core": set(),
    "protocol": {"core"},
    "airlock": {"core", "protocol"},
    "trusted": {"core", "protocol", "airlock"},
    "host": {"core", "protocol", "airlock"},
    "services": {"core", "protocol", "airlock", "host"},
    "shim": {"core", "protocol", "airlock", "host"},
    "library": {"core", "protocol", "airlock", "host"},
    "cli": {"core", "protocol", "airlock", "host", "services"},
    "tests": None,
    "fuzz": None,
    "bench": None,
}

# Of the airlock these see only what can be asked. The shim is itself a caller of the ring, and `caisson run` tells it
# where the ring is.
REQUESTS_ONLY = {"services", "shim", "library", "cli"}
REQUESTS = re.compile(r"^airlock/\w+/requests\.hpp$")
AIRLOCK_EXCEPTIONS = {"shim/": {"airlock/ring.hpp", "airlock/ring_place.hpp"},
                      "services/run/": {"airlock/ring_place.hpp"}}

SEALED = ("core/", "airlock/", "trusted/", "protocol/")
# protocol/evidence is never linked into a chamber; check_hosted is how CHECK ends a process outside.
NOT_SEALED = ("protocol/evidence/", "core/check_hosted.cpp")
SEALED_HEADERS = {
    "algorithm", "array", "atomic", "bit", "climits", "compare", "concepts", "cstddef", "cstdint", "cstring",
    "expected", "initializer_list", "iterator", "limits", "new", "numeric", "optional", "ranges", "span",
    "string_view", "tuple", "type_traits", "utility", "variant",
}
SODIUM = re.compile(r"^sodium(\.h|/\w+\.h)$")

INTRINSICS = re.compile(r"^(\w*intrin|cpuid)\.h(pp)?$")
# Header pattern, what to call it, the folders or files that own it.
OWNERS = [
    (re.compile(r"^zmq(\.h|\.hpp|_addon\.hpp)$"), "ZeroMQ", ("host/net/",)),
    (re.compile(r"^openssl/"), "OpenSSL", ("host/net/", "host/enclave/image/", "protocol/evidence/")),
    (re.compile(r"^tss2/"), "the TPM library", ("host/tpm/",)),
    (INTRINSICS, "intrinsics", ("core/crypto/kernels/", "trusted/runtime/", "host/enclave/")),
    (re.compile(r"^expected$"), "<expected>", ("core/result.hpp", "host/fault.hpp")),
    (re.compile(r"^CLI/"), "CLI11", ("cli/",)),
    (re.compile(r"^sqlite3\.h$"), "SQLite", ("host/store/",)),
]
# Slow to compile: each stays behind a .cpp of its owner.
HEAVY = re.compile(r"^(CLI|nlohmann|spdlog|toml\+\+|boost)/|^toml\.hpp$")
HEAVY_EXCEPTIONS = {"host/store/toml_assert.hpp"}  # a few definitions, for who includes toml++ itself right after it
GENERATED = {"loader_digest.hpp"}

BAD_NAMES = {"util", "utils", "common", "manager", "helper", "helpers", "data"}
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
LINES_MAX = 800
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
CODE = (".cpp", ".hpp", ".h", ".c", ".S")
MARKED = CODE + (".py", ".sh", ".cmake", "CMakeLists.txt")


def is_exercise(name):
    return ARROWS.get(name.split("/")[0], ()) is None


def is_sealed(name):
    return name.startswith(SEALED) and not name.startswith(NOT_SEALED)


def system_include_problem(name, header):
    if is_sealed(name):
        intrinsics = INTRINSICS.match(header) and name.startswith(("core/crypto/kernels/", "trusted/runtime/"))
        if header not in SEALED_HEADERS and not SODIUM.match(header) and not intrinsics:
            return f"<{header}> is not for sealed folders"
    if is_exercise(name):
        return None
    if HEAVY.match(header) and not name.endswith(".cpp") and name not in HEAVY_EXCEPTIONS:
        return f"<{header}> is heavy: it stays behind a .cpp"
    for pattern, library, owners in OWNERS:
        if pattern.match(header) and not name.startswith(owners):
            return f"<{header}>: {library} belongs to {', '.join(owners)}"
    return None


def service_problem(name, target):
    ours, theirs = name.split("/"), target.split("/")
    if ours[0] == theirs[0] == "services" and len(ours) > 2 and len(theirs) > 2 and ours[1] != theirs[1]:
        return f"service {ours[1]} includes service {theirs[1]}"
    return None


def own_include_problem(name, target, top):
    if target in GENERATED:
        return None
    if not (Path(top) / target).is_file():
        return f'"{target}" is not a file from the root of the tree'
    ours, theirs = name.split("/")[0], target.split("/")[0]
    if ours not in ARROWS:
        return f"{ours}/ has no row in the table of arrows"
    if is_exercise(name) or ours == theirs:
        return service_problem(name, target)
    if theirs not in ARROWS[ours]:
        return f'{ours} may not include {theirs}: "{target}"'
    if theirs == "airlock" and ours in REQUESTS_ONLY and not REQUESTS.match(target):
        if not any(name.startswith(folder) and target in seen for folder, seen in AIRLOCK_EXCEPTIONS.items()):
            return f'{ours} sees only requests of the airlock: "{target}"'
    return None


def include_problems(name, lines, top):
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, target = match.groups()
        problem = system_include_problem(name, target) if kind == "<" else own_include_problem(name, target, top)
        if problem:
            yield number, problem


def file_problems(name, lines):
    if name.endswith(CODE):
        words = set(re.split(r"[_.]", Path(name).name)[:-1])
        if words & BAD_NAMES:
            yield 1, f"a name says what the file is, not '{', '.join(sorted(words & BAD_NAMES))}'"
        if len(lines) > LINES_MAX:
            yield LINES_MAX, f"{len(lines)} lines; at most {LINES_MAX}: a file has one subject"
    if name.endswith((".hpp", ".h")) and not any(line.strip() == "#pragma once" for line in lines):
        yield 1, "#pragma once is missing"
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            yield number, "an unfinished mark: finish it or open an issue"


def check(top):
    problems = []
    for name in tree.files(top, MARKED):
        lines = (Path(top) / name).read_text(encoding="utf-8", errors="replace").splitlines()
        found = list(file_problems(name, lines))
        if name.endswith(CODE):
            found += include_problems(name, lines, top)
        problems += [f"{name}:{number}: {problem}" for number, problem in sorted(found)]
    return problems


def main():
    problems = check(sys.argv[1] if len(sys.argv) > 1 else tree.TOP)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
