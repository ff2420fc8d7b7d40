#!/usr/bin/env python3
"""Every path that README.md and docs/*.md name in backquotes or as a link exists in the tree.

Usage: check_docs.py [TOP]. A word counts as a path when its first part is a folder or file of the tree; a path may end
in `*`, or name several endings as `name.{hpp,cpp}`. What a build makes (build/...) is not looked for.
"""
import re
import sys
from pathlib import Path

import tree

QUOTED = re.compile(r"`([A-Za-z0-9_.][\w./{},*-]*)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def expand(path):
    match = re.match(r"^(.*)\{([^}]*)\}(.*)$", path)
    return [match[1] + part + match[3] for part in match[2].split(",")] if match else [path]


def exists(base, path):
    return any(base.glob(path)) if "*" in path else (base / path).exists()


def page_problems(top, page):
    base = (top / page).parent
    firsts = {entry.name for entry in top.iterdir()} - {"build", ".git"}
    for number, line in enumerate((top / page).read_text().splitlines(), 1):
        for path in QUOTED.findall(line):
            if "/" in path and path.split("/")[0] in firsts:
                for one in expand(path):
                    if not exists(top, one):
                        yield f"{page}:{number}: there is no {one}"
        for link in LINK.findall(line):
            if not exists(base, link):
                yield f"{page}:{number}: the link {link} leads nowhere"


def check(top):
    top = Path(top)
    pages = [name for name in tree.files(top, (".md",)) if name.startswith("docs/") or "/" not in name]
    return [problem for page in pages for problem in page_problems(top, page)]


def main():
    problems = check(sys.argv[1] if len(sys.argv) > 1 else tree.TOP)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
