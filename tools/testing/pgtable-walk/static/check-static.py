#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run sparse, checkpatch and kernel-doc on the files that are new or converted.

sparse: on each object, compared with the stock tree warning by warning, without
line numbers.  checkpatch --strict: on each new file, on each fragment of C that a
conversion adds, and on what the conversions add to the others.  kernel-doc: no
complaint, and a comment for everything that include/linux/pgtable_*.h offers.

The build directories need a .config in which pgtable-walk is on.
"""
import argparse
import collections
import concurrent.futures
import difflib
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
from testlib import (KERNEL_DIRS, MANIFEST, ROOT, SELFTESTS, Ktap, fragments, need_tree, recorded,  # noqa: E402
                     wanted)
from converter.main import tree_version  # noqa: E402

# As the lab calls it, so that the debug kernel needs none of these objects built again.
CC = HERE.parent / "lab/cc.sh"
API = "include/linux/pgtable_*.h"

# Rules of checkpatch that a diff between two trees, without message and mail header,
# cannot keep, or that ask for a line in MAINTAINERS.
IGNORED = ("COMMIT_MESSAGE", "MISSING_SIGN_OFF", "FILE_PATH_CHANGES")

# What it says of our files and we stand by: file, rule, why.
ALLOWED = (
    ("include/linux/pgtable_walk_pte.h", "NEW_TYPEDEFS", "an integer whose width differs"),
    ("include/linux/pgtable_gather.h", "MACRO_ARG_REUSE", "names a variable, as LIST_HEAD() does"),
    ("arch/riscv/kvm/gstage_walk.c", "MACRO_ARG_REUSE", "likewise"),
    ("arch/arm64/kvm/stage2_format.h", "MACRO_ARG_REUSE", "a constant"),
    ("arch/x86/kvm/mmu/mmu.c", "MACRO_ARG_REUSE", "an iterator, as before"),
    ("*/0200-kvm-lockless-aging/vm_stats.h", "LINE_CONTINUATIONS", "the end of a macro"),
    ("*/0615-x86-kvm-rmap-absent-spte/iterator.c", "MACRO_ARG_REUSE", "likewise"),
    ("*/7.3/0605-x86-kvm-spte-snapshots/iterator.c", "MACRO_ARG_REUSE", "likewise"),
    ("*/7.3/0605-x86-kvm-spte-snapshots/iterator.c", "COMPLEX_MACRO", "the head of a loop"),
    ("*mm/folio_age.h", "MACRO_ARG_UNUSED", "so that the object code is stock's"),
    ("mm/lru_gen_age.h", "MACRO_ARG_UNUSED", "so that the object code is stock's"),
    ("mm/vmscan.c", "MACRO_ARG_UNUSED", "likewise"),
    ("mm/internal.h", "MACRO_ARG_UNUSED", "likewise"),
    ("*/6.12/0720-mm-lru-gen-age/young_ptes.h", "MACRO_ARG_UNUSED", "likewise"),
    ("mm/mmu_notifier_age_debug.c", "ALLOC_WITH_SIZEOF", "6.12 has no kzalloc_obj()"),
    ("include/trace/events/*.h", "PARENTHESIS_ALIGNMENT", "the style of trace events"),
    ("include/trace/events/*.h", "OPEN_ENDED_LINE", "likewise"),
)

# The same for sparse: file, warning, why.
ALLOWED_SPARSE = (
    ("virt/kvm/kvm_main.c", "warning: context imbalance in 'kvm_mmu_notifier_age_range' - "
     "different lock contexts for basic block", "as of each function that __kvm_handle_hva_range() "
     "is inlined into, on stock too"),
)


def text_of(*path):
    return pathlib.Path(*path).read_text(encoding="utf-8", errors="replace")


# ---- sparse ----

WARNING = re.compile(r"(?P<path>\S+?):\d+:\d+: (?P<text>(warning|error): .*)")


class Tree:
    """A kernel tree with its O= directory."""

    def __init__(self, source, build, cross):
        self.source, self.build, self.cross = os.path.abspath(source), os.path.abspath(build), cross

    def objects(self, files):
        """Of the C files, {file: object} of those that are no part of another file there."""
        included = {os.path.join(os.path.dirname(name), part) for name in files if name.endswith(".c")
                    for part in re.findall(r'^#include "(\w+\.c)"$', text_of(self.source, name), re.M)}
        return {name: name[:-2] + ".o" for name in files if name.endswith(".c") and name not in included}

    def sparse(self, arch, files):
        """Counter of (file, warning); ValueError says why there is none."""
        objects = self.objects(files).values()
        if not objects:
            return collections.Counter()
        done = subprocess.run(
            ["make", "-s", "-C", self.source, f"O={self.build}", f"ARCH={arch}",
             f"CROSS_COMPILE={self.cross}", f"CC={CC} {self.cross}gcc", f"-j{os.cpu_count()}",
             "C=2", f"CHECK={HERE / 'sparse'}", *objects], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(f"make C=2 in {self.build}:\n{done.stderr[-3000:]}")
        if refused := re.search(r"C=2 specified, but .*", done.stderr):
            raise ValueError(f"{self.source} does not take this sparse: {refused[0]}")
        if missing := [name for name in objects if not os.path.exists(os.path.join(self.build, name))]:
            raise ValueError(f"{self.build}: not built, is it in .config? {' '.join(missing)}")
        found = collections.Counter()
        for line in done.stderr.splitlines() + done.stdout.splitlines():
            if match := WARNING.match(line):
                path = os.path.relpath(os.path.join(self.build, match["path"]), self.source)
                found[path, re.sub(r":\d+:\d+", "", match["text"])] += 1
        return found


def test_sparse(ours, stock, arch, new, converted):
    try:
        more = ours.sparse(arch, new + converted)
        more -= collections.Counter((path, text) for path, text, _ in ALLOWED_SPARSE)
        # Stock is looked at where there is something to compare, in all files if in a header.
        where, alone = {path for path, _ in more} - set(new), ours.objects(converted)
        more -= stock.sparse(arch, sorted(where) if where <= alone.keys() else converted)
    except ValueError as error:
        return [error]
    return [f"{path}: {text}" + (f" ({count} more than stock)" if count > 1 else "")
            for (path, text), count in sorted(more.items())]


# ---- checkpatch ----

def checkpatch(stock, argument, *more):
    """(rule, file, complaint) of all that it says."""
    done = subprocess.run(
        ["perl", "scripts/checkpatch.pl", "--strict", "--no-summary", "--show-types", "--terse",
         "--no-tree", f"--ignore={','.join(IGNORED)}", *more, argument],
        cwd=stock.source, capture_output=True, text=True, check=False)
    if done.stderr.strip() or (done.returncode and not done.stdout.strip()):
        return [("-", "-", done.stderr.strip() or f"checkpatch ended with {done.returncode}")]
    found = []
    for line in done.stdout.splitlines():
        match = re.match(r"(\S+?):(\d+): ((?:ERROR|WARNING|CHECK):(\w+): .*)", line)
        found.append((match[4], match[1], f"{match[2]}: {match[3]}") if match else ("-", "-", line))
    return found


def test_checkpatch_file(top, stock, name):
    allowed = {rule for pattern, rule, _ in ALLOWED if fnmatch.fnmatch(name, pattern)}
    found = checkpatch(stock, os.path.join(top, name), "-f")
    # A rule may be newer than this base.
    rules = text_of(stock.source, "scripts/checkpatch.pl")
    return ([f"{name}:{text}" for rule, _, text in found if rule not in allowed] +
            [f"{name}: nothing to allow: {rule}" for rule in allowed - {rule for rule, *_ in found}
             if f'"{rule}"' in rules])


def test_checkpatch_converted(ours, stock, name):
    old, new = (text_of(tree.source, name).splitlines(keepends=True) for tree in (stock, ours))
    diff = "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))
    allowed = {rule for pattern, rule, _ in ALLOWED if fnmatch.fnmatch(name, pattern)}
    if not diff:
        return [f"{name}: the converted tree has it as it is in stock"]
    with tempfile.NamedTemporaryFile("w", suffix=".patch", encoding="utf-8") as patch:
        patch.write(diff)
        patch.flush()
        return [f"{name}: line {text} (of the diff)" for rule, _, text in checkpatch(stock, patch.name)
                if rule not in allowed]


# ---- kernel-doc ----

def offered(header):
    """Functions, function-like macros and types that a header offers."""
    text = re.sub(r"\\\n", " ", header)
    names = re.findall(r"^#define (\w+)\(", text, re.M)
    names += re.findall(r"^(?:struct|enum|union) (\w+) \{", text, re.M)
    names += re.findall(r"^typedef .*?(\w+);", text, re.M)
    names += re.findall(r"^(?!typedef|DECLARE|extern|#)[a-z][\w \t]*?[\s*](\w+)\(", text, re.M)
    return sorted({name for name in names if not name.startswith("__")})


def test_kernel_doc(ours, stock, files):
    problems = []
    for name in files:
        done = subprocess.run(["perl", os.path.join(stock.source, "scripts/kernel-doc"), "-none", "-Wall",
                               name], cwd=ours.source, capture_output=True, text=True, check=False)
        problems += (done.stdout + done.stderr).splitlines()
        if done.returncode and not problems:
            problems.append(f"{name}: kernel-doc ended with {done.returncode}")
    return problems


def test_documented(ours, files):
    documented = set()
    for name in files:
        documented |= set(re.findall(r"^[ \t]*/\*\*\n[ \t]\* (?:(?:struct|enum|union|typedef) )?(\w+)",
                                     text_of(ours.source, name), re.M))
    return [f"{name}: no kernel-doc for {what}" for name in files if fnmatch.fnmatch(name, API)
            for what in offered(text_of(ours.source, name)) if what not in documented]


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--cross", default="", metavar="PREFIX", help="of the architecture's compiler")
    for which in "converted", "stock":
        parser.add_argument(f"--{which}", metavar="TREE", required=True)
        parser.add_argument(f"--{which}-build", metavar="DIR", required=True, help="its O= directory")
    args = parser.parse_args()
    for tool in "sparse", "perl", "make", args.cross + "gcc":
        if not shutil.which(tool):
            sys.exit(f"check-static.py: {tool} is missing: install it first")
    need_tree(args.converted, "--converted", [MANIFEST])
    tops = (*KERNEL_DIRS, SELFTESTS)
    all_new, all_converted = ([name for name in recorded(args.converted, what) if wanted(name, [args.arch], tops)]
                              for what in ("new", "converted"))
    new, converted = ([name for name in names if wanted(name, [args.arch])] for names in (all_new, all_converted))
    need_tree(args.converted, "--converted", all_new + all_converted)
    need_tree(args.stock, "--stock", ["scripts/checkpatch.pl", "scripts/kernel-doc"] + all_converted)
    need_tree(args.converted_build, "--converted-build", [".config"])
    need_tree(args.stock_build, "--stock-build", [".config"])
    ours, stock = (Tree(source, build, args.cross) for source, build in
                   ((args.converted, args.converted_build), (args.stock, args.stock_build)))

    tests = [(f"sparse.{args.arch}", test_sparse, ours, stock, args.arch, new, converted)]
    tests += [(f"checkpatch.{name}", test_checkpatch_file, ours.source, stock, name) for name in all_new]
    tests += [(f"checkpatch.{name}", test_checkpatch_file, ROOT, stock, name)
              for name in fragments(tree_version(pathlib.Path(args.converted)), [args.arch], tops)]
    tests += [(f"checkpatch.{name}", test_checkpatch_converted, ours, stock, name)
              for name in all_converted]
    tests.append(("kernel-doc", test_kernel_doc, ours, stock, new))
    tests.append(("kernel-doc.all", test_documented, ours, new))

    ktap = Ktap()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, future in [(test[0], pool.submit(*test[1:])) for test in tests]:
            ktap.result(name, future.result())
    ktap.finish()


if __name__ == "__main__":
    main()
