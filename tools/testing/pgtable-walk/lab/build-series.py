#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Build what each patch of a series touches: no commit may break the build, or warn.

Of each commit, the directories of mm/, lib/pgtable-walk/ and KVM are built, and those of arch/*/kernel/ that it touches,
in several configurations.  No kernel is linked; instead no object may want a function that comes later in the series.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# pylint: disable=wrong-import-position
from testlib import Ktap  # noqa: E402

NOT_BUILT = ("Documentation/", "tools/", "scripts/", "MAINTAINERS")


class Builder:
    """One configuration of an architecture, in a directory of its own."""

    def __init__(self, args, arch, name, fragments):
        self.name, self.arch, self.tree = f"{arch}-{name}", arch, args.tree
        self.make = [f"-j{args.jobs}", *args.make[arch]]
        self.dir = args.build / self.name
        # What an earlier run left there would count as made by the first commit.
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.requested = "".join(Path(fragment).read_text(encoding="utf-8") for fragment in fragments)
        self.symbols = {}           # commit: what its objects want, what they have
        self.more = set()           # directories of arch/*/kernel/ that were touched since its last build

    def run(self, log, *words):
        command = ["make", "-C", self.tree, f"O={self.dir}", "--no-print-directory", *self.make, *words]
        env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        with open(log, "a", encoding="utf-8") as out:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                  check=False).returncode == 0

    def build(self, log, dirs):
        """What is wrong with the tree as it is."""
        requested = self.dir / "requested.config"
        requested.write_text(self.requested, encoding="utf-8")
        # Options that come later in the series are unknown yet, and ignored.
        if not self.run(log, f"KCONFIG_ALLCONFIG={requested}", "allnoconfig"):
            return "is not configured"
        goals = [f"{top}/" for top in dirs if (self.tree / top / "Makefile").is_file()]
        if not self.run(log, "KCFLAGS=-Werror", *goals):
            return "does not build"
        return None

    def names(self):
        """What is undefined in the objects, and what is defined."""
        objects = [path for path in self.dir.rglob("*.o") if path.name not in ("built-in.o", "vmlinux.o")
                   and path.relative_to(self.dir).parts[0] in ("arch", "lib", "mm") and "vdso" not in str(path)]
        done = subprocess.run(["nm", *objects], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        words = [line.split() for line in done.stdout.splitlines()]
        return ({word[1] for word in words if len(word) == 2 and word[0] == "U"},
                {word[2] for word in words if len(word) == 3})

    def early(self):
        """{commit: names} that objects of a commit want, and none has that early."""
        if not self.symbols:
            return {}
        new = self.symbols[max(self.symbols)][1] - self.symbols[min(self.symbols)][1]
        return {number: sorted(missing) for number, (wanted, there) in self.symbols.items()
                if (missing := wanted & new - there)}


def touched(patch):
    return re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(encoding="utf-8"), re.M)


def concerns(arch, paths):
    """Whether a patch changes what is built for an architecture."""
    return any(not path.startswith(NOT_BUILT) and (not path.startswith("arch/") or path.split("/")[1] == arch)
               for path in paths)


def subject(patch):
    return re.search(r"^Subject: \[PATCH[^]]*\] (.*(?:\n .*)*)", patch.read_text(encoding="utf-8"), re.M)[1].replace("\n", "")


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more)
    parser.add_argument("--tree", required=True, type=Path, help="a copy of the stock tree, which is patched")
    parser.add_argument("--patches", required=True, type=Path, help="of the series")
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("--every", required=True, help="the architecture that is built at every commit")
    parser.add_argument("--jobs", required=True, type=int)
    parser.add_argument("--make", action="append", nargs="+", default=[], metavar=("ARCH", "WORD"),
                        help="what else make gets for an architecture")
    parser.add_argument("--config", action="append", nargs="+", default=[], metavar=("ARCH-NAME", "FRAGMENT"))
    args = parser.parse_args()
    args.make = {arch: words for arch, *words in args.make}
    patches = sorted(args.patches.glob("0*.patch"))[1:]     # the first is the cover letter
    if not patches:
        sys.exit(f"{args.patches}: no patches")
    builders = [Builder(args, *name.split("-", 1), fragments) for name, *fragments in args.config]
    thirds = {len(patches) * third // 3 for third in (1, 2, 3)}
    args.log.parent.mkdir(parents=True, exist_ok=True)
    args.log.write_text("", encoding="utf-8")
    ktap = Ktap()
    stale = set(builders)       # what is to be built since its last build
    for number, patch in enumerate([None, *patches]):
        problems = []
        paths = touched(patch) if patch else []
        if patch:
            done = subprocess.run(["patch", "-p1", "-s", "-f", "-i", patch.resolve()], cwd=args.tree, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                sys.exit(f"{patch}: does not apply: {done.stdout.splitlines()[0]}")
        for builder in builders:
            if concerns(builder.arch, paths):
                stale.add(builder)
            builder.more |= {str(Path(path).parent) for path in paths if path.startswith(f"arch/{builder.arch}/kernel/")}
            if builder not in stale or number and builder.arch != args.every and number not in thirds:
                continue
            dirs = ["mm", "lib/pgtable-walk", f"arch/{builder.arch}/kvm", *sorted(builder.more)]
            builder.more = set()
            if why := builder.build(args.log, dirs):
                problems.append(f"{builder.name} {why}: see {args.log}")
            else:
                builder.symbols[number] = builder.names()
            stale.discard(builder)
        ktap.result(f"series-{number:02}", problems, subject(patch) if patch else "stock")
    for builder in builders:
        ktap.result(f"series-symbols-{builder.name}",
                    [f"commit {number} wants {', '.join(names)}, which come later"
                     for number, names in builder.early().items()] +
                    [f"no symbols in its objects of commit {number}"
                     for number, (_, there) in builder.symbols.items() if not there])
    shutil.rmtree(args.tree)
    ktap.finish()


if __name__ == "__main__":
    main()
