#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Test the Coccinelle checks of pgtable-walk.

Of each check, in each of its modes: that it shows those lines of examples/bad that say "expect"
(or "expect N", for N reports), and no other but in mode context, nor any in examples/good.  Mode patch makes of them
what the comments "patch: line" below them say; a check without this mode says why.

With --stock, a kernel tree without pgtable-walk: that it reports there what
stock-BASE.list says, by file and function, and nothing else.  With --converted, a tree
that has pgtable-walk: that it reports nothing in the files that are new or
converted.  Whether it does once they are broken is for ../sabotage.py.
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
from checks import CHECKS, Check, CheckError, findings, kvm_arches, stock_list  # noqa: E402
from readiness import test_table  # noqa: E402
from testlib import ARCHES, MANIFEST, Ktap, need_tree, recorded, wanted  # noqa: E402
from converter.main import tree_version  # noqa: E402

EXAMPLES = HERE / "examples"
ORG = re.compile(r"\* TODO \[\[view:(?P<path>[^\s:]+)::.*?linb=(?P<line>\d+)::")
EXPECT = re.compile(r"\s*/\* expect(?: (\d+))? \*/")
MENDED = re.compile(r"^\s*/\* patch: (.*) \*/$", re.M)


def changed_lines(diff):
    """(path, number) of the lines that a diff removes, and what it adds, in one line."""
    removed, added, path, number = set(), [], "", 0
    for line in diff.splitlines():
        if match := re.match(r"--- (\S+)", line):
            path = match[1]
        elif match := re.match(r"@@ -(\d+)", line):
            number = int(match[1])
        elif line.startswith("+") and not line.startswith("+++"):
            added.append(EXPECT.sub("", line[1:]))
        elif line.startswith(("-", " ")):
            if line.startswith("-"):
                removed.add((path, number))
            number += 1
    return removed, " ".join(" ".join(added).split())


def test_header(check):
    problems = [f"{check.path.name}: no proper {what} in the header" for what in check.header]
    if not {"context", "org", "report"} <= set(check.modes) <= {"patch", "context", "org", "report"}:
        problems.append(f"{check.path.name}: modes are {check.modes}")
    if ("patch" in check.modes) == bool(check.no_patch):
        problems.append(f"{check.path.name}: needs either a mode patch or a 'Comments: No patch: why'")
    return problems


def test_mode(check, mode):
    """What a mode makes of the lines that say what to expect, and of those that are right."""
    bad, good = (EXAMPLES / kind / f"{check.name}.c" for kind in ("bad", "good"))
    if missing := [f"no examples/{path.parent.name}/{path.name}" for path in (bad, good) if not path.exists()]:
        return missing
    text = bad.read_text(encoding="utf-8")
    expected = {number: int(match[1] or 1) for number, line in enumerate(text.splitlines(), 1)
                if (match := EXPECT.search(line))}
    if not expected or EXPECT.search(good.read_text(encoding="utf-8")):
        return ["examples/bad must have lines that 'expect' a report, examples/good none"]
    if mode == "report":
        found = collections.Counter((path, line) for path, line, _ in check.reports(bad, good))
        expected = {(str(bad), line): count for line, count in expected.items()}
        return [f"{path}:{line}: {expected.get((path, line), 0)} reports expected, {found[path, line]} made"
                for path, line in sorted({*expected, *found})
                if expected.get((path, line), 0) != found[path, line]]
    out = check.run(mode, bad, good)
    lines, mended = changed_lines(out)
    wanted_lines = {(str(bad), line) for line in expected}
    if mode == "org":
        lines = {(match["path"], int(match["line"])) for match in map(ORG.match, out.splitlines()) if match}
        wrong = lines != wanted_lines
    elif mode == "context":
        wrong = not wanted_lines <= lines
    else:
        wrong = not mended or mended != " ".join(MENDED.findall(text))
    wrong = wrong or any(path != str(bad) for path, _ in lines)
    return [f"mode {mode} does not show what examples/bad expects:\n{out}"] if wrong else []


def test_stock(check, tree, arches):
    on_record = {where[1:]: count for where, count in stock_list(tree_version(pathlib.Path(tree))).items()
                 if where[0] == check.name and (not where[1].startswith("arch/") or where[1].split("/")[1] in arches)}
    found = findings(check, tree, arches)
    return [f"{path}: {function}(): {on_record.get((path, function), 0)} reports are on record, "
            f"{found[path, function]} made"
            for path, function in sorted({*on_record, *found})
            if on_record.get((path, function), 0) != found[path, function]]


def test_converted(check, tree, files):
    return [f"{os.path.relpath(path, tree)}:{line}: {text}"
            for path, line, text in check.reports(*(os.path.join(tree, name) for name in files))]


def test_parsed(tree, files):
    """A function that spatch can't parse is not checked, and nobody is told."""
    done = subprocess.run(["spatch", "--very-quiet", "--no-includes", "--include-headers", "--cocci-file",
                           HERE / "functions.cocci", *(os.path.join(tree, name) for name in files)],
                          capture_output=True, text=True, timeout=900, check=False)
    parsed = set(done.stdout.splitlines())
    problems = []
    for name in files:
        text = pathlib.Path(tree, name).read_text(encoding="utf-8")
        for head in re.findall(r"((?:^[^\s#/*].*[^;\n]\n(?:^[ \t]+.*[^;\n]\n)*)+)^\{$", text, re.M):
            function = re.search(r"(\w+)\s*\((?!\()", head)
            if function and f"{os.path.join(tree, name)} {function[1]}" not in parsed:
                problems.append(f"{name}: spatch cannot parse {function[1]}()")
    return problems or ([] if parsed else [done.stderr or "no functions found"])


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stock", metavar="TREE", help="a kernel tree without pgtable-walk")
    parser.add_argument("--converted", metavar="TREE", help="a kernel tree that has pgtable-walk")
    parser.add_argument("--arches", default=" ".join(ARCHES), help="default: %(default)s")
    parser.add_argument("--only", metavar="NAME", help="this check alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    args = parser.parse_args()
    arches = args.arches.split()
    if not shutil.which("spatch"):
        sys.exit("run.py: spatch is missing: apt-get install coccinelle")
    checks = {path.stem: Check(path) for path in sorted(CHECKS.glob(f"{args.only or '*'}.cocci"))}

    tests = [("readiness.table", test_table)]
    for check in checks.values():
        tests.append((f"{check.name}.header", test_header, check))
        for mode in check.modes:
            tests.append((f"{check.name}.{mode}", test_mode, check, mode))
    if args.stock:
        need_tree(args.stock, "--stock", ["virt/kvm"] + [f"arch/{arch}/kvm" for arch in arches])
        others = set(kvm_arches(args.stock)) - set(ARCHES)      # which have no other tests
        for check in checks.values():
            tests.append((f"{check.name}.stock", test_stock, check, args.stock, others | set(arches)))
    if args.converted:
        need_tree(args.converted, "--converted", [MANIFEST])
        # Unit tests break the rules on purpose, and have no TLBs.
        ours = [name for name in recorded(args.converted, "new") if wanted(name, arches)
                and not name.endswith("_kunit.c")]
        theirs = [name for name in recorded(args.converted, "converted") if wanted(name, arches)]
        need_tree(args.converted, "--converted", ours + theirs)
        for check in checks.values():
            tests.append((f"{check.name}.converted", test_converted, check, args.converted, ours + theirs))
        tests.append(("functions.parsed", test_parsed, args.converted, ours))

    ktap = Ktap()
    with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
        running = [(name, pool.submit(test, *rest)) for name, test, *rest in tests]
        for name, future in running:
            try:
                ktap.result(name, future.result())
            except (CheckError, OSError, KeyError, subprocess.TimeoutExpired) as error:
                ktap.result(name, [f"{type(error).__name__}: {error}"])
    ktap.finish()


if __name__ == "__main__":
    main()
