#!/usr/bin/env python3
"""Prints how many tests of a CTest JUnit file passed, failed and were skipped.

usage: tools/count_tests.py FILE [--failed]    (--failed: the names of those that failed, and why: the lines that begin
with FAIL, of which a system test has one for each of its parts, or the end of what the test said)
"""
import sys
import xml.etree.ElementTree as ElementTree

SHOWN_LINES = 25
SHOWN_CHARACTERS = 1000  # of a line: a FAIL line may hold the whole log of a process


def count(cases):
    states = [case.get("status") for case in cases]
    skipped = sum(state in ("notrun", "disabled") for state in states)
    passed = states.count("run")
    print(passed, len(states) - passed - skipped, skipped)


def show_failed(cases):
    for case in cases:
        if case.get("status") in ("run", "notrun", "disabled"):
            continue
        print(f"{case.get('name')} failed after {float(case.get('time', 0)):.1f} s")
        said = (case.findtext("system-out") or "").rstrip().splitlines()
        why = [line for line in said if line.startswith("FAIL")] or said[-SHOWN_LINES:]
        print("".join(f"    {line[:SHOWN_CHARACTERS]}\n" for line in why), end="")


def main():
    cases = list(ElementTree.parse(sys.argv[1]).getroot().iter("testcase"))
    if "--failed" in sys.argv[2:]:
        show_failed(cases)
    else:
        count(cases)


if __name__ == "__main__":
    main()
