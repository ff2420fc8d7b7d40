#!/usr/bin/env python3
"""Prints how many tests of a CTest JUnit file passed, failed and were skipped."""
import sys
import xml.etree.ElementTree as ElementTree


def main():
    cases = ElementTree.parse(sys.argv[1]).getroot().iter("testcase")
    states = [case.get("status") for case in cases]
    skipped = sum(state in ("notrun", "disabled") for state in states)
    passed = states.count("run")
    print(passed, len(states) - passed - skipped, skipped)


if __name__ == "__main__":
    main()
