# SPDX-License-Identifier: GPL-2.0
"""Conversions applied to copies of files."""
import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
import time

from .conversion import shown
from .csource import definitions, hunks
from .record import MANIFEST
from .spatch import full, run_spatch
from .text import encode, read_text
from .transaction import Refused, Unfit

OWNER = ".pgtable-walk-apply"     # in our directories for temporary files


class Stage:
    """The files that conversions change, copied out of a tree as they are asked for, or
    from 'texts', {path: text}."""

    def __init__(self, tree, directory, texts=None):
        self.tree, self.directory, self.texts, self.paths = tree, directory, texts or {}, set()
        self.unfit = set()      # paths that conversions have given up

    def file(self, path, by):
        staged = self.directory / path
        if path not in self.paths:
            if not (self.tree / path).is_file():
                raise Unfit(f"{path}: {by} changes it, but the tree has no such file: restore it")
            if "\r\n" in self.before(path):
                raise Unfit(f"{path}: its lines end in CR LF: check it out with core.autocrlf=false")
            staged.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(encode(self.before(path)))
            self.paths.add(path)
        return staged

    def before(self, path):
        """What the conversions start from."""
        return self.texts[path] if path in self.texts else read_text(self.tree / path)

    def text(self, path, by):
        return read_text(self.file(path, by))


def check_counts(section, made, text, partly):
    wanted = section.hunks
    there = {d.name for d in definitions(text)} | {"-"}
    wrong = [f"{n}: {wanted.get(n, 0)} hunks expected, {made.get(n, 0)} found"
             + ("" if n in there else ", not in the tree")
             for n in dict.fromkeys([*wanted, *made]) if made.get(n, 0) != wanted.get(n, 0)]
    if wrong:
        why = "partly converted already" if partly else "not as in stock"
        raise Unfit(f"{section.path}: {shown(section.cocci)}: {'; '.join(wrong)} ({why}: use the stock "
                    "file, or mend the rule or its Hunks lines)")


def convert(conv, stage, root):
    """Apply one conversion to the stage.  Returns {(file, definition): hunks}.  Files that it does not fit
    are left alone from then on, and named by what it raises."""
    wrong = []

    def tried(path, function, *args):
        """What the function returns, None if the file does not fit."""
        if path not in stage.unfit:
            try:
                return function(*args)
            except Unfit as error:
                stage.unfit.add(path)
                wrong.append(str(error))
        return None

    marks = [(m, tried(s.path, lambda s=s, m=m: m.holds(stage.text(s.path, shown(s.cocci)))))
             for s in conv.sections for m in s.marks]
    edits = [(e, tried(e.path, lambda e=e: e.present(stage.text(e.path, e.where)))) for e in conv.edits]
    if all(held for _, held in marks + edits):
        raise Refused(f"{(conv.sections + conv.edits)[0].path}: {conv.stem} is there already, but no "
                      f"{MANIFEST} says which version converted the tree: use stock files, without a backport "
                      "of it")
    partly = any(held for m, held in marks if m.wanted) or any(held for e, held in edits if not e.removes())
    made = {}
    for section in conv.sections:
        for place, count in (tried(section.path, convert_file, conv, section, stage, root, partly) or {}).items():
            made[place] = made.get(place, 0) + count
    for edit, there in edits:
        if tried(edit.path, edit_file, edit, there, stage):
            made[edit.path, edit.where] = 1
    if wrong:
        raise Unfit("\n".join(wrong))
    return made


def edit_file(edit, there, stage):
    if there and not edit.removes():
        raise Unfit(f"{edit.path}: {edit.where}: this edit is there already, but what comes "
                    "before it is not: a half converted tree, or a backport: use the stock file")
    staged = stage.file(edit.path, edit.where)
    text = edit.apply(read_text(staged))
    if not edit.present(text):
        raise Refused(f"{edit.where}: what it replaces is part of what it adds")
    staged.write_bytes(encode(text))
    return True


def convert_file(conv, section, stage, root, partly):
    cocci = section.cocci
    staged = stage.file(section.path, shown(cocci))
    before = stage.directory / "before"
    shutil.copyfile(staged, before)
    run_spatch(cocci, conv.options.get(cocci, []), staged, section.path, root)
    made = hunks(before, staged)
    check_counts(section, made, read_text(before), partly)
    after = read_text(staged)
    for mark in section.marks:
        if not mark.holds(after):
            raise Unfit(f"{section.path}: {shown(cocci)}: applied as stated, but its 'Applied: {mark.name} "
                        f"{'' if mark.wanted else '!'}{mark.pattern}' does not hold: use the stock file, or mend "
                        "the rule")
    return {(section.path, name): n for name, n in made.items()}


def convert_all(conversions, stage, root, say):
    """Apply all conversions to the stage, or find all files that do not fit."""
    wrong = []
    for conv in conversions:
        start = time.monotonic()
        try:
            made = convert(conv, stage, root)
        except Unfit as error:
            wrong.append(str(error))
            continue
        if not made:        # all of its files are out already
            continue
        say(f"{conv.stem:44} {sum(made.values()):3} hunks in {len(made):2} places of "
            f"{len({path for path, _ in made})} files {time.monotonic() - start:5.1f} s")
    if wrong:
        raise Unfit("\n".join(wrong))


@contextlib.contextmanager
def staging():
    """A temporary directory; those of runs that were killed are removed first, which are
    named as tempfile does it, and have our mark."""
    top = pathlib.Path(tempfile.gettempdir())
    for old in top.glob("pgtable-walk-apply-" + "[a-z0-9_]" * 8):
        with contextlib.suppress(OSError):
            if old.is_symlink() or not (old / OWNER).is_file() or \
               time.time() - old.stat().st_mtime < 600 or old.stat().st_uid != os.geteuid():
                continue
            fcntl.flock(os.open(old, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
    with tempfile.TemporaryDirectory(prefix="pgtable-walk-apply-") as directory:
        fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_EX)
        try:
            (pathlib.Path(directory) / OWNER).touch()
            yield pathlib.Path(directory)
        except OSError:
            full(directory)
            raise
