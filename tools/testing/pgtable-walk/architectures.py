#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Test that architectures.list names all files to touch for another architecture.

Every place of the list must be there for each architecture that the lab knows, and no other
file may name all of them, documentation aside.  Speaks KTAP.
"""
import fnmatch
import os
import re

from testlib import ARCHES, ROOT, Ktap, lab_word

HERE = ROOT / "tools/testing/pgtable-walk"
PROSE = ("Documentation/*", "*.md")


def aliases(arch):
    """A regular expression for its name, or the name that its compiler has for it."""
    return re.compile("|".join(filter(None, (arch, lab_word(arch, "CROSS").partition("-")[0]))), re.I)


def lines(text):
    """Those of a list that are places."""
    return [line for line in text.splitlines() if re.match(r"[^#\s]", line)]


def main():
    places, *alone = re.split(r"^Only (\S+: \S+)$", (HERE / "architectures.list").read_text(encoding="utf-8"), flags=re.M)
    places = lines(places)
    names = {arch: aliases(arch) for arch in ARCHES}
    files = []
    for top, directories, there in os.walk(ROOT):
        directories[:] = sorted(set(directories) - {".git", "build", "__pycache__"})
        files += [os.path.relpath(os.path.join(top, name), ROOT) for name in there]
    naming = {arch: {name for name in files
                     if names[arch].search((ROOT / name).read_text(encoding="utf-8", errors="replace"))}
              for arch in ARCHES}

    ktap = Ktap()
    for place in places:
        problems = []
        for arch in ARCHES:
            there = fnmatch.filter(files, place.replace("ARCH", arch))
            if not there:
                problems.append(f"nothing there for {arch}")
            elif "ARCH" not in place and not naming[arch].intersection(there):
                problems.append(f"does not name {arch}")
        ktap.result(place, problems)
    for base, some in zip(alone[::2], alone[1::2]):
        arch = base.partition(": ")[2]
        for place in lines(some):
            there = fnmatch.filter(files, place)
            ktap.result(f"{base}: {place}", [] if any(arch in name or arch in (ROOT / name).read_text(
                encoding="utf-8").lower() for name in there) else [f"nothing there for {arch}"])
    patterns = [place.replace("ARCH", arch) for place in places for arch in ARCHES] + list(PROSE)
    ktap.result("no other place", [f"{name} names {', '.join(ARCHES)}, and is not in architectures.list"
                                   for name in sorted(set.intersection(*naming.values()))
                                   if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)])
    ktap.finish()


if __name__ == "__main__":
    main()
