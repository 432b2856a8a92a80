# SPDX-License-Identifier: GPL-2.0
r"""Turn a kernel tree into one with pgtable-walk, or back.

The new files of this repository are copied to the same path of the tree.  The
existing ones are changed by scripts/coccinelle/pgtable-walk/convert/NNNN-name,
.cocci and .edit, in number order, each on what the previous one left.  Then the
checks in ../check must find nothing wrong with the result.  Either every file is
written or none is; if a run is killed, the next one puts the tree in order first.

.pgtable-walk.json in the tree records which version of the conversions it has and
what the converted files were before.  With it, a tree that an older version converted
is converted anew, and --undo gives the tree back.  Both keep edits that were made
since, or refuse where they overlap what a conversion did.

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
leave it, is there already.  'Applied: 6.12 f !.' says that f is gone;
'[!]x' finds a '!x'.

A .edit is a list of blocks; all text after 'Key: ' counts, tabs too.  Repeated
anchor or Add lines make a block of several lines:

  File: arch/riscv/kvm/Kconfig
  Base: 6.12 7.3                       optional: only on these
  In: config KVM                       optional: down to the next unindented line
  After: 	select KVM_COMMON            or Before:, Replace:, 'At: end'; found once
  Add: 	select PGTABLE_WALK

What a .edit adds to a C file is in a fragment: a file in the directory that has
the name of the conversion, and the suffix of the C file.  All of it is added but
the SPDX line that it begins with, and the empty line after that.  Empty lines
before and after it are for Add:

  File: arch/riscv/kvm/mmu.c
  Before: static void gstage_unmap(struct kvm *kvm)
  Fragment: unmap_some.c
  Add:
"""
import argparse
import base64
import collections
import concurrent.futures
import contextlib
import dataclasses
import fcntl
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
import zlib

from transaction import (DONE, JOURNAL, SIGNALS, Refused, Transaction, Unfinished, digest, interrupted,
                         listen, lock, recover, sha256, unsafe)

OVERLAY_DIRS = ("arch", "include", "lib", "virt", "mm", "Documentation",
                "tools/testing/selftests", "scripts/coccinelle/pgtable-walk/check")
CONVERT_DIR = "scripts/coccinelle/pgtable-walk/convert"
CHECK_DIR = "scripts/coccinelle/pgtable-walk/check"
MANIFEST = ".pgtable-walk.json"
OWNER = ".pgtable-walk-apply"     # in our directories for temporary files
FORMAT = 2              # of the manifest; 1 had no key 'format'
# Untracked files of the overlay that are copied too: no editor's backups, no objects.
SOURCES = re.compile(r"[^.#][^#~]*(?<!\.mod)\.(?:[chS]|rst|cocci)|Kconfig|Makefile|\.kunitconfig")
C_SUFFIXES = (".c", ".h")
SPDX = re.compile(r"(?://|/\*) SPDX-License-Identifier: [^\n]*\n\n")
SPATCH = ("spatch", "--very-quiet", "--no-includes", "--include-headers",
          "--timeout", "300", "--in-place")
HERE = pathlib.Path(__file__).resolve().parent


def read_text(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as f:
        return f.read()


def encode(text):
    return text.encode("utf-8", "surrogateescape")


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
    fragments: tuple = ()   # the files that some of 'add' is from

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


PLACES = ("After", "Before", "Replace", "At")
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


def fragment(edit_path, nr, name, edit):
    """The lines of a fragment that a .edit names."""
    where, path = f"{edit_path.name}:{nr}", edit_path.with_suffix("") / name
    if "/" in name or path.suffix not in C_SUFFIXES or path.suffix != pathlib.PurePath(edit.path).suffix:
        raise Refused(f"{where}: '{name}' is no name of a fragment for {edit.path} (see apply.py --help)")
    if not path.is_file():
        raise Refused(f"{where}: there is no fragment {path.parent.name}/{name}")
    text = read_text(path)
    head = SPDX.match(text)
    lines = text[head.end():].split("\n") if head else []
    if len(lines) < 2 or lines[-1] or not lines[0].strip() or not lines[-2].strip():
        raise Refused(f"{path.parent.name}/{name}: a fragment is an SPDX line, an empty line, and text that neither "
                      "begins nor ends with an empty line")
    edit.fragments += (path,)
    return tuple(lines[:-1])


def parse_edit(path, conv):
    blocks, message = [], []
    for nr, line in enumerate(read_text(path).split("\n"), 1):
        if line.startswith("///"):
            message.append(line[4:])
        if not line.strip() or line.startswith("//"):
            continue
        m = re.match(r"(File|Base|In|After|Before|Replace|At|Add|Fragment):(?: (.*))?$", line)
        key, value = (m[1], m[2] or "") if m else ("", "")
        edit = blocks[-1] if blocks else None
        if key == "File":
            blocks.append(Edit(f"{path.name}:{nr}", value.strip()))
        elif key == "Base" and edit:
            edit.bases = tuple(value.split())
        elif key == "In" and edit:
            edit.scope = value
        elif key == "Add" and edit and edit.kind:
            if value.strip() and edit.path.endswith(C_SUFFIXES):
                raise Refused(f"{path.name}:{nr}: {edit.path} is C: what is added to it goes into a fragment, "
                              f"{conv.stem}/name{pathlib.PurePath(edit.path).suffix} (see apply.py --help)")
            edit.add += (value,)
        elif key == "Fragment" and edit and edit.kind:
            edit.add += fragment(path, nr, value.strip(), edit)
        elif key in PLACES and edit and edit.kind in ("", key) and not edit.add and \
                (key != "At" or value == "end"):
            edit.kind, edit.anchor = key, edit.anchor + (value,)
        else:
            raise Refused(f"{path.name}:{nr}: not understood: '{line}' (see apply.py --help)")
    if incomplete := [e.where for e in blocks if not e.add]:
        raise Refused(f"{incomplete[0]}: this block has no anchor, or no Add: or Fragment: line")
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
    named = {path for conv in found.values() for edit in conv.edits for path in edit.fragments}
    if unused := [path for path in fragments(directory) if path not in named]:
        raise Refused(f"{unused[0].relative_to(directory)}: no .edit names this fragment")
    return list(found.values())


def fragments(directory):
    """All that there are in the directories of conversions; editors' backups are none."""
    return sorted(path for path in directory.glob("[0-9][0-9][0-9][0-9]-*/*")
                  if path.suffix in C_SUFFIXES and is_source(path.name))


# ---- converting ----

class Stage:
    """The files that conversions change, copied out of a tree as they are asked for, or
    from 'texts', {path: text}."""

    def __init__(self, tree, directory, texts=None):
        self.tree, self.directory, self.texts, self.paths = tree, directory, texts or {}, set()

    def file(self, path, by):
        staged = self.directory / path
        if path not in self.paths:
            if not (self.tree / path).is_file():
                raise Refused(f"{path}: {by} changes it, but the tree has no such file")
            staged.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(encode(self.before(path)))
            self.paths.add(path)
        return staged

    def before(self, path):
        """What the conversions start from."""
        return self.texts[path] if path in self.texts else read_text(self.tree / path)

    def text(self, path, by):
        return read_text(self.file(path, by))


RUNNING = set()


def run(command, **kwargs):
    """Run a command to its end; a signal kills it too.  Returns (status, output)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **kwargs) as child:
        RUNNING.add(child)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            output, _ = child.communicate()
        except BaseException:
            child.kill()
            raise
        finally:
            RUNNING.discard(child)
    return child.returncode, output.decode(errors="replace")


def in_parallel(function, items):
    """The results of a function that runs commands; an exception kills these, too."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            for child in set(RUNNING):
                child.kill()
            raise


def run_spatch(cocci, options, staged, path, root):
    """Run one semantic patch on a staged file."""
    tmp = staged.parent
    env = {**os.environ, "HOME": str(tmp), "TMPDIR": str(tmp), "LC_ALL": "C"}
    status, text = run([*SPATCH, *options, "--sp-file", cocci.name, staged], cwd=cocci.parent,
                       env=env)
    if status or re.search(r"Fatal error|EXN", text):
        full(tmp)
        where = keep_log(root, f"spatch-{cocci.stem}-{path.replace('/', '_')}.log", text)
        raise Refused(f"{path}: {cocci.name}: spatch failed (exit {status}, '{first_line(text)}')"
                      f"{where}")


def first_line(text):
    return next((line for line in text.split("\n") if line.strip()), "no message").strip()


def keep_log(root, name, text):
    """': see FILE', or nothing if the repository cannot be written to."""
    log = root / "build/log" / name
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
    except OSError:
        return ""
    return f": see {log}"


def full(directory):
    """Name the directory for temporary files if it is full: programs do not."""
    room = os.statvfs(directory)
    if room.f_bavail * room.f_frsize < 1 << 16 or (room.f_files and not room.f_favail):
        raise Refused(f"{tempfile.gettempdir()}: no space left for temporary files: make room, or set "
                      "TMPDIR to another directory")


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


def convert(conv, base, stage, root):
    """Apply one conversion to the stage.  Returns {(file, definition): hunks}."""
    sections = [s for s in conv.sections if base in s.hunks]
    marks = [(m, m.holds(stage.text(s.path, conv.stem + ".cocci")))
             for s in sections for m in s.marks[base]]
    edits = [(e, e.present(stage.text(e.path, e.where))) for e in conv.edits_for(base)]
    if all(held for _, held in marks + edits):
        raise Refused(f"{(sections or conv.edits_for(base))[0].path}: {conv.stem} is there already, but no "
                      f"{MANIFEST} says which version converted the tree: use stock files")
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
    """Apply all conversions to the stage."""
    for conv in conversions:
        start = time.monotonic()
        if conv.paths(base):
            made = convert(conv, base, stage, root)
            say(f"{conv.stem:44} {sum(made.values()):3} hunks in {len(made):2} places of "
                f"{len({path for path, _ in made})} files {time.monotonic() - start:5.1f} s")


# ---- the overlay ----

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


# ---- undoing ----

# It may be no edit but another version of Linux.
MOVED = (f"; or, if the tree was moved to another version since, restore its own files, as with git checkout, "
         f"and remove {MANIFEST}")

LINES = re.compile(r"[^\n]*\n|[^\n]+")


def pack(text):
    return base64.b64encode(zlib.compress(encode(text), 9)).decode()


def unpack(packed):
    return zlib.decompress(base64.b64decode(packed)).decode("utf-8", "surrogateescape")


def edits(old, new, directory):
    """[[begin, end, lines]]: what to replace in the lines of one text to get the other."""
    for name, text in (("old", old), ("new", new)):
        (directory / name).write_bytes(encode(text))
    lines = LINES.findall(new)
    return [[begin, end, lines[new_begin:new_end]] for begin, end, new_begin, new_end
            in changes(directory / "old", directory / "new")]


def patched(text, patch):
    lines = LINES.findall(text)
    for begin, end, new in reversed(patch):
        lines[begin:end] = new
    return "".join(lines)


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


# ---- the record in the tree ----

def conversion_hashes(root):
    """{file name: hash} of what there is to convert with."""
    top = root / CONVERT_DIR
    return {str(p.relative_to(top)): sha256(p.read_bytes()) for p in
            [*(p for p in sorted(top.glob("*")) if p.suffix in (".cocci", ".edit", ".h")), *fragments(top)]}


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


# ---- the checks ----

# A file without any of a check's keywords is none of its business.
KEYWORDS = re.compile(r"^// Keywords: (.+)$", re.M)
REPORT = re.compile(r"([^\s:]+):(\d+):\d+-\d+: ((?:ERROR|WARNING): .*)")
# What a file outside of ours must mention to be worth a look.
WRITES = re.compile(r"vpte_|pgtable_root_|_retire_root|visit_ctx|sptep|rmap_head|parent_ptes")
CHECKED = ("arch", "virt", "include", "lib", "mm")


def checked_files(stage, root, tree, new, arches):
    """Copy what the checks have to see to the stage; its paths."""
    paths = {p for p in stage.paths if p.endswith((".c", ".h")) and p.startswith(CHECKED)}
    for path in new:
        if path.endswith((".c", ".h")) and path.startswith(CHECKED) and not path.endswith("_kunit.c") and \
           not path.startswith("include/kunit"):
            (stage.directory / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, stage.directory / path)
            paths.add(path)
    for top in [f"arch/{arch}/kvm" for arch in arches] + ["virt/kvm"]:
        for found in (tree / top).rglob("*.[ch]"):
            path = str(found.relative_to(tree))
            if path not in paths and path not in new and WRITES.search(text := read_text(found)):
                (stage.directory / path).parent.mkdir(parents=True, exist_ok=True)
                (stage.directory / path).write_bytes(encode(text))
                paths.add(path)
    return sorted(paths)


def origin(path, line, stage, tree):
    """The line of the tree's own file that a line of the result comes from."""
    if path not in stage.paths:
        return line
    for begin, end, new_begin, new_end in reversed(list(changes(tree / path, stage.directory / path))):
        if line - 1 >= new_end:
            return line - new_end + end
        if line - 1 >= new_begin:
            return begin + 1
    return line


def check(stage, root, tree, new):
    """Refuse a result in which the checks find something."""
    if found := findings(stage, root, tree, new):
        path, line, text, name = found[0]
        more = f"; {len(found) - 1} more" if len(found) > 1 else ""
        raise Refused(f"{path}:{line}: {text} ({name}{more})")


def findings(stage, root, tree, new):
    """[(path, line in the tree's own file, text, check)]"""
    arches = {p.split("/")[1] for p in stage.paths if re.match(r"arch/\w+/kvm/", p)}
    paths = checked_files(stage, root, tree, new, arches)
    cocci = sorted((root / CHECK_DIR).glob("*.cocci"))
    env = {**os.environ, "HOME": str(stage.directory), "TMPDIR": str(stage.directory), "LC_ALL": "C"}

    texts = {path: read_text(stage.directory / path) for path in paths}

    def reports(path):
        words = KEYWORDS.search(read_text(path))
        mine = [p for p in paths if not words or any(word in texts[p] for word in words[1].split())]
        if not mine:
            return []
        status, text = run(["spatch", "--very-quiet", "-D", "report", "--no-includes", "--include-headers",
                            "--no-show-diff", "--cocci-file", path, *mine], cwd=stage.directory, env=env)
        lines = [REPORT.fullmatch(line) for line in text.splitlines() if line.strip()]
        if status or not all(lines):
            full(stage.directory)
            raise Refused(f"{path.name}: spatch failed (exit {status}, '{first_line(text)}')"
                          f"{keep_log(root, f'check-{path.stem}.log', text)}")
        return [(m[1], int(m[2]), m[3], path.name) for m in lines]

    return [(path, origin(path, line, stage, tree), text, name)
            for some in in_parallel(reports, cocci) for path, line, text, name in some]


# ---- the whole ----

def tree_version(kdir):
    """'6.12' for a kernel tree of that version."""
    makefile = kdir / "Makefile"
    text = read_text(makefile) if makefile.is_file() and (kdir / "Kconfig").is_file() else ""
    numbers = [re.search(rf"^{key} = (\d+)(\r?)$", text, re.M) for key in ("VERSION", "PATCHLEVEL")]
    if not all(numbers):
        raise Refused(f"{kdir}: not a kernel source tree (no Kconfig, or no Makefile with VERSION "
                      "and PATCHLEVEL): give the top directory of one")
    if numbers[0][2]:
        raise Refused(f"{kdir}: its lines end in CR LF: check it out with core.autocrlf=false")
    return ".".join(m[1] for m in numbers)


def chosen_base(kdir, conversions):
    version = tree_version(kdir)
    supported = sorted({b for c in conversions for b in c.bases()})
    if version not in supported:
        raise Refused(f"{kdir}: this is Linux {version}, but there are conversions for "
                      f"{', '.join(supported) or 'no version'} only")
    return version


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


def kept(conversions, base, path, entry, there):
    """Whether all that shows in a converted file that it is converted still does, after an edit."""
    stock = unpack(entry["stock"])
    ours = patched(stock, entry["patch"])
    return there != stock and all(
        [m.holds(there) or not m.holds(ours)
         for c in conversions for s in c.sections if s.path == path for m in s.marks.get(base, ())] +
        [e.present(there) or not e.present(ours)
         for c in conversions for e in c.edits_for(base) if e.path == path])


def up_to_date(conversions, base, kdir, source, record):
    """The converted files that were edited since, None if they have to be converted anew."""
    edited = []
    for path, entry in record["converted"].items():
        if "stock" not in entry or not (kdir / path).is_file() or \
           source != kdir and read_text(source / path) != unpack(entry["stock"]):
            return None
        there = read_text(kdir / path)
        if sha256(encode(there)) != entry["hash"]:
            with contextlib.suppress(Refused):
                if source == kdir and kept(conversions, base, path, entry, there):
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


def converted_stage(conversions, base, kdir, source, record, directory, root, say):
    """The tree's files as they should be, whether they had to be converted for that, and
    whether the checks have not seen them."""
    edited = None
    if record["conversions"] == conversion_hashes(root):
        edited = up_to_date(conversions, base, kdir, source, record)
    if edited is not None:
        stage = Stage(kdir, directory / "stage")
        for path in record["converted"]:
            stage.file(path, MANIFEST)
        return stage, False, bool(edited)
    texts = {}
    if source == kdir:
        refuse_without_stock(kdir, record, True)
        texts = stock_texts(kdir, record, directory)
        if record["conversions"] and record["conversions"] != conversion_hashes(root):
            say(f"{kdir}: was converted by {name_of(record)}: converting it anew")
    stage = Stage(source, directory / "stage", texts)
    (directory / "stage").mkdir()
    convert_all(conversions, base, stage, root, say)
    return stage, True, True


def apply(args, say):
    kdir, root = args.kdir.resolve(), args.overlay_root.resolve()
    conversions = load_conversions(root / CONVERT_DIR)
    base = chosen_base(kdir, conversions)
    source = args.source.resolve() if args.source else kdir
    if tree_version(source) != base:
        raise Refused(f"{source}: not the Linux {base} that {kdir} is")
    record, read = opened(kdir, say, [*overlay_files(root), MANIFEST, *(p for c in conversions for p in c.paths(base))])
    if not shutil.which("spatch") and subprocess.run([HERE / "need", "coccinelle"],
                                                     check=False).returncode:
        raise Refused("spatch is missing")

    with staging() as directory:
        stage, fresh, unseen = converted_stage(conversions, base, kdir, source, record, directory, root, say)
        writes, new = overlay_writes(root, kdir, record["new"])
        changed, converted = {}, record["converted"]
        if fresh:
            changed, converted = converted_writes(stage, kdir, source, record, directory)
        if both := new.keys() & converted.keys():
            raise Refused(f"{min(both)}: both a new file of ours and one that a conversion changes")
        if unseen or writes:
            check(stage, root, source, new)
    files = f"{len(new)} new files, {len(converted)} converted"
    count = len([c for c in conversions if c.paths(base)])
    transaction = Transaction(kdir)
    made = {"format": FORMAT, "commit": commit_of(root), "conversions": conversion_hashes(root),
            "dirs": sorted({*record["dirs"], *transaction.missing_directories(writes)}),
            "new": new, "converted": converted}
    if not writes and not changed and {**record, "commit": ""} == {**made, "commit": ""}:
        return f"nothing to do: {args.kdir} already has pgtable-walk ({count} conversions, {files})"
    if args.check_only:
        return f"{args.kdir}: Linux {base}, can be converted: {count} conversions, {files}"
    modes = {p: 0o755 if os.access(root / p, os.X_OK) else 0o644 for p in new}
    manifest = (json.dumps(made, indent=1) + "\n").encode()
    transaction.commit({**writes, **changed, MANIFEST: manifest}, modes, record["dirs"], read)
    return f"{args.kdir}: Linux {base}, has pgtable-walk now: {count} conversions, {files}"


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
    tree_version(kdir)
    record, read = opened(kdir, say, [*overlay_files(root), MANIFEST])
    if not (kdir / MANIFEST).is_file():
        if there := [p for p in overlay_files(root) if (kdir / p).is_file()]:
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
    what, _, formats = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=formats,
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
        sys.exit(f"apply.py: {error}; nothing was changed")
    except Unfinished as error:
        sys.exit(f"apply.py: {error}: stopped on the way: mend this, and run again")
    except OSError as error:
        sys.exit(f"apply.py: {error.filename or args.kdir}: {error.strerror}; nothing was changed")
    say(summary)


if __name__ == "__main__":
    main()
