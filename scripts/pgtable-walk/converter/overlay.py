# SPDX-License-Identifier: GPL-2.0
"""The new files of the repository."""
import contextlib
import os
import re
import subprocess

from .transaction import Refused, sha256

OVERLAY_DIRS = ("arch", "include", "lib", "virt", "mm", "Documentation",
                "tools/testing/selftests", "scripts/coccinelle/pgtable-walk/check")
# Untracked files of the overlay that are copied too: no editor's backups, no objects.
SOURCES = re.compile(r"[^.#][^#~]*(?<!\.mod)\.(?:[chS]|rst|cocci)|Kconfig|Makefile|\.kunitconfig")


def overlay_files(root):
    """Paths of the new files: those that git tracks, and others that look like sources."""
    git = ["git", "-C", str(root)]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True,
                             check=True).stdout.decode().rstrip("\n")
        if os.path.samefile(top, root):
            tracked, other = (subprocess.run([*git, "ls-files", which, "--exclude-standard", "-z", "--",
                                              *OVERLAY_DIRS], capture_output=True,
                                             check=True).stdout.decode().split("\0") for which in "-c -o".split())
            return sorted(p for p in {*tracked, *filter(is_source, other)} if p and (root / p).is_file())
    return sorted(p for d in OVERLAY_DIRS for f in (root / d).rglob("*") if f.is_file()
                  and is_source(p := str(f.relative_to(root))))


def is_source(path):
    return bool(SOURCES.fullmatch(os.path.basename(path)))


def overlay_writes(root, kdir, known):
    """{path: data} of the new files that the tree lacks or has in an older
    version; 'known' are the hashes of those that an earlier run put there."""
    writes, hashes = {}, {}
    for path in overlay_files(root):
        data, dest = (root / path).read_bytes(), kdir / path
        hashes[path] = sha256(data)
        if os.path.lexists(dest):
            there = sha256(dest.read_bytes())
            if there == hashes[path]:
                continue
            if there != known.get(path):
                raise Refused(f"{path}: the tree has a file of this name that apply did not put "
                              "there, or that was edited since: move it away")
        writes[path] = data
    for path in known.keys() - hashes.keys():
        if (kdir / path).is_file() and sha256((kdir / path).read_bytes()) == known[path]:
            writes[path] = None
    return writes, hashes
