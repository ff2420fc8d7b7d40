#!/usr/bin/python3
"""A ZAP handler over SQLite: `sqlite.py ENDPOINT DATABASE`; `sqlite.py --init DATABASE` makes the tables.

    curve(domain, key, user)          key: Z85; domain '*' holds everywhere
    plain(domain, user, password)     password: as `file.py --password` prints it

Each request asks the database, so a change counts at once.
"""
import contextlib
import sqlite3
import sys

import passwords
import zap

TABLES = """
CREATE TABLE IF NOT EXISTS curve (domain TEXT NOT NULL, key TEXT NOT NULL, user TEXT NOT NULL,
                                  PRIMARY KEY (domain, key));
CREATE TABLE IF NOT EXISTS plain (domain TEXT NOT NULL, user TEXT NOT NULL, password TEXT NOT NULL,
                                  PRIMARY KEY (domain, user));
"""


def one(path, question, *values):
    """The first column of the first row; None without one."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)) as database:
            row = database.execute(question, values).fetchone()
    except sqlite3.Error as error:
        raise zap.ListUnreadable(f"{path}: {error}") from error
    return row[0] if row else None


def authorize(path, request):
    if request.mechanism == "CURVE":
        return one(path, "SELECT user FROM curve WHERE key = ? AND domain IN (?, '*')", request.curve_key,
                   request.domain)
    if request.mechanism == "PLAIN":
        kept = one(path, "SELECT password FROM plain WHERE user = ? AND domain IN (?, '*') ORDER BY domain DESC",
                   request.user, request.domain)
        return request.user if passwords.matches(request.password, kept) else None
    return None


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--init":
        with contextlib.closing(sqlite3.connect(sys.argv[2])) as database:
            database.executescript(TABLES)
    elif len(sys.argv) == 3:
        zap.serve(sys.argv[1], lambda request: authorize(sys.argv[2], request))
    else:
        sys.exit(__doc__)


main()
