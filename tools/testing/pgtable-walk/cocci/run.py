#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Test the Coccinelle checks of pgtable-walk.

Of each check: that every mode it has runs, and that it reports those lines of its
examples that say "expect" (or "expect N", for N reports), and no other.

With --stock, a kernel tree without pgtable-walk: that it reports there what
stock.list says, by file and function, and nothing else.  With --converted, a tree
that has pgtable-walk: that it reports nothing in the files that are new or
converted, and does once they are broken as sabotage.list says.
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
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
from testlib import (ARCHES, ROOT, Ktap, converted_files, need_tree, overlay_files,  # noqa: E402
                     read_sabotages, sabotaged)

CHECKS = ROOT / "scripts/coccinelle/pgtable-walk/check"
EXAMPLES = HERE / "examples"
REPORT = re.compile(r"(?P<path>[^\s:]+):(?P<line>\d+):\d+-\d+: (?P<text>(ERROR|WARNING): .*)")
ORG = re.compile(r"\* TODO \[\[view:(?P<path>[^\s:]+)::.*?linb=(?P<line>\d+)::")
EXPECT = re.compile(r"/\* expect(?: (\d+))? \*/")


class CheckError(Exception):
    """A check that cannot be run; the text says why."""


class Check:
    """One .cocci file."""

    def __init__(self, path):
        self.path = path
        self.name = path.stem
        text = path.read_text(encoding="utf-8")
        self.modes = re.findall(r"^virtual (\w+)$", text, re.M)
        options = re.search(r"^// Options: (.+)$", text, re.M)
        self.options = options[1].split() if options else []
        self.keywords = re.search(r"^// Keywords: (.+)$", text, re.M)[1].split()
        self.header = [what for what, pattern in {
            "SPDX line": r"\A// SPDX-License-Identifier: GPL-2\.0",
            "/// line": r"^/// \S",
            "Confidence": r"^// Confidence: (High|Moderate|Low)$",
            "Keywords": r"^// Keywords: \S",
            "Options": r"^// Options: --no-includes --include-headers$",
        }.items() if not re.search(pattern, text, re.M)]

    def run(self, mode, *targets):
        """What spatch prints in this mode."""
        quiet = ["--no-show-diff"] if mode in ("org", "report") else []
        done = subprocess.run(
            ["spatch", "--very-quiet", "-D", mode, "--cocci-file", self.path, *self.options, *quiet,
             *targets], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode or done.stderr.strip():
            why = done.stderr.strip() or f"spatch ended with {done.returncode}"
            raise CheckError(f"{self.path.name}, mode {mode}: {why}")
        return done.stdout

    def reports(self, *targets):
        """(path, line, text) of all that it reports, in files with its keywords only, as in apply."""
        targets = [path for path in targets if any(
            word in pathlib.Path(path).read_text(encoding="utf-8", errors="replace") for word in self.keywords)]
        if not targets:
            return []
        found = []
        for line in self.run("report", *targets).splitlines():
            match = REPORT.fullmatch(line)
            if not match:
                raise CheckError(f"{self.path.name}: not a report: {line}")
            found.append((match["path"], int(match["line"]), match["text"]))
        return found


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
    for line in (HERE / "stock.list").read_text(encoding="utf-8").splitlines():
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
                          capture_output=True, text=True, timeout=300, check=False)
    parsed = set(done.stdout.splitlines())
    problems = []
    for name in files:
        text = pathlib.Path(tree, name).read_text(encoding="utf-8")
        for head in re.findall(r"((?:^[^\s#/*].*[^;\n]\n(?:^[ \t]+.*[^;\n]\n)*)+)^\{$", text, re.M):
            function = re.search(r"(\w+)\s*\((?!\()", head)
            if function and f"{os.path.join(tree, name)} {function[1]}" not in parsed:
                problems.append(f"{name}: spatch cannot parse {function[1]}()")
    return problems or ([] if parsed else [done.stderr or "no functions found"])


def test_sabotage(checks, tree, sabotage):
    source = pathlib.Path(tree, sabotage["File"])
    try:
        text = sabotaged(source.read_text(encoding="utf-8"), sabotage)
    except ValueError as error:
        return [error]
    with tempfile.TemporaryDirectory(prefix="pgtable-walk-") as directory:
        broken = pathlib.Path(directory, source.name)
        broken.write_text(text, encoding="utf-8")
        if checks[sabotage["Check"]].reports(broken):
            return []
    return [f"{sabotage['File']}: {sabotage['Check']} does not report it"]


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
    # Unit tests break the rules on purpose, and have no TLBs.
    ours = [name for name in overlay_files(arches) if not name.endswith("_kunit.c")]
    theirs = converted_files(arches)

    tests = []
    for check in checks.values():
        tests.append((f"{check.name}.examples", test_examples, check))
        tests.append((f"{check.name}.modes", test_modes, check))
    if args.stock:
        need_tree(args.stock, "--stock", ["virt/kvm"] + [f"arch/{arch}/kvm" for arch in arches])
        for check in checks.values():
            tests.append((f"{check.name}.stock", test_stock, check, args.stock, arches))
    if args.converted:
        need_tree(args.converted, "--converted", ours + theirs)
        for check in checks.values():
            tests.append((f"{check.name}.converted", test_converted, check, args.converted, ours + theirs))
        tests.append(("functions.parsed", test_parsed, args.converted, ours))
        for sabotage in read_sabotages(HERE / "sabotage.list"):
            if not sabotage["File"].startswith("arch/") or sabotage["File"].split("/")[1] in arches:
                tests.append((f"{sabotage['Check']}.caught: {sabotage['Name']}", test_sabotage, checks,
                              args.converted, sabotage))

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
