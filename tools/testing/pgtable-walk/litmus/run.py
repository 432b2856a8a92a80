#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run the litmus tests under herd7, and test that each claim about ordering in a comment names one.

Tests in C run under the memory model of a kernel tree, those in aarch64/ and riscv/ under herd7's
own.  Each says in its header what comes of it, and a test in C that says Never also which of its
barriers and sections matter: each of them is left out by turns.  A test in C, so, NAME, has broken
variants NAME-WHAT with the same condition, and one for which the model says Sometimes.

A comment that claims ordering names a test, as "litmus: link-table, free-table".  README names
each test, and for all that are no broken variant, so does a comment or a document.

Last, the tests and claims are broken in known ways, each of which must be noticed.  Speaks KTAP.
"""
import argparse
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
from testlib import CONVERT_DIR, KERNEL_DIRS, ROOT, Ktap  # noqa: E402

MODELS = {".": "C", "aarch64": "AArch64", "riscv": "RISCV"}
RESULTS = ("Never", "Sometimes", "Always")
TIMEOUT = 120

# ---- tests ----

# What a barrier becomes without its order.
WEAKER = (
    (re.compile(r"\bsmp_store_release\((\w+), "), r"WRITE_ONCE(*\1, "),
    (re.compile(r"\bsmp_load_acquire\((\w+)\)"), r"READ_ONCE(*\1)"),
    (re.compile(r"\brcu_assign_pointer\("), "WRITE_ONCE("),
    (re.compile(r"\b(cmpxchg|xchg)(?:_acquire|_release)?\("), r"\1_relaxed("),
    (re.compile(r"\t+(?:smp_mb\w*|synchronize_s?rcu)\([^)]*\);\n"), ""),
)
OPERATION = re.compile(r"[a-z]\w+")
SECTIONS = ("rcu_read", "srcu_read", "spin")
SECTION = r"\t+(?:\w+ = )?{}_(?:un)?lock\([^)]*\);\n"


class Litmus:
    """One test: its name, and what its header says."""

    def __init__(self, path):
        self.path = path
        self.directory = path.parent.name if path.parent.name in MODELS else "."
        self.name = path.stem if self.directory == "." else f"{self.directory}/{path.stem}"
        self.text = path.read_text(encoding="utf-8")
        self.results = re.findall(r"^ \* Result: (.*)$", self.text, re.M)
        self.matters = re.findall(r"^ \* Matters: (.*)$", self.text, re.M)

    def problems(self):
        """What is wrong with the file, as far as it can be said without running it."""
        title = f"{MODELS[self.directory]} {self.path.stem}"
        if self.text.splitlines()[0] != title:
            return [f"the first line is not '{title}'"]
        if len(self.results) != 1 or self.results[0] not in RESULTS:
            return [f"no line ' * Result: ' with one of {', '.join(RESULTS)}"]
        if len(self.matters) != (self.directory == "." and self.results == ["Never"]):
            return ["a line ' * Matters: ' is for tests in C that say Never, and for each of them"]
        return []

    def condition(self):
        return re.search(r"^exists (.*?)(?: \(\*.*)?$", self.text, re.M | re.S)[1]

    def weakened(self):
        """(what, text): the test without one barrier or section."""
        for process in re.finditer(r"^(P\d+)\(.*?^}", self.text, re.M | re.S):
            start, end = process.span()

            def whole(body, start=start, end=end):
                return self.text[:start] + body + self.text[end:]

            seen = {}
            for pattern, weaker in WEAKER:
                for match in pattern.finditer(process[0]):
                    what = f"{process[1]} {OPERATION.search(match[0])[0]}"
                    seen[what] = seen.get(what, 0) + 1
                    yield (what if seen[what] == 1 else f"{what} {seen[what]}",
                           whole(process[0][:match.start()] + match.expand(weaker) + process[0][match.end():]))
            for section in SECTIONS:
                pattern = SECTION.format(section if section != "rcu_read" else r"(?<!s)rcu_read")
                if re.search(pattern, process[0]):
                    yield f"{process[1]} {section}_lock", whole(re.sub(pattern, "", process[0]))


class Herd:
    """Runs tests, and says what came of them, or why nothing did."""

    def __init__(self, command, model):
        self.command, self.model = command, model

    def outcome(self, test, path=None):
        """(outcome, None) or (None, problem in one line)."""
        options = {".": ["-conf", "linux-kernel.cfg"], "aarch64": ["-variant", "vmsa"], "riscv": []}[test.directory]
        try:
            done = subprocess.run([self.command, *options, path or test.path], cwd=self.model, capture_output=True,
                                  text=True, errors="replace", timeout=TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, f"herd7: {error}"
        said = re.search(r"^Observation \S+ (\w+) ", done.stdout, re.M)
        if done.returncode or not said:
            lines = [line.replace(f"{test.path.parent}/", "") for line in (done.stderr + done.stdout).splitlines()
                     if line and not line.startswith("Warning")]
            return None, f"herd7 refuses it: {lines[0] if lines else f'status {done.returncode}'}"
        # Of AArch64's, one says that all CPUs are in one domain.
        if test.directory == "." and (flag := re.search(r"^Flag (.*)", done.stdout, re.M)):
            return None, f"herd7 flags {flag[1]}"
        return said[1], None

    def matters(self, test):
        """Barriers and sections of which the outcome depends, or what is wrong."""
        found = []
        with tempfile.TemporaryDirectory(prefix="pgtable-walk-") as directory:
            for number, (what, text) in enumerate(test.weakened()):
                path = pathlib.Path(directory, f"{number}.litmus")
                path.write_text(text, encoding="utf-8")
                outcome, problem = self.outcome(test, path)
                if problem:
                    return None, f"without {what}: {problem}"
                if outcome != "Never":
                    found.append(what)
        return ", ".join(found) or "nothing", None

    def run(self, test):
        """All that is wrong with a test."""
        if problems := test.problems():
            return problems
        outcome, problem = self.outcome(test)
        if problem or outcome != test.results[0]:
            return [problem or f"the model says {outcome}, the header {test.results[0]}"]
        if test.matters:
            found, problem = self.matters(test)
            if problem or found != test.matters[0]:
                return [problem or f"what matters is: {found}; the header says: {test.matters[0]}"]
        return []


def read_tests(top):
    return [Litmus(path) for directory in MODELS for path in sorted((top / directory).glob("*.litmus"))]


def base_of(test, tests):
    """The test that it is a broken variant of, if any."""
    names = {other.name: other for other in tests
             if other.results == ["Never"] and test.name.startswith(f"{other.name}-")}
    return names[max(names, key=len)] if names and test.results != ["Never"] else None


def pairs(tests):
    """What is wrong with tests and their broken variants."""
    broken = {}
    for test in tests:
        if base := base_of(test, tests):
            broken.setdefault(base.name, []).append(test)
            if test.condition() != base.condition():
                yield f"{test.name}: its condition is not that of {base.name}"
    for test in tests:
        if test.results == ["Never"] and test.name not in broken:
            yield f"{test.name}: no broken variant {test.name}-..."


# ---- claims ----

COMMENT = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.S)
# The release of a notifier or a file is none.
CLAIM = re.compile(r"\bsmp_(?:mb|rmb|wmb|store|load|acquire|release|cond)\w*|\bpairs? with\b|\bOrdering:|"
                   r"(?<![>\w])(?:acquire|release)s?\b(?!\(|d\b)|\brcu_(?:dereference|assign_pointer)\b|"
                   r"\b(?:synchronize|call)_s?rcu\b|\bgrace period\b|\bfully ordered\b|"
                   r"\baddress dependency\b|\bfull barrier\b|\b\w*list_\w+_rcu\b", re.I)
# Code that orders, too, has to have a comment with a name in front of it.
ORDERS = re.compile(r"\b(?:smp_(?:mb|rmb|wmb|store_release|store_mb|load_acquire)\w*|[rw]?mb|"
                    r"(?:atomic|cmpxchg|try_cmpxchg)\w*_(?:acquire|release)|rcu_assign_pointer|"
                    r"(?:synchronize|call)_s?rcu\w*)\(")
NAMED = re.compile(r"\blitmus:[\s*]+([a-z0-9/-]+(?:,[\s*]+[a-z0-9/-]+)*)")
TESTS_OF_CODE = re.compile(r"/tests/|_kunit\w*\.[ch]$")


def code_of(path):
    """What a file adds to a kernel: of a semantic patch, the lines with a plus."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".cocci":
        return "\n".join(line[1:] if line.startswith("+") else "" for line in text.splitlines())
    if path.suffix == ".edit":
        return "\n".join(line.partition(": ")[2] if line.startswith("Add: ") else "" for line in text.splitlines())
    return text


def sources(top):
    """Files with code for kernels."""
    for directory in (*KERNEL_DIRS, "overlay", str(CONVERT_DIR)):
        for path in sorted((top / directory).rglob("*")):
            if path.suffix in (".c", ".h", ".cocci", ".edit") and not TESTS_OF_CODE.search(str(path)):
                yield path


def names_in(text):
    return {name for match in NAMED.finditer(text) for name in re.split(r",[\s*]+", match[1])}


def claims(top, tests):
    """({name: where a comment names it}, problems)."""
    known = {test.name for test in tests}
    named, problems = {}, []
    for path in sorted((top / "Documentation").rglob("*.rst")):
        for name in sorted(names_in(path.read_text(encoding="utf-8"))):
            named[name] = str(path.relative_to(top))
    for path in sources(top):
        text, where = code_of(path), path.relative_to(top)
        comments = list(COMMENT.finditer(text))
        for comment in comments:
            line = text.count("\n", 0, comment.start()) + 1
            names = names_in(comment[0])
            named.update((name, f"{where}:{line}") for name in names)
            if not names and (claim := CLAIM.search(comment[0])):
                problems.append(f"{where}:{line}: claims '{claim[0]}' and names no litmus test")
        for order in ORDERS.finditer(COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)):
            before = [comment[0] for comment in comments if comment.start() < order.start()]
            if not before or not names_in(before[-1]):
                problems.append(f"{where}:{text.count(chr(10), 0, order.start()) + 1}: "
                                f"the comment before {order[0]}) names no litmus test")
    problems += [f"{where}: there is no litmus test {name}" for name, where in named.items() if name not in known]
    return named, problems


def unnamed(top, tests, named):
    """Tests that nothing names."""
    readme = (top / HERE.relative_to(ROOT) / "README").read_text(encoding="utf-8")
    for test in tests:
        if not re.search(rf"(?<![\w/-]){re.escape(test.name)}(?![\w/-])", readme):
            yield f"{test.name}: README does not name it"
        if not base_of(test, tests) and test.name not in named:
            yield f"{test.name}: no comment and no document names it"


# ---- all of it ----

def check_texts(top):
    """{title: problems} of what needs no herd7."""
    tests = read_tests(top / HERE.relative_to(ROOT))
    named, problems = claims(top, tests)
    return {"headers": [f"{test.name}: {problem}" for test in tests for problem in test.problems()],
            "each test has a broken variant, with the same condition": list(pairs(tests)),
            "each claim of ordering in a comment names a test": problems,
            "each test is named": list(unnamed(top, tests, named))}


def replaced(name, old, new):
    def change(text):
        assert old in text, (name, old)
        return text.replace(old, new)
    return name, change


def added(name, text):
    return name, lambda _: text


OURS = str(HERE.relative_to(ROOT))
BROKEN = f"{OURS}/link-table-no-release.litmus"
# (title, how to break a copy, what the one line says that comes of it)
TEXT_SABOTAGES = (
    ("no expected result", replaced(BROKEN, " * Result: Sometimes\n", ""),
     "link-table-no-release: no line ' * Result: '"),
    ("another expected result", replaced(BROKEN, "Result: Sometimes", "Result: Seldom"),
     "link-table-no-release: no line ' * Result: '"),
    ("a broken variant with another condition", replaced(BROKEN, "r1=0", "r1=1"),
     "link-table-no-release: its condition is not that of link-table"),
    ("a claim without a test", added("include/linux/claim.h", "/* Pairs with vpte_read(). */\n"),
     "claim.h:1: claims 'Pairs with'"),
    ("a claim with a test that there is not", added("include/linux/claim.h", "/* Release; litmus: link-tables. */\n"),
     "there is no litmus test link-tables"),
    ("a barrier without a comment", added("lib/barrier.c", "void f(void)\n{\n\tsmp_mb();\n}\n"),
     "barrier.c:3: the comment before smp_mb()"),
    ("a claim in a semantic patch",
     added(f"{CONVERT_DIR}/0001-x.cocci", "@@\n@@\n-f();\n+/* A full barrier. */\n+g();\n"),
     "0001-x.cocci:4: claims 'full barrier'"),
    ("a test that README does not name", replaced(f"{OURS}/README", "root-word-two-words", "two-words"),
     "root-word-two-words: README does not name it"),
    ("a test that nothing else names",
     replaced("Documentation/core-api/pgtable-walk.rst", "litmus: age-aba", "see age-aba"),
     "age-aba: no comment and no document names it"),
)
HERD_SABOTAGES = (
    ("no release in a test", ("smp_store_release(pte, table)", "WRITE_ONCE(*pte, table)"),
     "the model says Sometimes, the header Never"),
    ("a barrier that does not matter", ("	r0 = READ_ONCE(*pte);", "	smp_mb();\n	r0 = READ_ONCE(*pte);"), None),
    ("a header that says what does not matter", ("Matters: P0 smp_store_release", "Matters: P1 smp_mb"),
     "what matters is: P0 smp_store_release;"),
    ("a test that herd7 refuses", ("int r1;", "int 1r;"), "herd7 refuses it: "),
)


def one_line(found, words):
    """What is wrong with what a sabotage has led to."""
    if words is None:
        return [f"noticed, for no reason: {line}" for line in found]
    if len(found) == 1 and words in found[0] and "\n" not in found[0]:
        return []
    return [f"no single line with '{words}', but:", *found]


def sabotage_texts(ktap):
    before = [problem for problems in check_texts(ROOT).values() for problem in problems]
    with tempfile.TemporaryDirectory(prefix="pgtable-walk-") as directory:
        top = pathlib.Path(directory)
        for name in (*KERNEL_DIRS, "overlay", str(CONVERT_DIR), "Documentation", OURS):
            shutil.copytree(ROOT / name, top / name, ignore=shutil.ignore_patterns("__pycache__"))
        for title, (name, change), words in TEXT_SABOTAGES:
            path = top / name
            good = path.read_text(encoding="utf-8") if path.exists() else None
            path.write_text(change(good), encoding="utf-8")
            found = [problem for problems in check_texts(top).values() for problem in problems if problem not in before]
            if good is None:
                path.unlink()
            else:
                path.write_text(good, encoding="utf-8")
            ktap.result(f"sabotage: {title}", one_line(found, words))


def sabotage_herd(ktap, herd):
    with tempfile.TemporaryDirectory(prefix="pgtable-walk-") as directory:
        path = pathlib.Path(directory, "link-table.litmus")
        for title, (old, new), words in HERD_SABOTAGES:
            text = (HERE / path.name).read_text(encoding="utf-8")
            assert old in text, (title, old)
            path.write_text(text.replace(old, new), encoding="utf-8")
            ktap.result(f"sabotage: {title}", one_line(herd.run(Litmus(path)), words))
        path = HERE / path.name
        for title, command, words in (("herd7 fails", "false", "herd7 refuses it: status 1"),
                                      ("no herd7", "/nowhere/herd7", "herd7: ")):
            ktap.result(f"sabotage: {title}", one_line(Herd(command, herd.model).run(Litmus(path)), words))


def find_herd(build):
    """(command, None), or (None, why there is none)."""
    if there := shutil.which("herd7"):
        return there, None
    done = subprocess.run([ROOT / "scripts/pgtable-walk/fetch-herd", build / "herd"], stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        return None, "no herd7: " + (done.stderr.strip().splitlines() or ["fetch-herd failed"])[-1]
    return str(build / "herd/herd7"), None


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory-model", type=pathlib.Path, required=True, help="tools/memory-model of a kernel tree")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="where herd7 is put if there is none here")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    args = parser.parse_args()
    if not (args.memory_model / "linux-kernel.cfg").exists():
        sys.exit(f"run.py: {args.memory_model}: no linux-kernel.cfg: is it tools/memory-model of a kernel tree?")

    ktap = Ktap()
    for title, problems in check_texts(ROOT).items():
        ktap.result(title, problems)
    sabotage_texts(ktap)

    tests = read_tests(HERE)
    command, missing = find_herd(args.build.resolve())
    if missing:
        ktap.line("skip", f"{len(tests)} litmus tests", missing)
        ktap.finish()
    herd = Herd(command, args.memory_model)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for test, problems in zip(tests, pool.map(herd.run, tests)):
            ktap.result(f"{test.name}: {''.join(test.results)}", problems,
                        f"matters: {test.matters[0]}" if test.matters else "")
    sabotage_herd(ktap, herd)
    ktap.finish()


if __name__ == "__main__":
    main()
