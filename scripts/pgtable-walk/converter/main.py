# SPDX-License-Identifier: GPL-2.0
"""Turn a kernel tree into one with pgtable-walk, or back.

The new files of this repository are copied to the same path of the tree.  The
existing ones are changed by scripts/coccinelle/pgtable-walk/convert/NNNN-name,
.cocci and .edit, in number order, each on what the previous one left.  A tree of a
version without any gets those for the nearest one with its major number.  Then the
checks in ../check must find nothing wrong with the result.  Either every file is
written or none is; if a run is killed, the next one puts the tree in order first.

.pgtable-walk.json in the tree records which version of the conversions it has and
what the converted files were before.  With it, a tree that an older version converted
is converted anew, and --undo gives the tree back.  Both keep edits that were made
since, or refuse where they overlap what a conversion did.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from . import conversion
from .checks import check
from .conversion import CONVERT_DIR, all_conversions, bases_of, conversion_hashes, nearest
from .overlay import overlay_files, overlay_writes
from .record import FORMAT, MANIFEST, commit_of, name_of, read_manifest, refuse_without_stock, stock_texts
from .stage import Stage, convert_all, staging
from .text import edits, encode, pack, patched, read_text, unpack
from .transaction import (DONE, JOURNAL, Refused, Transaction, Unfinished, digest, listen, lock, recover, sha256,
                          unsafe)

HERE = pathlib.Path(__file__).resolve().parent.parent


def tree_version(kdir):
    """'6.12' for a kernel tree of that version."""
    makefile = kdir / "Makefile"
    text = read_text(makefile) if makefile.is_file() and (kdir / "Kconfig").is_file() else ""
    numbers = [re.search(rf"^{key} *= *(\d+) *(\r?)$", text, re.M) for key in ("VERSION", "PATCHLEVEL")]
    if not all(numbers):
        raise Refused(f"{kdir}: not a kernel source tree (no Kconfig, or no Makefile with VERSION "
                      "and PATCHLEVEL): give the top directory of one")
    if numbers[0][2]:
        raise Refused(f"{kdir}: its lines end in CR LF: check it out with core.autocrlf=false")
    return ".".join(m[1] for m in numbers)


def full_version(kdir):
    """'6.12.117-rc1+' for people."""
    rest = [re.search(rf"^{key} *= *([\w.+~-]+) *$", read_text(kdir / "Makefile"), re.M)
            for key in ("SUBLEVEL", "EXTRAVERSION")]
    return tree_version(kdir) + (f".{rest[0][1]}" if rest[0] else "") + (rest[1][1] if rest[1] else "")


def checked_base(kdir, root, say):
    """The base whose conversions are for this tree."""
    version, bases = tree_version(kdir), bases_of(root / CONVERT_DIR)
    base = nearest(version, bases)
    if not base:
        raise Refused(f"{kdir}: this is Linux {version}, but there are conversions for "
                      f"{' and '.join(bases) or 'no version'} only")
    if base != version:
        say(f"{kdir}: Linux {full_version(kdir)}: there are no conversions for it: trying those for {base}")
    return base


def kept(conversions, path, entry, there):
    """Whether all that shows in a converted file that it is converted still does, after an edit."""
    stock = unpack(entry["stock"])
    ours = patched(stock, entry["patch"])
    return there != stock and all(
        [m.holds(there) or not m.holds(ours)
         for c in conversions for s in c.sections if s.path == path for m in s.marks] +
        [e.present(there) or not e.present(ours)
         for c in conversions for e in c.edits if e.path == path])


def up_to_date(conversions, kdir, source, record):
    """The converted files that were edited since, None if they have to be converted anew."""
    edited = []
    for path, entry in record["converted"].items():
        if "stock" not in entry or not (kdir / path).is_file() or \
           source != kdir and read_text(source / path) != unpack(entry["stock"]):
            return None
        there = read_text(kdir / path)
        if sha256(encode(there)) != entry["hash"]:
            with contextlib.suppress(Refused):
                if source == kdir and kept(conversions, path, entry, there):
                    edited.append(path)
                    continue
            return None
    return edited


def converted_writes(stage, kdir, source, record, directory):
    """{path: data} of existing files that change, and what to record of all of them."""
    for path in record["converted"]:
        stage.file(path, MANIFEST)      # those that are no longer converted too
    writes, entries = {}, {}
    for path in sorted(stage.paths):
        data, there = (stage.directory / path).read_bytes(), (kdir / path).read_bytes()
        stock, text = stage.before(path), read_text(stage.directory / path)
        if text != stock:
            entries[path] = {"hash": sha256(data), "stock": pack(stock), "patch": edits(stock, text, directory)}
        if data == there:
            continue
        if source != kdir and there != (source / path).read_bytes() and \
           sha256(there) != record["converted"].get(path, {}).get("hash"):
            raise Refused(f"{path}: edited since it was converted: save your changes, then copy "
                          f"the file from {source}")
        writes[path] = data
    return writes, entries


def converted_stage(conversions, hashes, kdir, source, record, directory, root, say):
    """The tree's files as they should be, whether they had to be converted for that, and
    whether the checks have not seen them."""
    edited = None
    if record["conversions"] == hashes:
        edited = up_to_date(conversions, kdir, source, record)
    if edited is not None:
        stage = Stage(kdir, directory / "stage")
        for path in record["converted"]:
            stage.file(path, MANIFEST)
        return stage, False, bool(edited)
    texts = {}
    if source == kdir:
        refuse_without_stock(kdir, record, True)
        texts = stock_texts(kdir, record, directory)
        if record["conversions"] and record["conversions"] != hashes:
            say(f"{kdir}: was converted by {name_of(record)}: converting it anew")
    stage = Stage(source, directory / "stage", texts)
    (directory / "stage").mkdir()
    convert_all(conversions, stage, root, say)
    return stage, True, True


def apply(args, say):
    kdir, root = args.kdir.resolve(), args.overlay_root.resolve()
    conversions = all_conversions(root / CONVERT_DIR)
    base = checked_base(kdir, root, say)
    what = f"Linux {full_version(kdir)}" + ("" if base == tree_version(kdir) else f", by the conversions for {base}")
    conversions, hashes = conversions[base], conversion_hashes(root, base)
    files = overlay_files(root, base)
    source = args.source.resolve() if args.source else kdir
    if tree_version(source) != tree_version(kdir):
        raise Refused(f"{source}: not the Linux {tree_version(kdir)} that {kdir} is")
    record, read = opened(kdir, say, [*files, MANIFEST, *(p for c in conversions for p in c.paths())])
    if not shutil.which("spatch") and subprocess.run([HERE / "need", "coccinelle"],
                                                     check=False).returncode:
        raise Refused("spatch is missing")

    with staging() as directory:
        stage, fresh, unseen = converted_stage(conversions, hashes, kdir, source, record, directory, root, say)
        writes, new = overlay_writes(files, kdir, record["new"])
        changed, converted = {}, record["converted"]
        if fresh:
            changed, converted = converted_writes(stage, kdir, source, record, directory)
        if both := new.keys() & converted.keys():
            raise Refused(f"{min(both)}: both a new file of ours and one that a conversion changes")
        if unseen or writes:
            check(stage, root, source, files)
    summary = f"{len(new)} new files, {len(converted)} converted"
    count = len(conversions)
    transaction = Transaction(kdir)
    made = {"format": FORMAT, "commit": commit_of(root), "conversions": hashes,
            "dirs": sorted({*record["dirs"], *transaction.missing_directories(writes)}),
            "new": new, "converted": converted}
    if not writes and not changed and {**record, "commit": ""} == {**made, "commit": ""}:
        return f"nothing to do: {args.kdir} already has pgtable-walk ({count} conversions, {summary})"
    if args.check_only:
        return f"{args.kdir}: {what}, can be converted: {count} conversions, {summary}"
    modes = {p: 0o755 if os.access(files[p], os.X_OK) else 0o644 for p in new}
    manifest = (json.dumps(made, indent=1) + "\n").encode()
    transaction.commit({**writes, **changed, MANIFEST: manifest}, modes, record["dirs"], read)
    return f"{args.kdir}: {what}, has pgtable-walk now: {count} conversions, {summary}"


def opened(kdir, say, paths):
    """Lock the tree, put it in order if a run was killed, and read its record.  Returns it,
    and {path: digest} of all that may be written, from before anything of it was used."""
    lock(kdir)
    for path in (JOURNAL, DONE, *paths):
        if why := unsafe(kdir, path):
            raise Refused(f"{why}: only files and directories of the tree itself are written to")
    if text := recover(kdir, paths):
        say(text)
    known = digest(kdir / MANIFEST)
    record = read_manifest(kdir)
    read = {path: digest(kdir / path) for path in {*paths, *record["new"], *record["converted"]}}
    return record, {**read, MANIFEST: known}


def undo(args, say):
    kdir, root = args.kdir.resolve(), args.overlay_root.resolve()
    version = tree_version(kdir)
    files = overlay_files(root, nearest(version, bases_of(root / CONVERT_DIR)) or version)
    record, read = opened(kdir, say, [*files, MANIFEST])
    if not (kdir / MANIFEST).is_file():
        if there := [p for p in files if (kdir / p).is_file()]:
            raise Refused(f"{kdir}: has {there[0]}, but no {MANIFEST} that says what it was before: "
                          "restore the stock files, as with git checkout")
        return f"nothing to do: {args.kdir} has no pgtable-walk"
    refuse_without_stock(kdir, record, False)
    with staging() as directory:
        texts = stock_texts(kdir, record, directory)
    writes = {path: encode(text) for path, text in texts.items() if text != read_text(kdir / path)}
    left = []
    for path, known in record["new"].items():
        if (kdir / path).is_file():
            if sha256((kdir / path).read_bytes()) == known:
                writes[path] = None
            else:
                left.append(path)
    more = f"; kept, as they were edited: {', '.join(left)}" if left else ""
    if args.check_only:
        return f"{args.kdir}: can be undone: {len(writes)} files{more}"
    Transaction(kdir).commit({**writes, MANIFEST: None}, {}, record["dirs"], read)
    return f"{args.kdir}: is without pgtable-walk now: {len(texts)} files as before, " \
           f"{len(record['new']) - len(left)} removed{more}"


def main():
    what, _, how = __doc__.partition("\n\n")
    formats = conversion.__doc__.partition("\n\n")[2]
    parser = argparse.ArgumentParser(description=what, epilog=f"{how}\n{formats}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--undo", action="store_true", help="make it a tree without pgtable-walk again")
    parser.add_argument("--check-only", action="store_true", help="do all but the writing")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--from", dest="source", type=pathlib.Path, metavar="STOCK",
                        help="convert STOCK's files into KDIR, which may hold those of an earlier "
                             "run: only what differs is written")
    parser.add_argument("--overlay-root", type=pathlib.Path, default=HERE.parent.parent,
                        metavar="DIR", help="take new files and conversions from here")
    parser.add_argument("kdir", type=pathlib.Path, metavar="KDIR", help="the kernel source tree")
    args = parser.parse_args()
    args.kdir = args.kdir.expanduser()      # make KDIR=~/linux: not every shell does that
    listen()
    say = (lambda line: None) if args.quiet else (lambda line: print(line, flush=True))
    try:
        summary = (undo if args.undo else apply)(args, say)
    except Refused as error:
        lines = str(error).split("\n")
        if len(lines) > 1:
            lines.append(f"{args.kdir}: does not fit in these {len(lines)} places")
        sys.exit("\n".join(f"apply.py: {line}" for line in lines) + "; nothing was changed")
    except Unfinished as error:
        sys.exit(f"apply.py: {error}: stopped on the way: mend this, and run again")
    except OSError as error:
        sys.exit(f"apply.py: {error.filename or args.kdir}: {error.strerror}; nothing was changed")
    say(summary)
