#!/usr/bin/env python3
"""Runs clang-tidy over the source files of the product, on all cores, and remembers what was clean.

Usage: check_tidy.py BUILD_FOLDER [--record] [FILE...]   (the folder has compile_commands.json)

A file is looked at again only when it, a header of ours that it reaches, its compile command, .clang-tidy or
clang-tidy's version changed. What was clean is remembered in $CAISSON_CACHE/tidy (or build/tidy) and, by --record, in
tools/tidy_clean.txt, which is committed: a fresh clone looks only at what changed since. Without that file's lines it
looks at everything, which takes long (docs/decisions/0007-checks-that-fit.md).

Most of clang-tidy's time goes into the headers of the standard library, so files of one folder with one compile command
are read as one translation unit; where their names collide, the group is halved until they do not.
"""
import collections
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree

TIDY = "clang-tidy-19"
PRODUCT = ("core/", "protocol/", "airlock/", "trusted/", "host/", "services/", "shim/", "library/", "cli/")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
# TRY is a GNU statement expression; gcc's own warning names mean nothing to clang; files read as one unit shadow each
# other's names.
EXTRA = ["-Wno-gnu-statement-expression", "-Wno-gnu-statement-expression-from-macro-expansion", "-Wno-shadow",
         "-Wno-deprecated-declarations", "-Wno-unknown-warning-option", "-Wno-unused-command-line-argument",
         "-Wno-sign-conversion"]
UNKNOWN_TO_CLANG = re.compile(" -fno-tree-loop-distribute-patterns| -fschedule-insns| -fsched-pressure")
COMPILED = re.compile(r" -o \S+ -c \S+$")
GROUP_MAX = 7
# Findings in the files themselves, which the unit includes, and in our headers; the C interface has C's names.
WHOLE = "|".join(part.rstrip("/") for part in PRODUCT if part != "library/")
OURS = rf"^{re.escape(str(tree.TOP))}/(({WHOLE})/.*|library/[^/]*)$"
UNIT_OPTIONS = ["--config-file=.clang-tidy", "--checks=-bugprone-suspicious-include", f"--header-filter={OURS}"]
RECORD = tree.TOP / "tools" / "tidy_clean.txt"
CACHE = Path(os.environ.get("CAISSON_CACHE", tree.TOP / "build")) / "tidy"


def commands(build_folder):
    """The host's command of each source file; an image's object is the same source with other flags."""
    found = {}
    for entry in json.loads((Path(build_folder) / "compile_commands.json").read_text()):
        path = Path(entry["file"])
        if not path.is_relative_to(tree.TOP):
            continue
        name = str(path.relative_to(tree.TOP))
        if name.startswith(PRODUCT) and (name not in found or "_image.dir" in found[name]):
            found[name] = entry["command"]
    return found


def reached(name, known):
    """The file and every header of ours that it reaches."""
    seen, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if current not in known:
            path = tree.TOP / current
            text = path.read_bytes() if path.is_file() else b""
            known[current] = (hashlib.sha256(text).hexdigest(), INCLUDE.findall(text.decode(errors="replace")))
        waiting += known[current][1]
    return sorted(seen)


def key_of(name, command, base, known):
    digest = hashlib.sha256(base + command.replace(str(tree.TOP), "").encode())
    for part in reached(name, known):
        digest.update(f"{part} {known[part][0]}\n".encode())
    return digest.hexdigest()


def grouped(names, found):
    """Lists of at most GROUP_MAX files that share a folder and a compile command."""
    groups = collections.defaultdict(list)
    for name in names:
        groups[(os.path.dirname(name), COMPILED.sub("", found[name]))].append(name)
    return [members[at:at + GROUP_MAX] for members in groups.values() for at in range(0, len(members), GROUP_MAX)]


def examine(members, found):
    """clang-tidy's findings on these files: (member, text) for each file that has some."""
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / "unit.cpp"
        unit.write_text("".join(f'#include "{tree.TOP / name}"\n' for name in members))
        command = UNKNOWN_TO_CLANG.sub("", COMPILED.sub("", found[members[0]])) + f" -c {unit}"
        (Path(folder) / "compile_commands.json").write_text(
            json.dumps([{"directory": folder, "command": command, "file": str(unit)}]))
        done = subprocess.run([TIDY, "-p", folder, "--quiet", *UNIT_OPTIONS,
                               *(f"--extra-arg={argument}" for argument in EXTRA), str(unit)],
                              capture_output=True, text=True, cwd=tree.TOP, check=False)
    if done.returncode == 0:
        return []
    if len(members) > 1 and "[clang-diagnostic-error]" in done.stdout:
        half = len(members) // 2
        return examine(members[:half], found) + examine(members[half:], found)
    text = done.stdout + done.stderr
    named = [name for name in members if f"/{name}:" in text]
    return [(name, text) for name in named or members]


def look(waiting, found, keys):
    """Looks at these files, remembers the clean ones, and gives those with findings."""
    CACHE.mkdir(parents=True, exist_ok=True)
    failed = set()
    groups = grouped(waiting, found)

    def timed(members):
        started = time.monotonic()
        return examine(members, found), time.monotonic() - started

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for members, (findings, seconds) in zip(groups, pool.map(timed, groups)):
            failed |= {name for name, _ in findings}
            for name in set(members) - failed:
                (CACHE / keys[name]).touch()
            print(f"{seconds:6.1f} s  {'FAIL' if findings else 'ok  '}  {' '.join(members)}", flush=True)
            for text in dict.fromkeys(text for _, text in findings):
                print(text, flush=True)
    return failed


def main():
    build_folder, words = sys.argv[1], set(sys.argv[2:])
    wanted = words - {"--record"}
    version = subprocess.run([TIDY, "--version"], capture_output=True, text=True, check=True).stdout
    base = "".join(line for line in version.splitlines() if "version" in line).encode()
    base += (tree.TOP / ".clang-tidy").read_bytes() + repr(EXTRA).encode()
    known = {}
    found = commands(build_folder)
    keys = {name: key_of(name, command, base, known) for name, command in found.items()}
    recorded = set(RECORD.read_text().split()) if RECORD.is_file() else set()
    clean = {name for name, key in keys.items() if key in recorded or (CACHE / key).exists()}
    waiting = sorted(name for name in (wanted or set(keys)) - clean if name in keys)
    print(f"{len(keys)} files, {len(waiting)} to look at", flush=True)
    failed = look(waiting, found, keys)
    if "--record" in words:
        RECORD.write_text("".join(f"{keys[name]} {name}\n" for name in sorted(clean | set(waiting) - failed)))
    print(f"{len(failed)} files with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
