#!/usr/bin/python3
"""A ZAP handler over a text file: `file.py ENDPOINT FILE`; `file.py --password` reads a password and prints its line part.

    # domain or *   mechanism   who
    *               curve       <Z85 public key>  alice
    chat            plain       bob  <SALT$HASH of `file.py --password`>

The file is read anew when it changed. A line that is none of these makes the whole file unreadable, and says which.
"""
import getpass
import os
import sys

import passwords
import zap


class List:
    def __init__(self, path):
        self.path = path
        self.stamp = None
        self.curve = {}
        self.plain = {}

    def refresh(self):
        try:
            facts = os.stat(self.path)
            stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
            if stamp != self.stamp:
                self.read()
                self.stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            raise zap.ListUnreadable(f"{self.path}: {error}") from error

    def read(self):
        curve, plain = {}, {}
        with open(self.path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                words = line.split()
                if not words or words[0].startswith("#"):
                    continue
                if len(words) == 4 and words[1] == "curve" and len(words[2]) == 40:
                    curve[words[0], words[2]] = words[3]
                elif len(words) == 4 and words[1] == "plain" and "$" in words[3]:
                    plain[words[0], words[2]] = words[3]
                else:
                    raise zap.ListUnreadable(f"{self.path}, line {number}: expected DOMAIN curve KEY USER or "
                                             "DOMAIN plain USER SALT$HASH")
        self.curve, self.plain = curve, plain

    def authorize(self, request):
        self.refresh()
        domains = (request.domain, "*")
        if request.mechanism == "CURVE":
            return next((user for domain in domains if (user := self.curve.get((domain, request.curve_key)))), None)
        if request.mechanism == "PLAIN":
            kept = next((text for domain in domains if (text := self.plain.get((domain, request.user)))), None)
            return request.user if passwords.matches(request.password, kept) else None
        return None


def main():
    if sys.argv[1:] == ["--password"]:
        print(passwords.kept(getpass.getpass()))
    elif len(sys.argv) == 3:
        zap.serve(sys.argv[1], List(sys.argv[2]).authorize)
    else:
        sys.exit(__doc__)


main()
