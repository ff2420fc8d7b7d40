#!/usr/bin/env python3
"""Proves what an enclave image leans on and what it executes.

  --objects   the chamber's and runtime's objects: what they leave undefined, taken together, must stand in --imports
  --image     the linked ELF: no symbol undefined, and no instruction that an enclave cannot execute or must not:
              syscall, interrupts, cpuid, ports, far branches, descriptor tables, performance counters. rdtsc stands in
              read_tick_counter alone, rdrand and rdseed in the functions of the runtime that read them, enclu where the
              runtime enters, leaves, asks for keys and takes pages

It reads the code as it is meant to run, from symbol to symbol. What was hidden between instructions on purpose it does
not find: there the platform stops it (a syscall inside is #UD).
"""
import argparse
import re
import subprocess
import sys

FORBIDDEN = re.compile(
    r"(sysenter|syscall|sysexit|sysret|int|int1|int3|into|iret[dqw]?|cpuid|rdtscp|rdpmc|rdmsr|wrmsr|in|ins[bwl]?|"
    r"out|outs[bwl]?|hlt|cli|sti|l?jmp far|lcall|ljmp|lret[wlq]?|sgdt|sidt|sldt|str|lgdt|lidt|lldt|ltr|getsec|vmcall|"
    r"vmfunc|vmmcall|encls|enclv)")
# Instructions with a home: the only functions that may execute them.
HOMES = {
    "rdtsc": re.compile(r"^_ZN7caisson7trusted17read_tick_counterEv$"),
    "rdrand": re.compile(r"^_ZN7caisson7trusted20read_hardware_randomERm$"),
    "rdseed": re.compile(r"^_ZN7caisson7trusted18read_hardware_seedERm$"),
    "enclu": re.compile(r"^caisson_(entry|fail)$|^_ZN7caisson7trusted11accept_pageEPvPh$|"
                        r"^_ZN7caisson7trusted12_GLOBAL__N_1(L?5enclu|L?7ereport|L?7egetkey)"),
}
PREFIXES = {"rep", "repz", "repnz", "lock", "notrack", "bnd", "data16", "cs", "ds", "es", "fs", "gs", "ss", "addr32"}


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
    function, executable = "?", False
    for line in lines_of("objdump", "-d", "--no-show-raw-insn", image):
        header = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if header:
            function = header[1]
            continue
        words = line.split(":", 1)[1].split() if re.match(r"^\s+[0-9a-f]+:", line) else []
        while words and (words[0] in PREFIXES or words[0].startswith("rex")):
            words.pop(0)
        if not words:
            continue
        executable = True
        if FORBIDDEN.fullmatch(words[0]):
            problems.append(f"{function} executes: {' '.join(words)}")
        elif words[0] in HOMES and not HOMES[words[0]].search(function):
            problems.append(f"{function} executes {words[0]}, which has its home elsewhere")
    if not executable:
        problems.append("no instruction was found in it: the check has seen nothing")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True)
    parser.add_argument("--imports")
    parser.add_argument("--objects", nargs="+", default=[])
    arguments = parser.parse_args()
    problems = check_objects(arguments.objects, arguments.imports) if arguments.objects else []
    problems += check_image(arguments.image)
    for problem in problems:
        print(f"check_imports: {arguments.image}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
