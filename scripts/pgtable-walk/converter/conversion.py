# SPDX-License-Identifier: GPL-2.0
r"""How the conversions in scripts/coccinelle/pgtable-walk/convert are written.

A base is a version of Linux that has a directory there with its name.  What is in
that directory is for this base only, all else for every base; parts with one name,
as 0700-x.cocci and 7.3/0700-x.edit, are one conversion.

A conversion begins with its commit message, in lines "/// text".  The header
of a .cocci then says what the semantic patch does to each file:

  // Options: --iso-file x.iso         more spatch options, run in convert/
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
needs a message of its own only if no other part has one:

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

'// Hunks 7.3: name 2' replaces the count of all bases, 0 takes it away.  With
'// File 7.3: path', or 'File 7.3: path' in a .edit, begins what only that base has.
"""
import dataclasses
import pathlib
import re

from .csource import body
from .overlay import is_source
from .text import read_text
from .transaction import Refused, Unfit, sha256

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
    cocci: pathlib.Path
    path: str
    hunks: dict = dataclasses.field(default_factory=dict)
    marks: list = dataclasses.field(default_factory=list)


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
        begin = self.once(find(lines, (self.scope,), 0, len(lines)), (self.scope,))
        end = begin + 1
        while end < len(lines) and (not lines[end] or lines[end][0].isspace()):
            end += 1
        return begin, end

    def once(self, places, block):
        if len(places) == 1:
            return places[0]
        line = max(block, key=len).strip()
        what = f"line '{line}' is" if len(block) == 1 else f"{len(block)} lines with '{line}' are"
        raise Unfit(f"{self.path}: {self.where}: the {what} there "
                    f"{len(places)} times, 1 expected: use the stock file, or mend the edit")

    def removes(self):
        """Whether it adds nothing that could be seen."""
        return not any(line.strip() for line in self.add)

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
            begin = self.once(find(lines, self.anchor, *self.bounds(lines)), self.anchor)
            end = begin + len(self.anchor)
            begin, end = {"After": (end, end), "Before": (begin, begin)}.get(
                self.kind, (begin, end))
        lines[begin:end] = self.add
        return "\n".join(lines if not lines[-1] else lines + [""])


@dataclasses.dataclass
class Conversion:
    stem: str
    message: list = dataclasses.field(default_factory=list)
    options: dict = dataclasses.field(default_factory=dict)     # of each .cocci
    sections: list = dataclasses.field(default_factory=list)
    edits: list = dataclasses.field(default_factory=list)

    def paths(self):
        return {part.path for part in self.sections + self.edits}


def find(lines, block, begin, end):
    return [i for i in range(begin, end - len(block) + 1)
            if lines[i:i + len(block)] == list(block)]


def shown(path):
    """The name of a part, with that of the base if it is for one."""
    return f"{path.parent.name}/{path.name}" if is_base(path.parent) else path.name


def cocci_key(conv, path, key, base, value):
    """One '// Key: value' line of a .cocci, for a base or (base is "") all; False if it is wrong."""
    section = conv.sections[-1] if conv.sections and conv.sections[-1].cocci == path else None
    if key == "File" and all(s.path != value or s.cocci != path for s in conv.sections):
        conv.sections.append(Section(path, value))
    elif key == "Options":
        conv.options[path] = conv.options.get(path, []) + value.split()
    elif key == "Hunks" and section and (m := re.fullmatch(rf"({NAME}) (\d+)", value)) and \
            (base or (m[1] not in section.hunks and m[2] != "0")):
        section.hunks[m[1]] = int(m[2])
    elif key == "Applied" and section and (m := re.fullmatch(rf"({NAME}) (!?)(.+)", value)):
        re.compile(m[3])
        section.marks.append(Mark(m[1], m[3], not m[2]))
    else:
        return key == "SPDX-License-Identifier"
    return True


def parse_cocci(path, conv, bases, base):
    message, there, here = [], len(conv.sections), True
    for nr, line in enumerate(read_text(path).split("\n"), 1):
        if not line.startswith("//"):
            break
        if line.startswith("///"):
            message.append(line[4:])
        elif m := re.match(r"// (\w[\w-]*)(?: (\S+))?: *(.*?) *$", line):
            if m[1] == "File":
                here = m[2] in (None, base)
            try:
                good = m[2] in (None, *bases) and (not here or m[2] not in (None, base) or
                                                   cocci_key(conv, path, m[1], m[2] or "", m[3]))
            except re.error as error:
                raise Refused(f"{shown(path)}:{nr}: bad regular expression: {error}") from None
            if not good:
                raise Refused(f"{shown(path)}:{nr}: not understood: '{line}' (see apply.py --help)")
    for section in conv.sections[there:]:
        section.hunks = {name: count for name, count in section.hunks.items() if count}
        if not section.hunks or not section.marks:
            raise Refused(f"{shown(path)}: {section.path}: needs Hunks and Applied lines (see apply.py --help)")
    if len(conv.sections) == there:
        raise Refused(f"{shown(path)}: no '// File:' line for Linux {base} (see apply.py --help)")
    return message


def fragment(edit_path, nr, name, edit):
    """The lines of a fragment that a .edit names."""
    where, path = f"{shown(edit_path)}:{nr}", edit_path.with_suffix("") / name
    if not path.is_file() and is_base(edit_path.parent):
        path = edit_path.parent.parent / edit_path.stem / name
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


def parse_edit(path, conv, bases, base):
    blocks, message, here = [], [], True
    for nr, line in enumerate(read_text(path).split("\n"), 1):
        if line.startswith("///"):
            message.append(line[4:])
        if not line.strip() or line.startswith("//"):
            continue
        m = re.match(r"(File|In|After|Before|Replace|At|Add|Fragment)((?<=File) \S+)?:(?: (.*))?$", line)
        key, only, value = (m[1], (m[2] or "").strip(), m[3] or "") if m else ("", "", "")
        edit = blocks[-1] if blocks else None
        if key == "File":
            here = only in ("", base)
        if not here and only in ("", *bases) and m:
            continue
        if key == "File" and only in ("", *bases):
            blocks.append(Edit(f"{shown(path)}:{nr}", value.strip()))
        elif key == "In" and edit:
            edit.scope = value
        elif key == "Add" and edit and edit.kind:
            if value.strip() and edit.path.endswith(C_SUFFIXES):
                raise Refused(f"{shown(path)}:{nr}: {edit.path} is C: what is added to it goes into a fragment, "
                              f"{conv.stem}/name{pathlib.PurePath(edit.path).suffix} (see apply.py --help)")
            edit.add += (value,)
        elif key == "Fragment" and edit and edit.kind:
            edit.add += fragment(path, nr, value.strip(), edit)
        elif key in PLACES and edit and edit.kind in ("", key) and not edit.add and \
                (key != "At" or value == "end"):
            edit.kind, edit.anchor = key, edit.anchor + (value,)
        else:
            raise Refused(f"{shown(path)}:{nr}: not understood: '{line}' (see apply.py --help)")
    if not blocks:
        raise Refused(f"{shown(path)}: no File: line for Linux {base} (see apply.py --help)")
    if incomplete := [e.where for e in blocks if not e.add]:
        raise Refused(f"{incomplete[0]}: this block has no anchor, or no Add: or Fragment: line")
    conv.edits += blocks
    return message


def is_base(directory):
    return bool(re.fullmatch(r"\d+\.\d+", directory.name))


def bases_of(directory):
    """The versions of Linux that conversions are for."""
    return sorted((path.name for path in directory.glob("*") if path.is_dir() and is_base(path)),
                  key=numbers)


def numbers(version):
    return [int(number) for number in version.split(".")]


def nearest(version, bases):
    """The base whose conversions are the most likely to fit a version: one of the same major
    number, the newer of two that are as near; None if there is none."""
    major, minor = numbers(version)
    near = [(abs(numbers(base)[1] - minor), -numbers(base)[1], base) for base in bases if numbers(base)[0] == major]
    return min(near)[2] if near else None


def parts(directory, base):
    """All files of the conversions to a base, those for all bases first."""
    return [path for top in (directory, directory / base) for path in sorted(top.glob("*"))]


def load_conversions(directory, base):
    found, bases = {}, bases_of(directory)
    for path in parts(directory, base):
        if path.suffix not in (".cocci", ".edit") or not re.match(r"\d{4}-", path.name):
            continue
        if any(c.stem[:4] == path.name[:4] for s, c in found.items() if s != path.stem):
            raise Refused(f"{shown(path)}: another conversion has the number {path.name[:4]}")
        conv = found.setdefault(path.stem, Conversion(path.stem))
        message = (parse_cocci if path.suffix == ".cocci" else parse_edit)(path, conv, bases, base)
        conv.message = conv.message or message
    for conv in found.values():
        if not conv.message or not conv.message[0].strip():
            first = shown(conv.sections[0].cocci) if conv.sections else conv.edits[0].where.partition(":")[0]
            raise Refused(f"{first}: no commit message: it begins with '/// subject'")
    return [found[stem] for stem in sorted(found)]


def all_conversions(directory):
    """{base: conversions} of all bases, no fragment of which is left over."""
    conversions = {base: load_conversions(directory, base) for base in bases_of(directory)}
    named = {path for some in conversions.values() for conv in some for edit in conv.edits for path in edit.fragments}
    if unused := [path for base in conversions for path in fragments(directory, base) if path not in named]:
        raise Refused(f"{unused[0].relative_to(directory)}: no .edit names this fragment")
    return conversions


def fragments(directory, base):
    """All that there are in the directories of conversions; editors' backups are none."""
    return [path for top in (directory, directory / base)
            for path in sorted(top.glob("[0-9][0-9][0-9][0-9]-*/*"))
            if path.suffix in C_SUFFIXES and is_source(path.name)]


def conversion_hashes(root, base):
    """{file name: hash} of what there is to convert a tree of that base with."""
    top = root / CONVERT_DIR
    return {str(p.relative_to(top)): sha256(p.read_bytes()) for p in
            [*(p for p in parts(top, base) if p.suffix in (".cocci", ".edit", ".h")), *fragments(top, base)]}
