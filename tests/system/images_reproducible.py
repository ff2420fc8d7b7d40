#!/usr/bin/python3
"""The same sources give the same image: in a clone in another folder, in another preset, without any cache.
`images_reproducible.py CAISSON CMAKE SOURCE BUILD [--all]`. The clone builds the ELF file of one small chamber; with
`--all` those of every chamber, in both presets (minutes). What an ELF file becomes, `enclave_images.py` looks at."""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools")]
import tree  # noqa: E402
from home import expect, run_tests  # noqa: E402

CMAKE, SOURCE, BUILD = sys.argv[2:5]
ALL = sys.argv[5:] == ["--all"]
# Where each chamber's ELF file is made.
SMALL = {"null_hardened": "tests/null_chamber"}
NOT_COMPARED = []
CHAMBERS = {**SMALL, "null": "tests/null_chamber", "curve": "trusted/curve", "witness": "trusted/witness"}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def preset_of(build):
    with open(os.path.join(build, "CMakeCache.txt")) as cache:
        return next(line.split("=")[1].strip() for line in cache if line.startswith("CAISSON_BUILD:"))


def clone(folder):
    for name in tree.files(SOURCE):
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        shutil.copy(os.path.join(SOURCE, name), os.path.join(folder, name))


def built(folder, preset, chambers):
    """{chamber: its ELF file's bytes}, compiled there and then."""
    build = os.path.join(folder, "build", preset)
    environment = {**os.environ, "CCACHE_DISABLE": "1"}

    def run(*words):
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
        expect(done.returncode == 0, f"{' '.join(words)}: {(done.stdout + done.stderr)[-1500:]}")

    run(CMAKE, "--preset", preset, "-B", build, "-DCMAKE_CXX_COMPILER_LAUNCHER=", "-DCMAKE_C_COMPILER_LAUNCHER=")
    run(CMAKE, "--build", build, "-j2", "--target", *[name + "_elf" for name in chambers])
    return {name: read(os.path.join(build, where, name + ".elf")) for name, where in chambers.items()}


# [IMAGE-1]
def two_clones_in_different_folders_and_two_presets_give_the_same_bytes(home):
    chambers = CHAMBERS if ALL else SMALL
    here = {name: read(os.path.join(BUILD, where, name + ".elf")) for name, where in chambers.items()}
    own = preset_of(BUILD)
    presets = ["dev", "release"] if ALL else ["release" if own == "dev" else "dev"]
    for index, preset in enumerate(presets):
        folder = os.path.join(home.folder, "a_clone_in_another_place" * (index + 1))
        clone(folder)
        for name, content in built(folder, preset, chambers).items():
            expect(content[:4] == b"\x7fELF" and folder.encode() not in content, f"{name}: no ELF, or names its folder")
            expect(content == here[name], f"{name}: {preset} in {folder} gave other bytes than {own} in {SOURCE}")


# [IMAGE-1] Where both presets are built, as in ./check: the signed images themselves, brought up to date first.
def every_image_of_dev_is_that_of_release(_home):
    release = os.path.join(SOURCE, "build")
    builds = [os.path.join(release, "dev"), release]
    for build in builds:
        if not os.path.exists(os.path.join(build, "build.ninja")):
            print(f"      not compared: {build} is no build folder")
            NOT_COMPARED.append(build)
            return
        done = subprocess.run([CMAKE, "--build", build, "--target", *[name + "_image" for name in CHAMBERS]],
                              capture_output=True, text=True)
        expect(done.returncode == 0, f"{build}: {done.stdout[-1500:]}")
    for name in CHAMBERS:
        first, second = (read(os.path.join(build, name + ".sgxs")) for build in builds)
        expect(first == second, f"{name}.sgxs: dev and release are different enclaves")


if __name__ == "__main__":
    status = run_tests(sys.argv[1], [
        two_clones_in_different_folders_and_two_presets_give_the_same_bytes,
        every_image_of_dev_is_that_of_release,
    ])
    sys.exit(77 if status == 0 and NOT_COMPARED else status)  # skipped: half a comparison is none
