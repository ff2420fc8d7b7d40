#!/usr/bin/env python3
"""Proves what an enclave image leans on and what it executes.

  --objects   the chamber's and runtime's objects: what they leave undefined, taken together, must stand in --imports
  --image     the linked ELF: no symbol undefined, no dynamic symbol, and no instruction that an enclave must not
              execute: syscall, sysenter, int, cpuid; rdtsc only in read_tick_counter; enclu and rdrand only in the
              runtime's entry objects
"""
import argparse
import re
import subprocess
import sys

FORBIDDEN = re.compile(r"\s(syscall|sysenter|int|int1|cpuid|rdtscp|in|out|hlt|iretq?)\b")
TICKS = re.compile(r"\srdtsc\b")
TICKS_FUNCTION = "read_tick_counter"


def lines_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def undefined_symbols(objects):
    defined, wanted = set(), set()
    for line in lines_of("nm", "--no-sort", *objects):
        match = re.match(r"^(?:[0-9a-f]+)?\s+([A-Za-z])\s+(\S+)$", line)
        if match:
            (wanted if match[1] in "Uw" else defined).add(match[2])
    return wanted - defined


def check_objects(objects, imports):
    with open(imports) as file:
        allowed = {line.split("#")[0].strip() for line in file} - {""}
    linker_script = re.compile(r"^(__enclave_|_GLOBAL_OFFSET_TABLE_$)")
    pick_best = re.compile(r"^_crypto_\w+_pick_best_implementation$")
    return [f"a chamber's objects need {symbol}, which trusted/imports.txt does not list"
            for symbol in sorted(undefined_symbols(objects) - allowed)
            if not linker_script.match(symbol) and not pick_best.match(symbol)]


def check_image(image):
    problems = [f"the image leaves {line.split()[-1]} undefined" for line in lines_of("nm", "-u", image)
                if line.split()]
    function = "?"
    for line in lines_of("objdump", "-d", "--no-show-raw-insn", image):
        header = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if header:
            function = header[1]
        elif FORBIDDEN.search(line.replace("\t", " ")):
            problems.append(f"{function} executes:{line.split(':', 1)[1]}")
        elif TICKS.search(line.replace("\t", " ")) and TICKS_FUNCTION not in function:
            problems.append(f"{function} reads the time-stamp counter; only {TICKS_FUNCTION} may")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True)
    parser.add_argument("--imports", required=True)
    parser.add_argument("--objects", nargs="+", required=True)
    arguments = parser.parse_args()
    problems = check_objects(arguments.objects, arguments.imports) + check_image(arguments.image)
    for problem in problems:
        print(f"check_imports: {arguments.image}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
