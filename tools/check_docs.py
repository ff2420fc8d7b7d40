#!/usr/bin/env python3
"""Every path and every test that README.md and docs/*.md name in backquotes, and every link, exists in the tree.

Usage: check_docs.py [TOP]. A word counts as a path when its first part is a folder or file of the tree; a path may end
in `*`, or name several endings as `name.{hpp,cpp}`. What a build makes (build/...) is not looked for. Tests are named as
`Suite.a_sentence` and `file.py: function` (of tests/system).
"""
import re
import sys
from pathlib import Path

import tree

QUOTED = re.compile(r"`([A-Za-z0-9_.][\w./{},*-]*)`")
UNIT_TEST = re.compile(r"`([A-Z]\w*)\.([a-z0-9]+_[a-z0-9_]+)`")
SYSTEM_TEST = re.compile(r"`(\w+\.py): (\w+_\w+)`")
DEFINED_TEST = re.compile(r"^(?:TYPED_)?TEST(?:_[FP])?\((\w+),\s*(\w+)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def expand(path):
    match = re.match(r"^(.*)\{([^}]*)\}(.*)$", path)
    return [match[1] + part + match[3] for part in match[2].split(",")] if match else [path]


def exists(base, path):
    return any(base.glob(path)) if "*" in path else (base / path).exists()


def tests_in(top):
    """The tests there are: (suite, name) of a unit test, (file, function) of a system test."""
    found = set()
    for name in tree.files(top, (".cpp", ".py")):
        text = (top / name).read_text(errors="replace") if name.startswith("tests/") else ""
        if name.endswith(".cpp"):
            found.update(DEFINED_TEST.findall(text))
        elif name.startswith("tests/system/"):
            found.update((Path(name).name, function) for function in re.findall(r"^def (\w+)\(", text, re.MULTILINE))
    return found


def page_problems(top, page, tests):
    base = (top / page).parent
    firsts = {entry.name for entry in top.iterdir()} - {"build", ".git"}
    for number, line in enumerate((top / page).read_text().splitlines(), 1):
        for path in QUOTED.findall(line):
            if "/" in path and path.split("/")[0] in firsts:
                for one in expand(path):
                    if not exists(top, one):
                        yield f"{page}:{number}: there is no {one}"
        for test in UNIT_TEST.findall(line) + SYSTEM_TEST.findall(line):
            if test not in tests:
                yield f"{page}:{number}: there is no test {test[1]} in {test[0]}"
        for link in LINK.findall(line):
            if not exists(base, link):
                yield f"{page}:{number}: the link {link} leads nowhere"


def check(top):
    top = Path(top)
    pages = [name for name in tree.files(top, (".md",)) if name.startswith("docs/") or "/" not in name]
    tests = tests_in(top)
    return [problem for page in pages for problem in page_problems(top, page, tests)]


def main():
    problems = check(sys.argv[1] if len(sys.argv) > 1 else tree.TOP)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
