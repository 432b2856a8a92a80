#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
r"""Turn a kernel tree into one with pgtable-walk.

The new files of this repository are copied to the same path of the tree.  The
existing ones are changed by scripts/coccinelle/pgtable-walk/convert/NNNN-name,
.cocci and .edit, in number order, each on what the previous one left.  Either
every file is written or none is.

A conversion begins with its commit message, in lines "/// text".  The header
of a .cocci then says what the semantic patch does to each file, on each base:

  // Options: --iso-file x.iso         more spatch options, run in this directory
  // File: virt/kvm/kvm_main.c
  // Hunks: 6.12 struct kvm_x 1        'diff -U0' has one hunk in this definition
  // Hunks: 6.12 - 2                   and two that touch none, as new functions
  // Applied: 6.12 struct kvm_x \bage  afterwards this regular expression is found
  // Applied: 6.12 - !old_name         in it, or not found (!) in the whole file (-)

Names are those of the unconverted text: functions, arrays, struct/union/enum.
A conversion all of whose Applied lines hold, on the tree as all conversions
leave it, has been applied already.  'Applied: 6.12 f !.' says that f is gone;
'[!]x' finds a '!x'.

A .edit is a list of blocks for lines that are not C; all text after 'Key: '
counts, tabs too.  Repeated anchor or Add lines make a block of several lines:

  File: arch/riscv/kvm/Kconfig
  Base: 6.12 7.3                       optional: only on these
  In: config KVM                       optional: down to the next unindented line
  After: 	select KVM_COMMON            or Before:, Replace:, 'At: end'; found once
  Add: 	select PGTABLE_WALK
"""
import argparse
import collections
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

OVERLAY_DIRS = ("arch", "include", "lib", "virt", "mm", "Documentation",
                "tools/testing/selftests", "scripts/coccinelle/pgtable-walk/check")
CONVERT_DIR = "scripts/coccinelle/pgtable-walk/convert"
MANIFEST = ".pgtable-walk.json"
SPATCH = ("spatch", "--very-quiet", "--no-includes", "--include-headers",
          "--timeout", "300", "--in-place")
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
HERE = pathlib.Path(__file__).resolve().parent


class Refused(Exception):
    """The tree cannot be converted; the text is the line that the user reads."""


def read_text(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as f:
        return f.read()


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---- C source: which definition does a line belong to? ----

BLANKED = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
ANNOTATION = re.compile(r"\b__(?:attribute__|releases|acquires|cond_acquires|must_hold|printf|"
                        r"scanf|aligned|section|no_sanitize)\s*\((?:[^()]|\([^()]*\))*\)")


@dataclasses.dataclass
class Definition:
    name: str
    first: int      # line numbers from 0, both ends included
    last: int


def definition_name(head):
    """'f' for "static int f(int a)", 'struct s' for "struct s", 'a' for "int a[] ="."""
    head = ANNOTATION.sub(" ", head)
    flat = head
    while (inner := re.sub(r"\([^()]*\)", "\0", flat)) != flat:
        flat = inner
    if m := re.search(r"(\w+)\s*(?:\[[^]]*\]\s*)*=", flat):
        return m[1]
    if m := re.findall(r"(\w+)\s*\0", flat):
        return m[-1]
    if m := re.search(r"\b(struct|union|enum)\s+(?:__\w+\s+)*(\w+)", flat):
        return f"{m[1]} {m[2]}"
    return "-"


def definitions(text):
    """Top-level definitions with a body.  Of #if/#else branches with an open
    brace each, as in two heads of one function, the last one counts."""
    found, branches = [], []
    depth, head, first, directive = 0, "", None, False
    text = BLANKED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    for nr, line in enumerate(text.split("\n")):
        if directive or line.lstrip().startswith("#"):
            if not directive:
                word = re.match(r"\s*#\s*(\w*)", line)[1]
                if word.startswith("if"):
                    branches.append((depth, head, first))
                elif word.startswith("el") and branches:
                    depth, head, first = branches[-1]
                elif word == "endif" and branches:
                    branches.pop()
            directive = line.endswith("\\")
            continue
        for char in line:
            if depth:
                depth += (char == "{") - (char == "}")
                if not depth:
                    found.append(Definition(definition_name(head), first, nr))
                    head, first = "", None
            elif char == "{" and head:
                depth = 1
            elif char in ";}":
                head, first = "", None
            elif head or not char.isspace():
                head += char
                first = nr if first is None else first
        head += " " if head else ""
    return [d for d in found if d.name != "-"]


def body(text, name):
    """The text of a definition, of every one of that name; '-': the whole file."""
    if name == "-":
        return text
    lines = text.split("\n")
    return "\n".join("\n".join(lines[d.first:d.last + 1])
                     for d in definitions(text) if d.name == name)


# ---- hunks ----

def changes(old, new):
    """Changed line ranges (old_from, old_to, new_from, new_to), ends excluded."""
    out = subprocess.run(["diff", "-a", "-U0", old, new], capture_output=True, check=False,
                         text=True, errors="surrogateescape")
    if out.returncode > 1:
        raise Refused(f"diff: {out.stderr.strip()}")
    for m in re.finditer(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", out.stdout, re.M):
        begin, count, new_begin, new_count = (int(g) if g else 1 for g in m.groups())
        begin -= count > 0
        new_begin -= new_count > 0
        yield begin, begin + count, new_begin, new_begin + new_count


def positions(lines, begin, end, up, down):
    """Shifts by which a run of added or removed lines gives the same result."""
    yield 0
    for way, limit, a, b in ((-1, up, begin - 1, end - 1), (1, down, begin, end)):
        for n in range(limit):
            if not 0 <= a + way * n < b + way * n < len(lines) or \
               lines[a + way * n] != lines[b + way * n]:
                break
            yield way * (n + 1)


def hunks(old_path, new_path):
    """{definition: hunks in it}.  A hunk belongs to the definitions of the old
    text that it changes, or to '-'.  Where a run of lines can be placed in
    several ways, as with a whole function, the one that touches least counts."""
    old, new = read_text(old_path), read_text(new_path)
    defs, old_lines, new_lines = definitions(old), old.split("\n"), new.split("\n")
    ranges = list(changes(old_path, new_path))
    counts = collections.Counter()
    for i, (begin, end, new_begin, new_end) in enumerate(ranges):
        shifts = [0]
        if begin == end or new_begin == new_end:
            lines, a, b = (old_lines, begin, end) if end > begin else (new_lines, new_begin, new_end)
            up = begin - (ranges[i - 1][1] if i else 0)
            down = (ranges[i + 1][0] if i + 1 < len(ranges) else len(old_lines)) - end
            shifts = positions(lines, a, b, up, down)
        touched = [{d.name for d in defs if d.first < end + s and begin + s <= d.last}
                   for s in shifts]
        counts.update(min(touched, key=len) or {"-"})
    return counts


# ---- conversions ----

@dataclasses.dataclass
class Mark:
    """An Applied line."""
    name: str
    pattern: str
    wanted: bool

    def holds(self, text):
        return bool(re.search(self.pattern, body(text, self.name), re.M)) == self.wanted


@dataclasses.dataclass
class Section:
    """What a .cocci does to one file; both dictionaries have the base as key."""
    path: str
    hunks: dict
    marks: dict


@dataclasses.dataclass
class Edit:
    """A block of a .edit."""
    where: str
    path: str
    bases: tuple = ()
    scope: str = ""
    kind: str = ""
    anchor: tuple = ()
    add: tuple = ()

    def bounds(self, lines):
        if not self.scope:
            return 0, len(lines)
        begin = self.once(find(lines, (self.scope,), 0, len(lines)), self.scope)
        end = begin + 1
        while end < len(lines) and (not lines[end] or lines[end][0].isspace()):
            end += 1
        return begin, end

    def once(self, places, line):
        if len(places) == 1:
            return places[0]
        raise Refused(f"{self.path}: {self.where}: the line '{line.strip()}' is there "
                      f"{len(places)} times, 1 expected; use the stock file or mend the edit")

    def present(self, text):
        lines = text.split("\n")
        bounds = self.bounds(lines)
        return bool(find(lines, self.add, *bounds)) and \
            not (self.kind == "Replace" and find(lines, self.anchor, *bounds))

    def apply(self, text):
        lines = text.split("\n")
        if self.kind == "At":
            begin = end = len(lines) - (not lines[-1])
        else:
            begin = self.once(find(lines, self.anchor, *self.bounds(lines)), self.anchor[0])
            end = begin + len(self.anchor)
            begin, end = {"After": (end, end), "Before": (begin, begin)}.get(
                self.kind, (begin, end))
        lines[begin:end] = self.add
        return "\n".join(lines if not lines[-1] else lines + [""])


@dataclasses.dataclass
class Conversion:
    stem: str
    message: list = dataclasses.field(default_factory=list)
    options: list = dataclasses.field(default_factory=list)
    sections: list = dataclasses.field(default_factory=list)
    edits: list = dataclasses.field(default_factory=list)

    def bases(self):
        return {b for s in self.sections for b in s.hunks} | {b for e in self.edits for b in e.bases}

    def paths(self, base):
        return {s.path for s in self.sections if base in s.hunks} | \
               {e.path for e in self.edits_for(base)}

    def edits_for(self, base):
        return [e for e in self.edits if not e.bases or base in e.bases]


def find(lines, block, begin, end):
    return [i for i in range(begin, end - len(block) + 1)
            if lines[i:i + len(block)] == list(block)]


NAME = r"(?:(?:struct|union|enum) )?\S+"


def cocci_key(conv, key, value):
    """One '// Key: value' line of a .cocci; False if it is wrong."""
    section = conv.sections[-1] if conv.sections else None
    if key == "File" and all(s.path != value for s in conv.sections):
        conv.sections.append(Section(value, {}, {}))
    elif key == "Options":
        conv.options += value.split()
    elif key == "Hunks" and section and (m := re.fullmatch(rf"(\S+) ({NAME}) ([1-9]\d*)", value)):
        counts = section.hunks.setdefault(m[1], {})
        if m[2] in counts:
            return False
        counts[m[2]] = int(m[3])
    elif key == "Applied" and section and (m := re.fullmatch(rf"(\S+) ({NAME}) (!?)(.+)", value)):
        re.compile(m[4])
        section.marks.setdefault(m[1], []).append(Mark(m[2], m[4], not m[3]))
    else:
        return key == "SPDX-License-Identifier"
    return True


def parse_cocci(path, conv):
    for nr, line in enumerate(read_text(path).split("\n"), 1):
        if not line.startswith("//"):
            break
        if line.startswith("///"):
            conv.message.append(line[4:])
        elif m := re.match(r"// (\w[\w-]*): *(.*?) *$", line):
            try:
                good = cocci_key(conv, m[1], m[2])
            except re.error as error:
                raise Refused(f"{path.name}:{nr}: bad regular expression: {error}") from None
            if not good:
                raise Refused(f"{path.name}:{nr}: not understood: '{line}' (see apply.py --help)")
    for section in conv.sections:
        if not section.hunks or section.hunks.keys() != section.marks.keys():
            raise Refused(f"{path.name}: {section.path}: each base needs Hunks and Applied lines "
                          "(see apply.py --help)")
    if not conv.sections:
        raise Refused(f"{path.name}: no '// File:' line (see apply.py --help)")


def parse_edit(path, conv):
    blocks, message = [], []
    for nr, line in enumerate(read_text(path).split("\n"), 1):
        if line.startswith("///"):
            message.append(line[4:])
        if not line.strip() or line.startswith("//"):
            continue
        m = re.match(r"(File|Base|In|After|Before|Replace|At|Add):(?: (.*))?$", line)
        key, value = (m[1], m[2] or "") if m else ("", "")
        edit = blocks[-1] if blocks else None
        if key == "File":
            blocks.append(Edit(f"{path.name}:{nr}", value.strip()))
        elif key == "Base" and edit:
            edit.bases = tuple(value.split())
        elif key == "In" and edit:
            edit.scope = value
        elif key == "Add" and edit and edit.kind:
            edit.add += (value,)
        elif key and edit and edit.kind in ("", key) and not edit.add and \
                (key != "At" or value == "end"):
            edit.kind, edit.anchor = key, edit.anchor + (value,)
        else:
            raise Refused(f"{path.name}:{nr}: not understood: '{line}' (see apply.py --help)")
    if incomplete := [e.where for e in blocks if not e.add]:
        raise Refused(f"{incomplete[0]}: this block has no anchor or no Add: line")
    conv.edits, conv.message = blocks, conv.message or message


def load_conversions(directory):
    found = {}
    for path in sorted(directory.glob("*")):
        if path.suffix not in (".cocci", ".edit") or not re.match(r"\d{4}-", path.name):
            continue
        if any(c.stem[:4] == path.name[:4] for s, c in found.items() if s != path.stem):
            raise Refused(f"{path.name}: another conversion has the number {path.name[:4]}")
        conv = found.setdefault(path.stem, Conversion(path.stem))
        (parse_cocci if path.suffix == ".cocci" else parse_edit)(path, conv)
        if not conv.message or not conv.message[0].strip():
            raise Refused(f"{path.name}: no commit message: it begins with '/// subject'")
    return list(found.values())


# ---- converting ----

class Stage:
    """The files that conversions change, copied out of a tree as they are asked for."""

    def __init__(self, tree, directory):
        self.tree, self.directory, self.paths = tree, directory, set()

    def file(self, path, by):
        staged = self.directory / path
        if path not in self.paths:
            if not (self.tree / path).is_file():
                raise Refused(f"{path}: {by} changes it, but the tree has no such file")
            staged.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.tree / path, staged)
            self.paths.add(path)
        return staged

    def text(self, path, by):
        return read_text(self.file(path, by))


def run(command, **kwargs):
    """Run a command to its end; a signal kills it too.  Returns (status, output)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **kwargs) as child:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            output, _ = child.communicate()
        except BaseException:
            child.kill()
            raise
    return child.returncode, output.decode(errors="replace")


def run_spatch(cocci, options, staged, path, root):
    """Run one semantic patch on a staged file."""
    tmp = staged.parent
    env = {**os.environ, "HOME": str(tmp), "TMPDIR": str(tmp), "LC_ALL": "C"}
    status, text = run([*SPATCH, *options, "--sp-file", cocci.name, staged], cwd=cocci.parent,
                       env=env)
    if status or re.search(r"Fatal error|EXN", text):
        log = root / "build/log" / f"spatch-{cocci.stem}-{path.replace('/', '_')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
        first = next((line for line in text.split("\n") if line.strip()), "no message").strip()
        raise Refused(f"{path}: {cocci.name}: spatch failed (exit {status}, '{first}'): "
                      f"see {log}")


def check_counts(conv, section, base, made, text, partly):
    wanted = section.hunks[base]
    there = {d.name for d in definitions(text)} | {"-"}
    wrong = [f"{n}: {wanted.get(n, 0)} hunks expected, {made.get(n, 0)} found"
             + ("" if n in there else ", not in the tree")
             for n in dict.fromkeys([*wanted, *made]) if made.get(n, 0) != wanted.get(n, 0)]
    if wrong:
        why = "partly converted already" if partly else f"not as in stock {base}"
        raise Refused(f"{section.path}: {conv.stem}.cocci: {'; '.join(wrong)} ({why}: use the stock "
                      "file, or mend the rule or its Hunks lines)")


def convert(conv, base, stage, root, may_be_done):
    """Apply one conversion to the stage.  Returns {(file, definition): hunks},
    or None if it has been applied already."""
    sections = [s for s in conv.sections if base in s.hunks]
    marks = [(m, m.holds(stage.text(s.path, conv.stem + ".cocci")))
             for s in sections for m in s.marks[base]]
    edits = [(e, e.present(stage.text(e.path, e.where))) for e in conv.edits_for(base)]
    if may_be_done and all(held for _, held in marks + edits):
        return None
    partly = any(held for m, held in marks if m.wanted) or any(held for _, held in edits)
    made = {}
    for section in sections:
        made.update(convert_file(conv, section, base, stage, root, partly))
    for edit, there in edits:
        if there:
            raise Refused(f"{edit.path}: {edit.where}: this edit is there already, but what comes "
                          "before it is not: a half converted tree: use stock files")
        staged = stage.file(edit.path, edit.where)
        text = edit.apply(read_text(staged))
        if not edit.present(text):
            raise Refused(f"{edit.where}: what it replaces is part of what it adds")
        staged.write_bytes(encode(text))
        made[edit.path, edit.where] = 1
    return made


def convert_file(conv, section, base, stage, root, partly):
    cocci = root / CONVERT_DIR / f"{conv.stem}.cocci"
    staged = stage.file(section.path, cocci.name)
    before = stage.directory / "before"
    shutil.copyfile(staged, before)
    run_spatch(cocci, conv.options, staged, section.path, root)
    made = hunks(before, staged)
    check_counts(conv, section, base, made, read_text(before), partly)
    after = read_text(staged)
    for mark in section.marks[base]:
        if not mark.holds(after):
            raise Refused(f"{section.path}: {cocci.name}: applied as stated, but its 'Applied: {base} "
                          f"{mark.name} {'' if mark.wanted else '!'}{mark.pattern}' does not hold")
    return {(section.path, name): n for name, n in made.items()}


def convert_all(conversions, base, stage, root, say):
    """Apply all conversions to the stage.  Those there already come first."""
    fresh = False
    for conv in conversions:
        start = time.monotonic()
        made = convert(conv, base, stage, root, not fresh) if conv.paths(base) else None
        if made is not None:
            fresh = True
            say(f"{conv.stem:44} {sum(made.values()):3} hunks in {len(made):2} places of "
                f"{len({path for path, _ in made})} files {time.monotonic() - start:5.1f} s")


# ---- the overlay ----

def overlay_files(root):
    """Paths of the new files: what git would track, or all without git."""
    git = ["git", "-C", str(root)]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        top = subprocess.run([*git, "rev-parse", "--show-toplevel"], capture_output=True,
                             check=True).stdout.decode().rstrip("\n")
        if os.path.samefile(top, root):
            out = subprocess.run([*git, "ls-files", "-coz", "--exclude-standard", "--",
                                  *OVERLAY_DIRS], capture_output=True, check=True).stdout
            return sorted({p for p in out.decode().split("\0") if p and (root / p).is_file()})
    return sorted(str(p.relative_to(root)) for d in OVERLAY_DIRS for p in (root / d).rglob("*")
                  if p.is_file() and "__pycache__" not in p.parts)


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


# ---- writing ----

class Transaction:
    """Writes files of a tree: all, or on any error or signal none."""

    def __init__(self, kdir):
        self.kdir, self.dirs, self.moves, self.undo = kdir, [], [], []

    def commit(self, writes, modes):
        """writes: {path: data, None to delete}; modes: of files that are new."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)     # until the end of the process
        try:
            for path, data in sorted(writes.items()):
                if pending := signal.sigpending() & SIGNALS:
                    interrupted(min(pending))
                dest = self.kdir / path
                temporary = dest.with_name(f".{dest.name}.apply-new")
                self.moves.append((temporary, dest, data is not None))
                if data is not None:
                    self.make_parents(dest)
                    self.write(temporary, dest, data, modes.get(path, 0o644))
            for move in self.moves:
                self.swap(*move)
        except BaseException:
            self.roll_back()
            raise
        for saved, _ in self.undo:
            if saved:
                saved.unlink(missing_ok=True)

    def make_parents(self, dest):
        missing = [p for p in dest.parents if not p.exists()]
        for directory in reversed(missing):
            self.dirs.append(directory)
            directory.mkdir()
            like(directory, directory.parent, None)

    def write(self, temporary, dest, data, mode):
        with open(temporary, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        if dest.exists():
            like(temporary, dest, dest.stat().st_mode & 0o7777)
        else:
            like(temporary, dest.parent, mode)

    def swap(self, temporary, dest, written):
        saved = dest.with_name(f".{dest.name}.apply-old")
        if os.path.lexists(dest):
            self.undo.append((saved, dest))
            os.rename(dest, saved)
        else:
            self.undo.append((None, dest))
        if written:
            os.rename(temporary, dest)

    def roll_back(self):
        for saved, dest in reversed(self.undo):
            if saved is None:
                dest.unlink(missing_ok=True)
            elif os.path.lexists(saved):
                os.rename(saved, dest)
        for temporary, _, _ in self.moves:
            with contextlib.suppress(OSError):
                temporary.unlink()
        for directory in reversed(self.dirs):
            with contextlib.suppress(OSError):
                directory.rmdir()


def like(path, model, mode):
    """Give a new file or directory the owner of its model, and a mode."""
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):
            os.chown(path, model.stat().st_uid, model.stat().st_gid)
    if mode is not None:
        os.chmod(path, mode)


# ---- the whole ----

def tree_version(kdir):
    """'6.12' for a kernel tree of that version."""
    makefile = kdir / "Makefile"
    text = read_text(makefile) if makefile.is_file() and (kdir / "Kconfig").is_file() else ""
    numbers = [re.search(rf"^{key} = (\d+)$", text, re.M) for key in ("VERSION", "PATCHLEVEL")]
    if not all(numbers):
        raise Refused(f"{kdir}: not a kernel source tree (no Kconfig, or no Makefile with VERSION "
                      "and PATCHLEVEL): give the top directory of one")
    return ".".join(m[1] for m in numbers)


def chosen_base(kdir, conversions):
    version = tree_version(kdir)
    supported = sorted({b for c in conversions for b in c.bases()})
    if version not in supported:
        raise Refused(f"{kdir}: this is Linux {version}, but there are conversions for "
                      f"{', '.join(supported) or 'no version'} only")
    return version


def read_manifest(kdir):
    """{'new': {path: hash}, 'converted': {path: hash}} of an earlier run."""
    empty = {"new": {}, "converted": {}}
    try:
        return {**empty, **json.loads((kdir / MANIFEST).read_text())}
    except FileNotFoundError:
        return empty
    except (ValueError, TypeError):
        raise Refused(f"{kdir / MANIFEST}: damaged: remove it, or restore the tree") from None


def converted_writes(stage, kdir, source, known):
    """{path: data} of existing files that change, and the hashes of all results."""
    for path in (known if source != kdir else ()):
        stage.file(path, MANIFEST)      # no longer converted: back to what the source has
    writes, hashes = {}, {}
    for path in sorted(stage.paths):
        data, there = (stage.directory / path).read_bytes(), (kdir / path).read_bytes()
        hashes[path] = sha256(data)
        if data == there:
            continue
        if source != kdir and there != (source / path).read_bytes() and \
           sha256(there) != known.get(path):
            raise Refused(f"{path}: edited since it was converted: save your changes, then copy "
                          f"the file from {source}")
        writes[path] = data
    return writes, hashes


def apply(args, say):
    kdir, root = args.kdir.resolve(), args.overlay_root.resolve()
    conversions = load_conversions(root / CONVERT_DIR)
    base = chosen_base(kdir, conversions)
    source = args.source.resolve() if args.source else kdir
    if tree_version(source) != base:
        raise Refused(f"{source}: not the Linux {base} that {kdir} is")
    lock = os.open(kdir, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"{kdir}: another apply is at work there: wait for it") from None
    if not shutil.which("spatch") and subprocess.run([HERE / "need", "coccinelle"],
                                                     check=False).returncode:
        raise Refused("spatch is missing")

    manifest = read_manifest(kdir)
    with tempfile.TemporaryDirectory(prefix="pgtable-walk-") as directory:
        stage = Stage(source, pathlib.Path(directory))
        convert_all(conversions, base, stage, root, say)
        writes, new = overlay_writes(root, kdir, manifest["new"])
        changed, converted = converted_writes(stage, kdir, source, manifest["converted"])
    files = f"{len(new)} new files, {len(converted)} converted"
    count = len([c for c in conversions if c.paths(base)])
    if both := new.keys() & converted.keys():
        raise Refused(f"{min(both)}: both a new file of ours and one that a conversion changes")
    if not writes and not changed:
        return f"nothing to do: {args.kdir} already has pgtable-walk ({count} conversions, {files})"
    if args.check_only:
        return f"{args.kdir}: Linux {base}, can be converted: {count} conversions, {files}"
    modes = {p: 0o755 if os.access(root / p, os.X_OK) else 0o644 for p in new}
    record = json.dumps({"new": new, "converted": converted}, indent=1) + "\n"
    Transaction(kdir).commit({**writes, **changed, MANIFEST: record.encode()}, modes)
    return f"{args.kdir}: Linux {base}, has pgtable-walk now: {count} conversions, {files}"


def interrupted(number, _frame=None):
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    raise Refused(f"stopped by {signal.Signals(number).name}")


def main():
    what, _, formats = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=formats,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-only", action="store_true", help="do all but the writing")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument("--from", dest="source", type=pathlib.Path, metavar="STOCK",
                        help="convert STOCK's files into KDIR, which may hold those of an earlier "
                             "run: only what differs is written")
    parser.add_argument("--overlay-root", type=pathlib.Path, default=HERE.parent.parent,
                        metavar="DIR", help="take new files and conversions from here")
    parser.add_argument("kdir", type=pathlib.Path, metavar="KDIR", help="the kernel source tree")
    args = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, interrupted)
    say = (lambda line: None) if args.quiet else (lambda line: print(line, flush=True))
    try:
        summary = apply(args, say)
    except Refused as error:
        sys.exit(f"apply.py: {error}; nothing was changed")
    except OSError as error:
        sys.exit(f"apply.py: {error.filename or args.kdir}: {error.strerror}; nothing was changed")
    say(summary)


if __name__ == "__main__":
    main()
