# SPDX-License-Identifier: GPL-2.0
"""What tests share: KTAP output, arguments, what the lab knows, which files of a tree are ours or converted."""
import json
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts/pgtable-walk"))
# pylint: disable=wrong-import-position
from converter.conversion import CONVERT_DIR, load_conversions  # noqa: E402
from converter.record import MANIFEST  # noqa: E402

ARCHES = sorted(path.stem for path in (ROOT / "tools/testing/pgtable-walk/lab/arch").glob("*.mk"))
KERNEL_DIRS = ("arch", "include", "lib", "mm", "virt")
SELFTESTS = "tools/testing/selftests"


class Ktap:
    """Prints results one by one; diagnostics come before the result that they explain."""

    def __init__(self, planned=None, margin=""):
        self.margin = margin        # results behind one are not counted
        self.count = self.failed = 0
        self.planned = planned
        self.say("KTAP version 1")
        if planned is not None:
            self.say(f"1..{planned}")

    def say(self, text):
        print(self.margin + text, flush=True)

    def line(self, verdict, name, comment=""):
        """The line of a result, which is pass, fail or skip."""
        self.count += 1
        self.failed += verdict == "fail"
        comment = " ".join((["SKIP"] if verdict == "skip" else []) + ([comment] if comment else []))
        self.say(f"{'not ok' if verdict == 'fail' else 'ok'} {self.count} {name}{f' # {comment}' if comment else ''}")

    def diagnose(self, *problems):
        for problem in problems:
            for line in str(problem).splitlines():
                self.say(f"# {line}")

    def result(self, name, problems=(), comment=""):
        """Failed if there are problems."""
        problems = list(problems)
        self.diagnose(*problems)
        self.line("fail" if problems else "pass", name, comment)

    def plan(self):
        """The plan, if it has not been announced: all results there are."""
        if self.planned is None:
            self.say(f"1..{self.count}")

    def finish(self):
        self.plan()
        sys.exit(1 if self.failed or not self.count else 0)


def regex(text):
    """The type of an argument; one that is none ends the program with one line."""
    try:
        return re.compile(text)
    except re.error as error:
        return sys.exit(f"{os.path.basename(sys.argv[0])}: '{text}' is no regular expression: {error}")


def lab_word(arch, variable):
    """The first word of a variable of the lab; @variable is a regular expression for its name without that of
    the architecture."""
    text = (ROOT / f"tools/testing/pgtable-walk/lab/arch/{arch}.mk").read_text(encoding="utf-8")
    return re.search(rf"^{arch}_{variable}\s*:=[^\S\n]*(\S*)", text, re.M)[1]


def wanted(name, arches, tops=KERNEL_DIRS):
    """Whether a file is a C file of these architectures, or of none."""
    return name.startswith(tops) and name.endswith((".c", ".h")) and \
        (not name.startswith("arch/") or name.split("/")[1] in arches)


def recorded(tree, what):
    """The paths that a converted tree has a record of: 'new' or 'converted'."""
    return sorted(json.loads((pathlib.Path(tree) / MANIFEST).read_text(encoding="utf-8"))[what])


def fragments(base, arches, tops=KERNEL_DIRS):
    """Files with what the conversions of a base add to C files, by their paths in the repository."""
    return sorted({str(path.relative_to(ROOT)) for conv in load_conversions(ROOT / CONVERT_DIR, base)
                   for edit in conv.edits if wanted(edit.path, arches, tops) for path in edit.fragments})


def need_tree(path, what, names):
    """Exit with one line unless every file is there."""
    for name in names:
        if not os.path.exists(os.path.join(path, name)):
            sys.exit(f"{sys.argv[0]}: {what} {path}: no {name}: is it a kernel tree of that kind?")
