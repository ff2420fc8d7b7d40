#!/bin/sh
# Every C++ file stands as .clang-format says. To mend: clang-format-19 -i FILE.
set -u
cd "$(dirname "$0")/.." || exit 70
/usr/bin/python3 -B -c '
import sys
sys.path.insert(0, "tools")
import tree
sys.stdout.write("\0".join(tree.files(suffixes=(".cpp", ".hpp", ".h", ".c"))))' |
    xargs -0 -r clang-format-19 --dry-run -Werror
