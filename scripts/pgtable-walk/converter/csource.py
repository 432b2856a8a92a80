# SPDX-License-Identifier: GPL-2.0
"""C source: which definition does a line, or a change, belong to?"""
import collections
import dataclasses
import re

from .text import changes, read_text

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
