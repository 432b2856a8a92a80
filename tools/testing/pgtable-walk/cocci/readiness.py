#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Count what the Coccinelle checks report of each architecture's KVM on stock.

Writes the counts of stock-*.list into the table of Documentation/virt/kvm/lockless-aging-readiness.rst.
With --stock, a kernel tree without pgtable-walk, its stock-BASE.list is brought up to date before
that: comments stay, and what nobody has judged yet is at its end.
"""
import argparse
import collections
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
from checks import CHECKS, Check, findings, kvm_arches, stock_list  # noqa: E402
from testlib import ROOT  # noqa: E402
from converter.conversion import CONVERT_DIR, bases_of  # noqa: E402
from converter.main import tree_version  # noqa: E402

PAGE = ROOT / "Documentation/virt/kvm/lockless-aging-readiness.rst"
TABLE = re.compile(r"(?<=\n\.\. counts\n\n).*?(?=\.\. end of counts\n)", re.S)


def table(bases, checks):
    """Rows of checks, columns of architectures, a count for each base."""
    counts = {base: collections.Counter() for base in bases}
    arches = set()
    for base in bases:
        for (name, path, _), count in stock_list(base).items():
            if path.startswith("arch/"):
                arches.add(path.split("/")[1])
                counts[base][name, path.split("/")[1]] += count
    rows = [["check", *sorted(arches)]]
    for check in sorted(checks):
        cells = [[counts[base][check, arch] for base in bases] for arch in sorted(arches)]
        if any(map(any, cells)):
            rows.append([check, *(", ".join(map(str, cell)) if any(cell) else "\\-" for cell in cells)])
    widths = [max(map(len, column)) for column in zip(*rows)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule]) + "\n\n"


def test_table():
    """The page has the counts of the lists."""
    found = TABLE.search(PAGE.read_text(encoding="utf-8"))
    if found and found[0] == table(bases_of(ROOT / CONVERT_DIR), [path.stem for path in CHECKS.glob("*.cocci")]):
        return []
    return [f"{PAGE.name}: the counts are not those of the lists: make readiness"]


def record(tree):
    """Bring the list of the tree's base up to date."""
    found = collections.Counter()
    for path in sorted(CHECKS.glob("*.cocci")):
        for where, count in findings(Check(path), tree, kvm_arches(tree)).items():
            found[(path.stem, *where)] = count
    path = HERE / f"stock-{tree_version(tree)}.list"
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            where = tuple(line.split()[:3])
            if not (count := found.pop(where, 0)):
                continue
            line = " ".join(where) + (f" {count}" if count > 1 else "")
        lines.append(line)
    if found:
        lines += ["", "# Not judged yet."]
        lines += [" ".join(where) + (f" {count}" if count > 1 else "") for where, count in sorted(found.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more)
    parser.add_argument("--stock", type=pathlib.Path, metavar="TREE", help="a kernel tree without pgtable-walk")
    args = parser.parse_args()
    if args.stock:
        record(args.stock.resolve())
    checks = [path.stem for path in CHECKS.glob("*.cocci")]
    text, count = TABLE.subn(lambda _: table(bases_of(ROOT / CONVERT_DIR), checks), PAGE.read_text(encoding="utf-8"))
    if count != 1:
        sys.exit(f"readiness.py: {PAGE.name}: there is no place for the counts")
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
