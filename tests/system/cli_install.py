#!/usr/bin/python3
"""Installs into a temporary prefix and uses it from there: `cli_install.py CAISSON CMAKE BUILD_FOLDER`."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import PYTHON, Home, expect, run_tests  # noqa: E402

CMAKE, BUILD = sys.argv[2:4]


def what_is_installed_works_from_its_own_place(home):
    prefix = tempfile.mkdtemp(prefix="caisson_install_")
    try:
        result = subprocess.run([CMAKE, "--install", BUILD, "--prefix", prefix], capture_output=True, text=True,
                                timeout=60)
        expect(result.returncode == 0, f"cmake --install: {result.stderr}")
        installed = Home(os.path.join(prefix, "bin", "caisson"), home.folder)
        installed.started = home.started
        installed.environment.pop("CAISSON_IMAGES", None)
        facts = installed.facts("version")
        expect(facts == home.facts("version"), f"other images than in the build folder: {facts}")
        made = installed.facts("key", "new", "alice", "--ungated")
        code = f"import zmq; print(zmq.curve_public({made['handle'].encode()!r}).decode())"
        out = installed.verb("run", "--", PYTHON, "-c", code)
        expect(out.strip() == made["public_key"], f"the installed shim: {out}")
        pages = [name for _, _, names in os.walk(os.path.join(prefix, "share", "man")) for name in names]
        written = os.listdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "man"))
        expect(sorted(pages) == sorted(written), f"manual pages: {pages}, not {written}")
        build_paths = subprocess.run(["grep", "-rlaF", os.path.join(BUILD, "curve.sgxs"), prefix], text=True,
                                     capture_output=True).stdout
        expect(build_paths == "", f"the build folder's name is in {build_paths}")
    finally:
        shutil.rmtree(prefix, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run_tests(sys.argv[1], [what_is_installed_works_from_its_own_place]))
