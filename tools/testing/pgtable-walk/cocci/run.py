#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Test the Coccinelle checks of pgtable-walk.

Of each check: that every mode it has runs, and that it reports those lines of its
examples that say "expect" (or "expect N", for N reports), and no other.

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
from checks import CHECKS, Check, CheckError  # noqa: E402
from testlib import ARCHES, MANIFEST, Ktap, need_tree, recorded, wanted  # noqa: E402
from converter.main import tree_version  # noqa: E402

EXAMPLES = HERE / "examples"
ORG = re.compile(r"\* TODO \[\[view:(?P<path>[^\s:]+)::.*?linb=(?P<line>\d+)::")
EXPECT = re.compile(r"/\* expect(?: (\d+))? \*/")


def changed_lines(diff):
    """Numbers of the lines that a unified diff of one file removes."""
    lines, number = [], 0
    for line in diff.splitlines():
        match = re.match(r"@@ -(\d+)", line)
        if match:
            number = int(match[1])
        elif line.startswith("-") and not line.startswith("---"):
            lines.append(number)
            number += 1
        elif line.startswith(" "):
            number += 1
    return lines


def test_examples(check):
    example = EXAMPLES / f"{check.name}.c"
    if not example.exists():
        return [f"no {example.name}: every check needs examples"]
    expected = collections.Counter()
    text = example.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if match := EXPECT.search(line):
            expected[number] = int(match[1] or 1)
    if not expected or not re.search(r"\bgood_\w+\(", text):
        return [f"{example.name}: needs both lines that 'expect' a report and good_...() functions"]
    found = collections.Counter(line for _, line, _ in check.reports(example))
    return [f"{example.name}:{line}: {expected[line]} reports expected, {found[line]} made"
            for line in sorted(expected | found) if expected[line] != found[line]]


def test_modes(check):
    example = EXAMPLES / f"{check.name}.c"
    problems = [f"{check.path.name}: no proper {what} in the header" for what in check.header]
    if not {"context", "org", "report"} <= set(check.modes) <= {"patch", "context", "org", "report"}:
        problems.append(f"{check.path.name}: modes are {check.modes}")
    lines = {line for _, line, _ in check.reports(example)}
    for mode in check.modes:
        out = check.run(mode, example)
        if mode == "org":
            found = {int(match["line"]) for match in map(ORG.match, out.splitlines()) if match}
            wrong = found != lines
        elif mode == "patch":
            wrong = not out
        elif mode == "context":
            wrong = not lines <= set(changed_lines(out))
        else:
            continue
        if wrong:
            problems.append(f"{check.path.name}: mode {mode} does not show what report does:\n{out}")
    return problems


def function_at(path, line):
    """The function that a line is in: the last definition that starts above it."""
    name = "-"
    with open(path, encoding="utf-8", errors="replace") as source:
        for number, text in enumerate(source, 1):
            if number > line:
                break
            match = re.match(r"[A-Za-z_][\w\s*]*?(\w+)\s*\(", text)
            if match and not text.rstrip().endswith(";"):
                name = match[1]
    return name


def test_stock(check, tree, arches):
    tree = os.path.abspath(tree)
    recorded = collections.Counter()
    on_record = HERE / f"stock-{tree_version(pathlib.Path(tree))}.list"
    for line in on_record.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, path, function, *count = line.split()
            if name == check.name and (not path.startswith("arch/") or path.split("/")[1] in arches):
                recorded[path, function] += int(count[0]) if count else 1
    found = collections.Counter()
    for top in ["virt/kvm"] + [f"arch/{arch}/kvm" for arch in arches]:
        for path, line, _ in check.reports(*sorted(pathlib.Path(tree, top).rglob("*.[ch]"))):
            found[os.path.relpath(path, tree), function_at(path, line)] += 1
    return [f"{path}: {function}(): {recorded[path, function]} reports are on record, "
            f"{found[path, function]} made"
            for path, function in sorted(recorded | found)
            if recorded[path, function] != found[path, function]]


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
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    args = parser.parse_args()
    arches = args.arches.split()
    if not shutil.which("spatch"):
        sys.exit("run.py: spatch is missing: apt-get install coccinelle")
    checks = {path.stem: Check(path) for path in sorted(CHECKS.glob("*.cocci"))}

    tests = []
    for check in checks.values():
        tests.append((f"{check.name}.examples", test_examples, check))
        tests.append((f"{check.name}.modes", test_modes, check))
    if args.stock:
        need_tree(args.stock, "--stock", ["virt/kvm"] + [f"arch/{arch}/kvm" for arch in arches])
        for check in checks.values():
            tests.append((f"{check.name}.stock", test_stock, check, args.stock, arches))
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
