# SPDX-License-Identifier: GPL-2.0
"""The new files of the repository: at the path that they have in a tree, or below overlay/BASE if a base has its own."""
import contextlib
import os
import re
import subprocess

from .transaction import Refused, sha256

OVERLAY_DIRS = ("arch", "include", "lib", "virt", "mm", "Documentation",
                "tools/testing/selftests", "scripts/coccinelle/pgtable-walk/check")
# Untracked files of the overlay that are copied too: no editor's backups, no objects.
SOURCES = re.compile(r"[^.#][^#~]*(?<!\.mod)\.(?:[chS]|rst|cocci)|Kconfig(?:\.debug)?|Makefile(?:\.lockless_aging)?|\.kunitconfig")


def overlay_files(root, base):
    """{path in the tree: file} of the new files: those that git tracks, and others that look
    like sources."""
    own = f"overlay/{base}/"
    tops = (*OVERLAY_DIRS, *(own + top for top in OVERLAY_DIRS))
    git = ["git", "-C", str(root)]
    found = None
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True,
                             check=True).stdout.decode().rstrip("\n")
        if os.path.samefile(top, root):
            tracked, other = (subprocess.run([*git, "ls-files", which, "--exclude-standard", "-z", "--", *tops],
                                             capture_output=True,
                                             check=True).stdout.decode().split("\0") for which in "-c -o".split())
            found = [p for p in {*tracked, *filter(is_source, other)} if p and (root / p).is_file()]
    if found is None:
        found = [p for d in tops for f in (root / d).rglob("*") if f.is_file()
                 and is_source(p := str(f.relative_to(root)))]
    return {path.removeprefix(own): root / path for path in sorted(found, key=lambda p: (p.removeprefix(own), p))}


def is_source(path):
    return bool(SOURCES.fullmatch(os.path.basename(path)))


def overlay_writes(files, kdir, known):
    """{path: data} of the new files that the tree lacks or has in an older
    version; 'known' are the hashes of those that an earlier run put there."""
    writes, hashes = {}, {}
    for path, file in files.items():
        data, dest = file.read_bytes(), kdir / path
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
