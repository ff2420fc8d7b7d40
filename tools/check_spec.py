#!/usr/bin/env python3
"""Every clause [NAME-n] of docs/spec is named by the code that honours it and by a test that tries to break it.

Usage: check_spec.py [TOP]. Lists clauses without either, clauses written twice, and names of clauses that do not exist.
"""
import re
import sys
from pathlib import Path

import tree

CLAUSE = re.compile(r"\[([A-Z]+-[0-9]+)\]")
WRITTEN = re.compile(r"^\s*(?:[-*]\s+)?\[([A-Z]+-[0-9]+)\]")
TESTS = ("tests/", "fuzz/")
CODE = ("core/", "protocol/", "airlock/", "trusted/", "host/", "services/", "shim/", "library/", "cli/", "cmake/")


def clauses(top):
    found, problems = {}, []
    for name in tree.files(top, (".md",)):
        if not name.startswith("docs/spec/"):
            continue
        for number, line in enumerate((Path(top) / name).read_text().splitlines(), 1):
            match = WRITTEN.match(line)
            if match and match[1] in found:
                problems.append(f"{name}:{number}: [{match[1]}] is written twice; first at {found[match[1]]}")
            elif match:
                found[match[1]] = f"{name}:{number}"
    return found, problems


def named(top, folders, known):
    found, problems = set(), []
    families = {clause.split("-")[0] for clause in known}
    for name in tree.files(top):
        if not name.startswith(folders):
            continue
        text = (Path(top) / name).read_text(errors="replace")
        for clause in set(CLAUSE.findall(text)):
            found.add(clause)
            if clause not in known and clause.split("-")[0] in families:
                problems.append(f"{name}: names [{clause}], which no page of docs/spec has")
    return found, problems


def check(top):
    known, problems = clauses(top)
    in_code, unknown_in_code = named(top, CODE, known)
    in_tests, unknown_in_tests = named(top, TESTS, known)
    for clause, place in known.items():
        if clause not in in_code:
            problems.append(f"{place}: [{clause}] is named by no code")
        if clause not in in_tests:
            problems.append(f"{place}: [{clause}] is named by no test")
    return problems + unknown_in_code + unknown_in_tests


def main():
    problems = check(sys.argv[1] if len(sys.argv) > 1 else tree.TOP)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
