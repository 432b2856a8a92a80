# SPDX-License-Identifier: GPL-2.0
"""What the static tests share: KTAP output, and which files of a tree are ours or converted."""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONVERT = ROOT / "scripts/coccinelle/pgtable-walk/convert"
KERNEL_DIRS = ("arch", "include", "lib", "mm", "virt")
SELFTESTS = "tools/testing/selftests"


class Ktap:
    """Prints results one by one; diagnostics come before the result that they explain."""

    def __init__(self):
        self.count = 0
        self.failed = 0
        print("KTAP version 1", flush=True)

    def result(self, name, problems=()):
        self.count += 1
        problems = list(problems)
        for problem in problems:
            for line in str(problem).splitlines():
                print(f"# {line}")
        self.failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {self.count} - {name}", flush=True)

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}", flush=True)

    def finish(self):
        print(f"1..{self.count}", flush=True)
        sys.exit(1 if self.failed else 0)


def overlay_files(arches, tops=KERNEL_DIRS):
    """C files that the repository adds to a kernel, by their paths in the tree."""
    files = []
    for top in tops:
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            name = path.relative_to(ROOT).as_posix()
            if top != "arch" or name.split("/")[1] in arches:
                files.append(name)
    return files


def converted_files(arches, tops=KERNEL_DIRS):
    """C files of a stock kernel that the conversions change."""
    files = set()
    for path in CONVERT.glob("*.cocci"):
        for name in re.findall(r"^// File: (\S+)$", path.read_text(encoding="utf-8"), re.M):
            if name.startswith(tops) and (not name.startswith("arch/") or name.split("/")[1] in arches):
                files.add(name)
    return sorted(files)


def need_tree(path, what, names):
    """Exit with one line unless every file is there."""
    for name in names:
        if not os.path.exists(os.path.join(path, name)):
            sys.exit(f"{sys.argv[0]}: {what} {path}: no {name}: is it a kernel tree of that kind?")
