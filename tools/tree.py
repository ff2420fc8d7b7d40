"""The files of the tree that the checkers read: those git tracks, or, in a copy without git, all but the build's."""
import os
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
NOT_OURS = {"build", ".git", "__pycache__"}


def tracked(top):
    listed = subprocess.run(["git", "-c", f"safe.directory={top}", "-C", str(top), "ls-files", "-z"],
                            capture_output=True, check=True).stdout
    return [name for name in listed.decode().split("\0") if name]


def walked(top):
    found = []
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        found += [os.path.relpath(os.path.join(folder, name), top) for name in names]
    return found


def files(top=TOP, suffixes=None):
    """Paths below `top`, sorted; with `suffixes` only those that end so."""
    try:
        names = tracked(top) if (Path(top) / ".git").exists() else walked(top)
    except (OSError, subprocess.CalledProcessError):
        names = walked(top)
    present = [name for name in names if (Path(top) / name).is_file()]
    return sorted(name for name in present if suffixes is None or name.endswith(tuple(suffixes)))
