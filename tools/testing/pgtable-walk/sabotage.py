#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Break the code in known ways, one at a time: what is named to notice must notice.

Lists of ways to break it are in sabotage/: host.list for the library on this machine, cocci.list
for the Coccinelle checks, those of architectures and mglru.list for kernels in QEMU.  Each block is one way:

  Name     what is broken
  File     in which file of a converted kernel, or of the repository
  Replace  the text there, which must be there once; several lines make several text lines
  By       what to put in its place, if anything
  Run      host: the goal of host/Makefile without 'check-'; kernel: a test as in a plan, or
           'build' for what must not even build
  Expect   host: the test that must fail; cocci: the check that must report it; kernel: a regular
           expression that the console must match, or the end of the build's log
  Base     cocci and kernel: the version of Linux that has this, if not every base has it
  Kernel, Machine, Args
           kernel: which kernel of the lab (default debug) to boot on which machine (default the
           architecture's first) with which kernel arguments

mutants.py generates more of the host's, which any test may notice.  mutants.list has the names of
those that none can notice, and Why.

Speaks KTAP: what was noticed is killed, what was not has survived.  A run that is interrupted goes
on where it was, if the sources are the same.  The kernel's tree is put back as it was.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "cocci"))
# pylint: disable=wrong-import-position
from checks import CHECKS, Check, CheckError  # noqa: E402
import mutants  # noqa: E402
from testlib import ARCHES, KERNEL_DIRS, ROOT, SELFTESTS, Ktap, regex  # noqa: E402
from converter.conversion import CONVERT_DIR, bases_of  # noqa: E402
from converter.main import tree_version  # noqa: E402
from converter.transaction import Refused  # noqa: E402

LISTS = HERE / "sabotage"
HOST_DIRS = ("include", "lib/pgtable-walk", "arch/riscv/kvm", "virt/kvm", "scripts/pgtable-walk",
             "tools/testing/pgtable-walk")
HANGS = 300     # seconds; its tests take one
BOOTS = 900
KILLED, SURVIVED, NOT_BUILT = "killed", "survived", "does not build"


class Wrong(Exception):
    """An entry of a list that is not as it must be; the text says why."""


# ---- lists ----

def read_list(path, base):
    """Blocks of 'Key: value' lines, those for a base. All of the text counts."""
    entries = []
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.M)
    for block in filter(None, re.split(r"\n\s*\n", text.strip("\n"))):
        entry = {}
        for line in block.splitlines():
            match = re.fullmatch(r"(\w+):(?: (.*))?", line)
            if not match:
                raise Wrong(f"{path.name}: not 'Key: value': {line}")
            entry.setdefault(match[1], []).append(match[2] or "")
        entries.append({key: "\n".join(lines) for key, lines in entry.items()})
        if "Base" in entry and entries[-1]["Base"] not in bases_of(ROOT / CONVERT_DIR):
            raise Wrong(f"{path.name}: {entries[-1].get('Name')}: there is no base {entries[-1]['Base']}")
    return [entry for entry in entries if entry.get("Base", base) == base]


def broken(text, entry):
    """The text of the entry's file once it is broken."""
    if (count := text.count(entry["Replace"])) != 1:
        raise Wrong(f"{entry['File']}: the text to replace is there {count} times instead of once:\n{entry['Replace']}")
    return text.replace(entry["Replace"], entry.get("By", ""))


def excused(generated):
    """Why some of these mutants are as good as the original, by name; and what is wrong with that list."""
    reasons, problems = {}, []
    names = {entry["Name"] for entry in generated}
    for entry in read_list(LISTS / "mutants.list", None):
        name = entry.get("Name")
        if entry.keys() != {"Name", "Why"} or not entry["Why"]:
            problems.append(f"{name}: needs Name and Why, and nothing else")
        elif name not in names:
            problems.append(f"{name}: there is no such mutant any more")
        elif name in reasons:
            problems.append(f"{name}: is there twice")
        reasons[name] = entry.get("Why")
    return reasons, problems


def arch_of(name):
    """The architecture that a file is for, or none."""
    return name.split("/")[1] if name.startswith("arch/") else None


def text_of(path):
    return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")


def check_texts(ktap, tree, base):
    """Each list, without building anything: are the texts, tests, checks and machines there?"""
    programs = "\n".join(text_of(path) for path in sorted((tree / SELFTESTS / "kvm").rglob("lockless_aging*")))
    cases = {name for top in ("include/kunit", *HOST_DIRS) for path in (ROOT / top).rglob("*.[ch]")
             for name in re.findall(r"KUNIT_CASE\((\w+)\)", text_of(path))}
    reasons, problems = excused(mutants.generate(ROOT))
    ktap.result(f"sabotage/mutants.list: {len(reasons)} entries", problems)
    for path in sorted(set(LISTS.glob("*.list")) - {LISTS / "mutants.list"}):
        problems, names = [], set()
        try:
            entries = read_list(path, base)
        except Wrong as error:
            entries, problems = [], [error]
        backend = {"host": Host, "cocci": Cocci}.get(path.stem, Kernel)
        for entry in entries:
            def wrong(what, entry=entry):
                problems.append(f"{entry.get('Name')}: {what}")

            needed = {"Name", "File", "Replace", "Expect"} | backend.NEEDED
            if odd := needed - entry.keys() | entry.keys() - needed - {"By"} - backend.MORE:
                wrong(f"missing or not known there: {', '.join(sorted(odd))}")
                continue
            if entry["Name"] in names:
                wrong("is there twice")
            names.add(entry["Name"])
            try:
                top = ROOT if HERE in pathlib.Path(ROOT, entry["File"]).parents else tree
                broken(text_of(top / entry["File"]), entry)
            except (OSError, Wrong) as error:
                wrong(error)
            if entry["Replace"] == entry.get("By"):
                wrong("changes nothing")
            if backend is Cocci and not (CHECKS / f"{entry['Expect']}.cocci").exists():
                wrong(f"there is no check {entry['Expect']}")
            if backend is Host and (entry["Run"] not in Host.GOALS or
                                    entry["Run"] != "objcheck" and entry["Expect"] not in cases):
                wrong(f"there is no {entry['Expect']} in {entry['Run']}")
            if backend is Kernel:
                if unknown := [word for word in re.findall(r"-[nt] ([a-z]\w+)", entry["Run"])
                               if not re.search(rf"\b{word}\b", programs)]:
                    wrong(f"there is no test {unknown[0]}")
                machines = "\n".join(text_of(HERE / f"lab/arch/{arch}.mk") for arch in ARCHES
                                     if path.stem in (arch, *Kernel.COMMON))
                if f"_{entry.get('Machine', '')}_QEMU" not in machines and "Machine" in entry:
                    wrong(f"there is no machine {entry['Machine']}")
                try:
                    re.compile(entry["Expect"])
                except re.error as error:
                    wrong(f"Expect: {error}")
        if not entries:
            problems.append("nothing in it")
        ktap.result(f"sabotage/{path.name}: {len(entries)} entries", problems)


# ---- backends: run(entry) returns an outcome and what there is to say about it ----

class Host:
    """Copies of the sources, which host/Makefile builds and runs."""

    NEEDED, MORE = {"Run"}, set()
    RACES = True    # a test may miss one on a busy machine, but not twice
    FINAL = {KILLED}
    GOALS = {"asan": "check-asan", "tsan": "check-tsan", "explore": "check-explore", "objcheck": "objcheck"}
    OBJECTS = "objects"
    CFLAGS = "-w -g0"   # broken code has unused variables

    def __init__(self, args):
        self.jobs = args.jobs
        self.top = args.build / f"sabotage-{args.where}"
        self.good = self.top / "good"
        shutil.rmtree(self.top, ignore_errors=True)
        for part in HOST_DIRS:
            shutil.copytree(ROOT / part, self.good / part, ignore=shutil.ignore_patterns("__pycache__"))
        done = self.make(self.good, self.OBJECTS)
        if done.returncode:
            sys.exit(f"sabotage.py: not broken yet, and does not build or pass:\n{done.stdout}")

    def make(self, tree, *goals, jobs=os.cpu_count(), timeout=None):
        # Objects are found again in a copy of the directory, as no path is absolute.
        return subprocess.run(["make", "-s", f"-j{jobs}", "-C", tree / "tools/testing/pgtable-walk/host", "BUILD=out",
                               f"EXTRA_CFLAGS={self.CFLAGS}", *goals], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout, env=no_make(),
                              check=False)

    @contextlib.contextmanager
    def broken_copy(self, entry):
        with tempfile.TemporaryDirectory(dir=self.top) as directory:
            tree = pathlib.Path(directory, "tree")
            # with the times of files: only what depends on the broken one is built again
            shutil.copytree(self.good, tree)
            (tree / entry["File"]).write_text(broken(text_of(tree / entry["File"]), entry), encoding="utf-8")
            yield tree

    def run(self, entry):
        with self.broken_copy(entry) as tree:
            try:
                done = self.make(tree, self.GOALS[entry["Run"]], f"CASE={entry['Expect']}", jobs=1, timeout=HANGS + 60)
            except subprocess.TimeoutExpired:
                return SURVIVED, f"hangs for {HANGS} s"
        if "KTAP" not in done.stdout:
            return NOT_BUILT, done.stdout[:500]
        failed = re.findall(r"^ *not ok \d+ (?!pgtable-walk)(\w+)", done.stdout, re.M)
        return (KILLED if entry["Expect"] in failed else SURVIVED,
                f"failed: {', '.join(dict.fromkeys(failed)) or 'nothing'}")


class Mutants(Host):
    """The same for what mutants.py makes: what takes least comes first, and the first that fails will do."""

    RACES = False
    FINAL = {KILLED, NOT_BUILT}
    GOALS = ("check-first", "check-quick", "check-explore", "check-asan", "check-tsan")
    OBJECTS = "check-first"
    CFLAGS = "-Werror -g0"

    def run(self, entry):
        with self.broken_copy(entry) as tree:
            for goal in self.GOALS:
                try:
                    done = self.make(tree, goal, jobs=1, timeout=HANGS + 60)
                except subprocess.TimeoutExpired:
                    return KILLED, f"{goal}: hangs"
                if "KTAP" not in done.stdout:
                    # What one compiler takes and another does not is nothing that a mutant did.
                    return NOT_BUILT if goal in self.GOALS[:2] else SURVIVED, f"{goal}: {done.stdout[:500]}"
                if done.returncode:
                    failed = re.search(r"^ +not ok \d+ (\w+)", done.stdout, re.M)
                    return KILLED, f"{goal}: {failed[1] if failed else 'crashed'}"
        return SURVIVED, "no test fails"


class Cocci:
    """A copy of the broken file, which the check looks at."""

    NEEDED, MORE = set(), {"Base"}
    RACES = False
    FINAL = {KILLED}

    def __init__(self, args):
        self.jobs, self.tree = args.jobs, args.tree
        self.checks = {path.stem: Check(path) for path in CHECKS.glob("*.cocci")}

    def run(self, entry):
        with tempfile.TemporaryDirectory(prefix="pgtable-walk-") as directory:
            path = pathlib.Path(directory, os.path.basename(entry["File"]))
            path.write_text(broken(text_of(self.tree / entry["File"]), entry), encoding="utf-8")
            reports = self.checks[entry["Expect"]].reports(path)
        return KILLED if reports else SURVIVED, ""


class Kernel:
    """The converted kernel tree itself, which the lab builds and boots."""

    NEEDED, MORE = {"Run"}, {"Base", "Kernel", "Machine", "Args"}
    RACES = False
    FINAL = {KILLED}
    COMMON = ("mglru",)     # lists for all architectures

    def __init__(self, args):
        self.args, self.jobs = args, 1
        self.saved = args.build / "sabotage/broken.json"
        # One that was killed could not put the tree back.
        if self.saved.exists():
            path, good, bad = json.loads(text_of(self.saved))
            if os.path.exists(path) and text_of(path) == bad:
                pathlib.Path(path).write_text(good, encoding="utf-8")
            self.saved.unlink()

    def make(self, goal, *variables):
        args = self.args
        done = subprocess.run(["make", "--no-print-directory", f"-j{os.cpu_count()}", "-C", HERE / "lab",
                               f"BUILD={args.build}", f"BASE={args.base}", f"ARCHES={args.arch}",
                               f"{args.arch}/{goal}", *variables],
                              capture_output=True, text=True, errors="replace", env=no_make(), check=False)
        return done.returncode, done.stdout + done.stderr

    def run(self, entry):
        source = self.args.tree / entry["File"]
        good = source.read_text(encoding="utf-8")   # which is written back
        bad = broken(good, entry)
        write_whole(self.saved, json.dumps([str(source), good, bad]))
        try:
            source.write_text(bad, encoding="utf-8")
            return self.outcome(entry)
        finally:
            source.write_text(good, encoding="utf-8")
            self.saved.unlink()

    def outcome(self, entry):
        kernel, machine = entry.get("Kernel", "debug"), entry.get("Machine", self.args.machine)
        failed, output = self.make(f"ours-{kernel}")
        if entry["Run"] == "build":
            killed = failed and re.search(entry["Expect"], output)
            return KILLED if killed else SURVIVED, "" if killed else f"the build says:\n{output[-2000:]}"
        if failed:
            return NOT_BUILT, output[-2000:]
        plan = self.args.build / "sabotage/plan"
        plan.write_text(f"sabotaged {BOOTS} pass {entry['Run']}\n", encoding="utf-8")
        failed, output = self.make("boot-plan", f"MACHINE={machine}", f"KERNEL={kernel}", f"PLAN={plan}",
                                   f"KERNEL_ARGS=panic_on_warn=1 {entry.get('Args', 'kunit.enable=0')}")
        console = text_of(self.args.build / f"log/kernel-{self.args.arch}-{machine}-sabotage.console")
        if not failed:
            return SURVIVED, "nothing failed"
        if not re.search(entry["Expect"], console):
            return SURVIVED, f"the console does not say {entry['Expect']}, but:\n{output[-1500:]}"
        return KILLED, ""


def write_whole(path, text):
    """Write a file, or leave it as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def no_make():
    """The environment of a make of its own, not a part of the one that has called this."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


# ---- running ----

class Record:
    """What an interrupted run has found out; no use if the sources have changed."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        digest = hashlib.sha256()
        for top in (*KERNEL_DIRS, "tools/testing", "scripts/coccinelle"):
            for source in sorted(path for path in (ROOT / top).rglob("*") if path.is_file()):
                if source.suffix != ".pyc":
                    digest.update(f"{source.relative_to(ROOT)}\n".encode() + source.read_bytes())
        self.sources = digest.hexdigest()
        self.known = {}
        if path and path.exists():
            known = json.loads(text_of(path))
            if known["sources"] == self.sources:
                self.known = known["known"]

    def add(self, name, outcome, why):
        with self.lock:
            self.known[name] = outcome, why
            if self.path:
                write_whole(self.path, json.dumps({"sources": self.sources, "known": self.known}))

    def finish(self):
        if self.path:
            self.path.unlink(missing_ok=True)


def run_one(backend, record, title, entry):
    """Outcome, what there is to say, seconds."""
    if title in record.known:
        return *record.known[title], 0
    started = time.monotonic()
    try:
        outcome, why = backend.run(entry)
        if outcome == SURVIVED and backend.RACES:
            outcome, why = backend.run(entry)
    except (Wrong, CheckError, OSError, subprocess.TimeoutExpired) as error:
        outcome, why = SURVIVED, f"{type(error).__name__}: {error}"
    if outcome in backend.FINAL:
        record.add(title, outcome, why)
    return outcome, why, time.monotonic() - started


def listed(args):
    """Titles and entries of what is to be run."""
    if args.where == "mutants":
        generated = mutants.generate(ROOT)
        reasons, problems = excused(generated)
        if problems:
            raise Wrong("mutants.list:\n" + "\n".join(problems))
        entries = [(entry["Name"], entry) for entry in (mutants.sample if args.sample else list)
                   ([entry for entry in generated if entry["Name"] not in reasons])]
    else:
        lists = {"host": ["host"], "cocci": ["cocci"], "kernel": [*Kernel.COMMON, args.arch]}[args.where]
        entries = [(f"{name}: {entry['Name']}", entry) for name in lists
                   for entry in read_list(LISTS / f"{name}.list", args.base)
                   if args.where != "cocci" or arch_of(entry["File"]) in (None, *args.arches.split())]
    return [(title, entry) for title, entry in entries if args.only.search(entry["Name"])]


def run_all(args):
    backend = {"host": Host, "cocci": Cocci, "kernel": Kernel, "mutants": Mutants}[args.where]
    entries = listed(args)
    if not entries:
        sys.exit(f"no name of a sabotage matches {args.only.pattern}; the names are in {LISTS}/")
    record = Record(args.build and args.build / f"sabotage/{args.arch or args.where}.json")
    backend = backend(args)
    # A mutant that does not build is no result.
    ktap, counts = Ktap(None if args.where == "mutants" else len(entries)), collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(backend.jobs) as pool:
        # One at a time is a job of this thread, which signals reach.
        running = [pool.submit(run_one, backend, record, *entry) for entry in entries if backend.jobs > 1]
        try:
            for number, (title, entry) in enumerate(entries):
                outcome, why, seconds = running[number].result() if running else run_one(backend, record, title, entry)
                counts[outcome] += 1
                if args.where == "mutants" and outcome == NOT_BUILT:
                    ktap.diagnose(f"{title}: {outcome}")
                    continue
                if outcome == KILLED:
                    ktap.diagnose(why)
                what = {"kernel": entry.get("Run"), "mutants": why}.get(args.where, entry.get("Expect"))
                ktap.result(f"{title}: {what}: {outcome}", [] if outcome == KILLED else [why or outcome],
                            f"{seconds:.0f} s")
        finally:
            for future in running:
                future.cancel()
    record.finish()
    if args.where == "mutants":
        ktap.diagnose(", ".join(f"{counts[outcome]} {outcome}" for outcome in (KILLED, SURVIVED, NOT_BUILT)))
    ktap.finish()


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", choices=("host", "cocci", "kernel", "mutants", "check-texts"),
                        help="which lists; check-texts: whether what all of them say is in the converted tree")
    parser.add_argument("--tree", type=pathlib.Path, help="the converted kernel tree")
    parser.add_argument("--build", type=pathlib.Path, help="scratch directory, or that of the lab")
    parser.add_argument("--only", type=regex, default=os.environ.get("ONLY", ""), metavar="REGEX",
                        help="those whose names it matches; default: $ONLY")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--sample", action="store_true", help="mutants: one of each kind in each function")
    parser.add_argument("--arches", default=" ".join(ARCHES), help="cocci: of which architectures")
    for option in "--arch", "--machine":
        parser.add_argument(option, help="kernel: as the lab knows it")
    args = parser.parse_args()
    args.build = args.build and args.build.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        args.base = args.tree and tree_version(args.tree)
        if args.where != "check-texts":
            run_all(args)
        ktap = Ktap()
        check_texts(ktap, args.tree, args.base)
        ktap.finish()
    except (Wrong, Refused) as error:
        sys.exit(f"sabotage.py: {error}")


if __name__ == "__main__":
    main()
