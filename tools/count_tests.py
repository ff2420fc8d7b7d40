#!/usr/bin/env python3
"""Prints how many tests of a CTest JUnit file passed, failed and were skipped.

usage: tools/count_tests.py FILE [--failed]    (--failed: the names of those that failed, and the end of what each said)
"""
import sys
import xml.etree.ElementTree as ElementTree

SHOWN_LINES = 25


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
        print("".join(f"    {line}\n" for line in said[-SHOWN_LINES:]), end="")


def main():
    cases = list(ElementTree.parse(sys.argv[1]).getroot().iter("testcase"))
    if "--failed" in sys.argv[2:]:
        show_failed(cases)
    else:
        count(cases)


if __name__ == "__main__":
    main()
