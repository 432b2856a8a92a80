# SPDX-License-Identifier: GPL-2.0
r"""How the conversions in scripts/coccinelle/pgtable-walk/convert are written.

They are for the version of Linux that the file 'base' there names.

A conversion begins with its commit message, in lines "/// text".  The header
of a .cocci then says what the semantic patch does to each file:

  // Options: --iso-file x.iso         more spatch options, run in this directory
  // File: virt/kvm/kvm_main.c
  // Hunks: struct kvm_x 1             'diff -U0' has one hunk in this definition
  // Hunks: - 2                        and two that touch none, as new functions
  // Applied: struct kvm_x \bage       afterwards this regular expression is found
  // Applied: - !old_name              in it, or not found (!) in the whole file (-)

Names are those of the unconverted text: functions, arrays, struct/union/enum.
If all its Applied lines hold, a conversion is taken for applied already; so all
must hold in the tree that the last conversion leaves.  'Applied: f !.' says that
f is gone; '[!]x' finds a '!x'.

A .edit is a list of blocks of 'Key: text' lines.  The text is taken as it is,
tabs too.  Repeat an anchor or Add line for a block of several lines.  A .edit
needs a message of its own only if there is no .cocci with its name:

  File: arch/riscv/kvm/Kconfig
  In: config KVM                       optional: down to the next unindented line
  After: 	select KVM_COMMON            or Before:, Replace:, 'At: end'; found once
  Add: 	select PGTABLE_WALK

What a .edit adds to a C file is in a fragment: a file with the suffix of the C
file, in a directory with the name of the conversion.  It begins with an SPDX
line and an empty line, which are not added.  It neither begins nor ends with
further empty lines; state these by Add:

  File: arch/riscv/kvm/mmu.c
  Before: static void gstage_unmap(struct kvm *kvm)
  Fragment: unmap_some.c
  Add:
"""
import dataclasses
import pathlib
import re

from .csource import body
from .overlay import is_source
from .text import read_text
from .transaction import Refused, sha256

CONVERT_DIR = "scripts/coccinelle/pgtable-walk/convert"
C_SUFFIXES = (".c", ".h")
SPDX = re.compile(r"(?://|/\*) SPDX-License-Identifier: [^\n]*\n\n")
PLACES = ("After", "Before", "Replace", "At")
NAME = r"(?:(?:struct|union|enum) )?\S+"


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
    """What a .cocci does to one file: {definition: hunks}, and the Applied lines."""
    path: str
    hunks: dict
    marks: list


@dataclasses.dataclass
class Edit:
    """A block of a .edit."""
    where: str
    path: str
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

    def paths(self):
        return {part.path for part in self.sections + self.edits}


def find(lines, block, begin, end):
    return [i for i in range(begin, end - len(block) + 1)
            if lines[i:i + len(block)] == list(block)]


def cocci_key(conv, key, value):
    """One '// Key: value' line of a .cocci; False if it is wrong."""
    section = conv.sections[-1] if conv.sections else None
    if key == "File" and all(s.path != value for s in conv.sections):
        conv.sections.append(Section(value, {}, []))
    elif key == "Options":
        conv.options += value.split()
    elif key == "Hunks" and section and (m := re.fullmatch(rf"({NAME}) ([1-9]\d*)", value)) and \
            m[1] not in section.hunks:
        section.hunks[m[1]] = int(m[2])
    elif key == "Applied" and section and (m := re.fullmatch(rf"({NAME}) (!?)(.+)", value)):
        re.compile(m[3])
        section.marks.append(Mark(m[1], m[3], not m[2]))
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
        if not section.hunks or not section.marks:
            raise Refused(f"{path.name}: {section.path}: needs Hunks and Applied lines (see apply.py --help)")
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
        m = re.match(r"(File|In|After|Before|Replace|At|Add|Fragment):(?: (.*))?$", line)
        key, value = (m[1], m[2] or "") if m else ("", "")
        edit = blocks[-1] if blocks else None
        if key == "File":
            blocks.append(Edit(f"{path.name}:{nr}", value.strip()))
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
    if not blocks:
        raise Refused(f"{path.name}: no File: line (see apply.py --help)")
    if incomplete := [e.where for e in blocks if not e.add]:
        raise Refused(f"{incomplete[0]}: this block has no anchor, or no Add: or Fragment: line")
    conv.edits, conv.message = blocks, conv.message or message


def base_of(directory):
    """The version of Linux that conversions are for."""
    path = directory / "base"
    return read_text(path).strip() if path.is_file() else "no version"


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


def conversion_hashes(root):
    """{file name: hash} of what there is to convert with."""
    top = root / CONVERT_DIR
    return {str(p.relative_to(top)): sha256(p.read_bytes()) for p in
            [*(p for p in sorted(top.glob("*")) if p.suffix in (".cocci", ".edit", ".h")), *fragments(top)]}
