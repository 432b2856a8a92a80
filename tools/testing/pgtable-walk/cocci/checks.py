# SPDX-License-Identifier: GPL-2.0
"""The Coccinelle checks, what runs one, and what they report on stock."""
import collections
import os
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
CHECKS = HERE.parents[3] / "scripts/coccinelle/pgtable-walk/check"
REPORT = re.compile(r"(?P<path>[^\s:]+):(?P<line>\d+):\d+-\d+: (?P<text>(ERROR|WARNING): .*)")


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
        no_patch = re.search(r"^// Comments: No patch: (.+)$", text, re.M)
        self.no_patch = no_patch[1] if no_patch else ""
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
             *targets], capture_output=True, text=True, timeout=900, check=False)
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


def kvm_arches(tree):
    """The architectures that have KVM."""
    return sorted(path.parent.name for path in pathlib.Path(tree, "arch").glob("*/kvm"))


def findings(check, tree, arches):
    """{(path, function): reports} of KVM in a tree."""
    found = collections.Counter()
    for top in ["virt/kvm"] + [f"arch/{arch}/kvm" for arch in arches]:
        for path, line, _ in check.reports(*sorted(pathlib.Path(tree, top).rglob("*.[ch]"))):
            found[os.path.relpath(path, tree), function_at(path, line)] += 1
    return found


def stock_list(base):
    """{(check, path, function): reports} on record for the stock kernel."""
    lines = (HERE / f"stock-{base}.list").read_text(encoding="utf-8").splitlines()
    return {tuple(words[:3]): int(words[3]) if words[3:] else 1
            for words in map(str.split, lines) if words and words[0] != "#"}
