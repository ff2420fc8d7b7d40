#!/usr/bin/env python3
"""Runs clang-tidy over every source file of the product, on all cores, and remembers what was clean.

Usage: check_tidy.py BUILD_FOLDER [FILE...]   (the folder has compile_commands.json)

A file is looked at again only when it, a header of ours that it reaches, its compile command, .clang-tidy or
clang-tidy's version changed. What was clean is remembered in $CAISSON_CACHE/tidy, or build/tidy. Without FILE, what
tools/tidy_pending.txt names is left out, and the count is said.
"""
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tree

TIDY = "clang-tidy-19"
PRODUCT = ("core/", "protocol/", "airlock/", "trusted/", "host/", "services/", "shim/", "library/", "cli/")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
# TRY is a GNU statement expression; gcc's own warning names mean nothing to clang.
EXTRA = ["-Wno-gnu-statement-expression", "-Wno-gnu-statement-expression-from-macro-expansion",
         "-Wno-unknown-warning-option", "-Wno-unused-command-line-argument", "-Wno-sign-conversion"]
UNKNOWN_TO_CLANG = " -fno-tree-loop-distribute-patterns"
CACHE = Path(os.environ.get("CAISSON_CACHE", tree.TOP / "build")) / "tidy"


def pending():
    """Files that nobody has been over yet."""
    lines = (tree.TOP / "tools" / "tidy_pending.txt").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


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


def clang_commands(build_folder):
    """A folder with the compile commands as clang understands them."""
    folder = tree.TOP / "build" / "tidy-commands"
    folder.mkdir(parents=True, exist_ok=True)
    text = (Path(build_folder) / "compile_commands.json").read_text()
    (folder / "compile_commands.json").write_text(text.replace(UNKNOWN_TO_CLANG, ""))
    return folder


def examine(name, build_folder):
    extra = [f"--extra-arg={argument}" for argument in EXTRA]
    started = time.monotonic()
    done = subprocess.run([TIDY, "-p", build_folder, "--quiet", *extra, name], capture_output=True, text=True,
                          cwd=tree.TOP, check=False)
    return done.returncode, done.stdout + (done.stderr if done.returncode else ""), time.monotonic() - started


def main():
    build_folder = sys.argv[1]
    wanted = set(sys.argv[2:])
    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    base = version + (tree.TOP / ".clang-tidy").read_bytes() + Path(__file__).read_bytes()
    known = {}
    skipped = set() if wanted else pending()
    keys = {name: key_of(name, command, base, known) for name, command in commands(build_folder).items()
            if name not in skipped and (not wanted or name in wanted)}
    if skipped:
        print(f"{len(skipped)} files are left out: tools/tidy_pending.txt", flush=True)
    waiting = sorted(name for name, key in keys.items() if not (CACHE / key).exists())
    print(f"{len(keys)} files, {len(waiting)} to look at", flush=True)
    folder = clang_commands(build_folder)
    CACHE.mkdir(parents=True, exist_ok=True)
    failures = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, (status, text, seconds) in zip(waiting, pool.map(lambda one: examine(one, folder), waiting)):
            if status == 0:
                (CACHE / keys[name]).touch()
            else:
                failures += 1
            print(f"{seconds:6.1f} s  {'ok  ' if status == 0 else 'FAIL'}  {name}", flush=True)
            if status:
                print(text, flush=True)
    print(f"{failures} files with findings")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
