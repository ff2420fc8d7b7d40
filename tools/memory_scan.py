#!/usr/bin/env python3
"""Looks for secrets in the memory of other processes, as root could.

A secret is searched in the forms a program would hold it: raw, Z85, hexadecimal. Memory the kernel refuses to
show even to root (memfd_secret) is counted, not skipped in silence; what the search cannot see is part of the answer.

    memory_scan.py --secret-hex FILE [--skip PID ...]    FILE holds one 64-digit secret a line
Exit status: 0 no copy found, 1 copies found, 2 it could not look.
"""
import argparse
import os
import sys
from dataclasses import dataclass, field

CHUNK_BYTES = 8 << 20
SHADOW_BYTES = 4 << 30  # larger without a name: a sanitizer's map of memory, which holds no bytes of it
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def z85(raw):
    text = ""
    for start in range(0, len(raw), 4):
        value = int.from_bytes(raw[start:start + 4], "big")
        group = ""
        for _ in range(5):
            group = Z85[value % 85] + group
            value //= 85
        text += group
    return text


def forms(raw):
    """The byte strings under which `raw` would stand in memory, by name."""
    return {"raw": raw, "Z85": z85(raw).encode(), "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}


@dataclass
class Scan:
    processes: int = 0
    bytes_read: int = 0
    bytes_refused: int = 0
    refused: list = field(default_factory=list)  # pids of which the kernel showed nothing at all
    hits: list = field(default_factory=list)     # (pid, command, mapping, form)


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(200).replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"


def readable_mappings(pid):
    with open(f"/proc/{pid}/maps") as file:
        for line in file:
            parts = line.split(maxsplit=5)
            start, end = (int(number, 16) for number in parts[0].split("-"))
            name = parts[5].strip() if len(parts) > 5 else ""
            unwritten_file = name.startswith("/") and "w" not in parts[1] and not name.startswith("/memfd:")
            if name in ("[vvar]", "[vvar_vclock]", "[vsyscall]") or unwritten_file:
                continue
            yield start, end, name


def unprotected_mappings(pid):
    """Those whose pages are neither locked nor secret, as smaps tells it."""
    protected = set()
    with open(f"/proc/{pid}/smaps") as file:
        start, name = 0, ""
        for line in file:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                start, name = int(words[0].split("-")[0], 16), line
            elif words[0] == "VmFlags:" and ("lo" in words[1:] or "secretmem" in name):
                protected.add(start)
    for start, end, name in readable_mappings(pid):
        is_shadow = not name and end - start > SHADOW_BYTES
        if start not in protected and "secretmem" not in name and not is_shadow:
            yield start, end, name


def scan_mapping(memory, start, end, patterns, found, scan):
    overlap = max(len(pattern) for pattern in patterns.values()) - 1
    at, tail = start, b""
    while at < end:
        size = min(CHUNK_BYTES, end - at)
        try:
            memory.seek(at)
            block = memory.read(size)
        except (OSError, ValueError, OverflowError):
            block = b""
        if not block:
            scan.bytes_refused += size
            at, tail = at + size, b""
            continue
        scan.bytes_read += len(block)
        window = tail + block
        for form, pattern in patterns.items():
            if pattern in window:
                found.add(form)
        tail = window[-overlap:]
        at += len(block)


def scan_process(pid, secrets, scan, mappings_of=readable_mappings):
    """`secrets`: {name: raw bytes}. Adds what was found in process `pid` to `scan`."""
    patterns = {(name, form): text for name, raw in secrets.items() for form, text in forms(raw).items()}
    try:
        mappings = list(mappings_of(pid))
        if not mappings:
            return  # a kernel thread, or gone
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
    except FileNotFoundError:
        return
    except (PermissionError, ProcessLookupError):
        scan.refused.append(pid)
        return
    scan.processes += 1
    with memory:
        for start, end, name in mappings:
            found = set()
            scan_mapping(memory, start, end, patterns, found, scan)
            for form in sorted(found):
                scan.hits.append((pid, command_of(pid), name or "anonymous", "/".join(form)))


def scan_all(secrets, skip=()):
    """Scans every process but this one and those in `skip`."""
    scan = Scan()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in (os.getpid(), *skip):
            try:
                scan_process(int(entry), secrets, scan)
            except OSError:
                continue  # it ended while we looked
    return scan


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secret-hex", required=True, metavar="FILE")
    parser.add_argument("--skip", type=int, nargs="*", default=[], metavar="PID")
    arguments = parser.parse_args()
    try:
        with open(arguments.secret_hex) as file:
            secrets = {f"secret {n}": bytes.fromhex(line.strip()) for n, line in enumerate(file, 1) if line.strip()}
    except (OSError, ValueError) as error:
        print(f"memory_scan: {arguments.secret_hex}: {error}; one secret of 64 hexadecimal digits a line is expected",
              file=sys.stderr)
        return 2
    scan = scan_all(secrets, arguments.skip)
    for pid, command, mapping, form in scan.hits:
        print(f"pid {pid} ({command}): {form} in {mapping}")
    print(f"{scan.processes} processes, {scan.bytes_read >> 20} MiB read, {scan.bytes_refused >> 10} KiB refused, "
          f"{len(scan.hits)} copies")
    return 1 if scan.hits else 0


if __name__ == "__main__":
    sys.exit(main())
