# SPDX-License-Identifier: GPL-2.0
"""The record that a converted tree keeps, and what it allows to undo."""
import contextlib
import json
import os
import pathlib
import subprocess

from .text import edits, patched, read_text, unpack
from .transaction import Refused, sha256, unsafe

MANIFEST = ".pgtable-walk.json"
FORMAT = 2              # of the manifest; 1 had no key 'format'
# It may be no edit but another version of Linux.
MOVED = (f"; or, if the tree was moved to another version since, restore its own files, as with git checkout, "
         f"and remove {MANIFEST}")


def undone(path, entry, there, directory):
    """What a file would be without our changes: as before apply, with the edits made since."""
    stock = unpack(entry["stock"])
    ours = patched(stock, entry["patch"])
    if there in (stock, ours):
        return stock
    theirs, back = edits(ours, there, directory), edits(ours, stock, directory)
    shift, last = 0, None
    for change in sorted([(*c, 0) for c in theirs] + [(*c, 1) for c in back if c not in theirs]):
        begin, _, _, side = change
        if last and begin <= last[1] and side != last[3]:
            mine = change if side == 0 else last
            raise Refused(f"{path}:{mine[0] + 1 + (shift if side == 0 else shift - moved(last))}: an "
                          "edit made after apply touches what a conversion changed: take the edit back first"
                          + MOVED)
        shift += moved(change) if side == 0 else 0
        last = change
    both = sorted(theirs + [c for c in back if c not in theirs])
    return patched(ours, both)


def moved(change):
    begin, end, lines, _ = change
    return len(lines) - (end - begin)


def commit_of(root):
    """What git calls this version, '' without git."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(root)]
        top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True, check=True)
        if os.path.samefile(top.stdout.decode().rstrip("\n"), root):
            return subprocess.run([*git, "describe", "--always", "--dirty"], capture_output=True,
                                  check=True).stdout.decode().strip()
    return ""


def read_manifest(kdir):
    """What an earlier run recorded: {'new': {path: hash}, 'dirs': [path], 'converted':
    {path: {'hash', 'stock', 'patch'}}, 'conversions': {name: hash}, 'commit', 'format'}."""
    record = {"format": FORMAT, "new": {}, "dirs": [], "converted": {}, "conversions": {}, "commit": ""}
    try:
        found = json.loads((kdir / MANIFEST).read_text())
        number = found.get("format", 1)
        if number > FORMAT:
            raise Refused(f"{kdir}: a newer pgtable-walk ({found['commit'] or 'unnamed'}) converted it: use that")
        record.update(found, format=number)
        if number == 1:
            record["converted"] = {path: {"hash": h} for path, h in found["converted"].items()}
            record["dirs"] = sorted({str(d) for path in found["new"] for d in pathlib.PurePath(path).parents
                                     if d.name})
        paths = [*record["new"], *record["dirs"], *(p for p, entry in record["converted"].items() if entry["hash"])]
        if why := next(filter(None, (unsafe(kdir, p) for p in paths)), ""):
            raise Refused(f"{kdir / MANIFEST}: damaged ({why}): restore it, or the tree")
        return record
    except FileNotFoundError:
        return record
    except (ValueError, TypeError, AttributeError, KeyError):
        raise Refused(f"{kdir / MANIFEST}: damaged: restore it, or the tree") from None


def name_of(record):
    return f"pgtable-walk {record['commit'] or 'of another version'}"


def refuse_without_stock(kdir, record, restored):
    """Versions without a format recorded too little to go back; 'restored': accept files
    that do not look converted any more."""
    for path, entry in record["converted"].items():
        if "stock" not in entry and not (restored and (
                not (kdir / path).is_file() or sha256((kdir / path).read_bytes()) != entry["hash"])):
            raise Refused(f"{kdir}: converted by a pgtable-walk older than 'make unapply' (record of "
                          "format 1), which did not keep the stock files: restore them, as with git "
                          "checkout or by unpacking the tree anew, then apply again")


def stock_texts(kdir, record, directory):
    """{path: text} of the converted files without our changes."""
    texts = {}
    for path, entry in record["converted"].items():
        if "stock" not in entry:
            continue
        if not (kdir / path).is_file():
            raise Refused(f"{path}: removed since it was converted by {name_of(record)}: restore it{MOVED}")
        texts[path] = undone(path, entry, read_text(kdir / path), directory)
    return texts
