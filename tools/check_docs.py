#!/usr/bin/env python3
"""Every path and every test that README.md and docs/*.md name in backquotes, and every link, exists in the tree.

Usage: check_docs.py [TOP]. A word counts as a path when its first part is a folder or file of the tree; a path may end
in `*`, or name several endings as `name.{hpp,cpp}`. What a build makes (build/...) is not looked for. Tests are named as
`Suite.a_sentence` and `file.py: function` (of tests/system). A test that is named must also be run: its file stands in
a CMakeLists.txt of tests/ (or in a script that does), and its function is used where it is defined.
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


def registered(top):
    """Names of the test files that some CMakeLists.txt builds or starts, and of the scripts that those scripts use."""
    found = set()
    for name in tree.files(top, ("CMakeLists.txt",)):
        if name.startswith("tests/"):
            text = re.sub(r"#.*", "", (top / name).read_text())
            found.update(re.findall(r"[\w-]+\.(?:py|cpp|c|cjs)\b", text))
    scripts = {Path(name).name: (top / name).read_text() for name in tree.files(top, (".py",))
               if name.startswith("tests/")}
    waiting = [name for name in found if name in scripts]
    while waiting:
        text = scripts[waiting.pop()]
        used = {name for name in scripts if name not in found and re.search(rf"\b{re.escape(name[:-3])}\b", text)}
        found |= used
        waiting += used
    return found


def tests_in(top):
    """{(suite, name) of a unit test, (file, function) of a system test: whether it is run}"""
    found, run = {}, registered(top)
    for name in tree.files(top, (".cpp", ".py")):
        if not name.startswith("tests/"):
            continue
        text, file = (top / name).read_text(errors="replace"), Path(name).name
        if name.endswith(".cpp"):
            found.update({test: file in run for test in DEFINED_TEST.findall(text)})
        elif name.startswith("tests/system/"):
            for function in re.findall(r"^ *def (\w+)\(", text, re.MULTILINE):
                used = len(re.findall(rf"\b{function}\b", text)) > 1
                found[file, function] = file in run and used
    return found


def is_idle_script(top, path, run):
    """A script of tests/system that nothing starts or uses."""
    name = Path(path).name
    return path.startswith("tests/system/") and name.endswith(".py") and (top / path).is_file() and name not in run


def page_problems(top, page, tests, run):
    base = (top / page).parent
    firsts = {entry.name for entry in top.iterdir()} - {"build", ".git"}
    for number, line in enumerate((top / page).read_text().splitlines(), 1):
        for path in QUOTED.findall(line):
            if "/" in path and path.split("/")[0] in firsts:
                for one in expand(path):
                    if not exists(top, one):
                        yield f"{page}:{number}: there is no {one}"
                    elif is_idle_script(top, one, run):
                        yield f"{page}:{number}: {one} is run by no CMakeLists.txt of tests/"
        for test in UNIT_TEST.findall(line) + SYSTEM_TEST.findall(line):
            if test not in tests:
                yield f"{page}:{number}: there is no test {test[1]} in {test[0]}"
            elif not tests[test]:
                yield f"{page}:{number}: nothing runs the test {test[1]} in {test[0]}"
        for link in LINK.findall(line):
            if not exists(base, link):
                yield f"{page}:{number}: the link {link} leads nowhere"


def check(top):
    top = Path(top)
    pages = [name for name in tree.files(top, (".md",)) if name.startswith("docs/") or "/" not in name]
    tests, run = tests_in(top), registered(top)
    return [problem for page in pages for problem in page_problems(top, page, tests, run)]


def main():
    problems = check(sys.argv[1] if len(sys.argv) > 1 else tree.TOP)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
