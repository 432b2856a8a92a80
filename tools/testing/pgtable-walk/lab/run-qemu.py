#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boot a lab kernel in QEMU, read KTAP from its console and judge the run.

Results are those of the kernel's own KUnit suites (named suite.case) and of the tests in the plan that init runs.
The run fails if a test fails or is missing, if the kernel reports a bug, or if it panics, hangs or runs out of time.
"""

import argparse
import collections
import json
import os
import re
import selectors
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# pylint: disable=wrong-import-position
from testlib import Ktap  # noqa: E402

# Generous, as the limits of the plans are: something else may have the build machine's CPUs.
BOOT_SECONDS = 300
QUIET_SECONDS = 900
STAMP = re.compile(r"^\[ *(\d+\.\d+)\] ")
RESULT = re.compile(r"^( *)(not ok|ok) \d+ -? ?([^\s#]+)(.*)$")
SUITE_PLAN = re.compile(r"^    1\.\.(\d+)$")
KERNEL_BUG = re.compile(
    r"^WARNING: |^BUG: |^BUG\b|Kernel panic|KASAN: |UBSAN: |KCSAN: |ODEBUG: |Unable to handle kernel|^Oops|kernel BUG at"
    r"|possible (recursive|circular|irq lock inversion)|inconsistent lock state|suspicious RCU usage|lock held when"
    r"|held lock freed|bad unlock balance|INFO: rcu_|rcu: INFO|INFO: task .* blocked|soft lockup|refcount_t: "
    r"|page allocation failure|Out of memory")
INLINE = re.compile(r"^static (?:__always_)?inline\b.*?\b(\w+)\(", re.M)
RACE = re.compile(r"^BUG: KCSAN: data-race in (\S+)(?: / (\S+))?$")
KCSAN_ON = re.compile(r"^kcsan: enabled early$")
FIGURE = re.compile(r"^# figure (\S+) (\d+)(, noisy)?$")
FIGURE_MARGIN = 0.05    # of what is counted on stock, and
FEW_PAGES = 100         # ... of the test's process itself
MAX_BUG_LINES = 5
LAST_LINES = 6


def read_plan(path):
    """Test name -> time limit in seconds, in the order of the plan."""
    tests = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "write" and len(words) == 3:
            continue
        if len(words) < 4 or not words[1].isdigit() or words[2] not in ("pass", "fail"):
            sys.exit(f"{path}:{number}: not 'NAME SECONDS pass|fail PROGRAM ...' nor 'write PATH VALUE': {line}")
        if words[0] in tests:
            sys.exit(f"{path}:{number}: there is a test {words[0]} already; give this one another name")
        tests[words[0]] = int(words[1])
    if not tests:
        sys.exit(f"{path}: no test in it")
    return tests


def read_stock(path):
    """The lines of a file that record-stock wrote."""
    if not path.exists():
        sys.exit(f"{path} is missing: run 'make record-stock', which boots the stock kernel and writes it")
    return path.read_text().splitlines()


def functions_of(build, tree):
    """The functions of the objects in a build whose sources are new or converted in the tree."""
    record = json.loads((tree / ".pgtable-walk.json").read_text())
    objects = [str(path) for name in (*record["new"], *record["converted"]) if name.endswith(".c")
               and (path := build / Path(name).with_suffix(".o")).is_file()]
    if not objects:
        sys.exit(f"{build}: no objects of what is new or converted in {tree}: build the kernel first")
    symbols = subprocess.run(["nm", "--defined-only", *objects], stdout=subprocess.PIPE, text=True, check=True).stdout
    words = [line.split() for line in symbols.splitlines()]
    ours, static = ({race_name(word[2]) for word in words if len(word) == 3 and word[1] in kinds} for kinds in ("tT", "t"))
    # Each object has its own copy of what a header defines, of one that is as on stock, too.
    for path in (tree / "include").rglob("*.h"):
        if str(path.relative_to(tree)) not in (*record["new"], *record["converted"]):
            ours -= static.intersection(INLINE.findall(path.read_text(errors="replace")))
    return ours


def race_name(*functions):
    """The functions of a data race, whichever came first, and however the compiler cloned them."""
    return " / ".join(sorted(re.sub(r"\..*", "", f) for f in functions if f))


class Console:
    """What the lines of the console say: results, totals, complaints of the kernel."""

    def __init__(self, expected, stock, ktap):
        self.expected = expected
        self.stock = stock          # name -> result on the stock kernel
        self.ktap = ktap
        self.results = {}           # name -> {"result", "seconds", "why"}
        self.bugs = []
        self.races = collections.Counter()
        self.kcsan = False
        self.figures = {}           # name -> number, printed by a test to be compared
        self.noisy = set()          # those of them that differ from run to run
        self.finished = False
        self.panicked = False
        self.output = []            # of the test that runs
        self.suite = None
        self.missing = 0            # results of its cases that are still to come
        self.now = self.last = 0.0  # seconds since the boot of the machine, at the last result

    def add(self, name, result, why=""):
        """A result; what passed on the stock kernel must pass, what failed there does not count against us."""
        if result == "fail" and self.stock.get(name) == "fail":
            result, why = "skip", "fails on stock too: " + why
        elif result == "skip" and self.stock.get(name) == "pass":
            result, why = "fail", "skipped, but passes on stock"
        self.results[name] = {"result": result, "seconds": round(self.now - self.last, 2), "why": why}
        self.last = self.now
        self.ktap.line(result, name, f"{self.results[name]['seconds']:.1f} s {why}".strip())

    def result(self, indent, ok, name, rest):
        skip = "# SKIP" in rest
        verdict = "skip" if ok and skip else "pass" if ok else "fail"
        why = rest.replace("# SKIP", "").strip(" #")
        if indent == 0 and name == self.suite:      # the end of a KUnit suite
            if self.missing > 0:
                self.bugs.append(f"KTAP: {self.missing} results of {name} are missing")
            if not ok and not any(r["result"] == "fail" for n, r in self.results.items() if n.startswith(name + ".")):
                self.add(name, "fail", "the suite failed outside its cases")
            self.suite = None
        elif indent == 4 and self.suite:
            self.missing -= 1
            self.add(f"{self.suite}.{name}", verdict, why)
        elif indent == 0:
            self.add(name, verdict, why)
            if verdict == "fail":
                failed = [text for text in self.output[:-LAST_LINES] if text.startswith("not ok") or "not so: " in text]
                for text in failed + self.output[-LAST_LINES:]:
                    print("    | " + text)

    def line(self, raw):
        text = raw.rstrip("\r\n")
        if match := STAMP.match(text):
            self.now = float(match[1])
            text = text[match.end():]
        if match := RESULT.match(text):
            self.result(len(match[1]), match[2] == "ok", match[3], match[4])
        elif match := SUITE_PLAN.match(text):
            self.missing = int(match[1])
        elif text.startswith("    # Subtest: "):
            self.suite = text.split(": ", 1)[1]
            self.last = self.now
        elif text.startswith("# Totals: ") and not self.suite and self.expected.keys() <= self.results.keys():
            self.finished = True
        elif text.startswith("reboot: ") and not self.expected:
            self.finished = True
        elif match := re.match(r"# ([^\s:]+): (.*)", text):
            if match[1] in self.expected:
                self.output_of_test(match[2])
        elif "end Kernel panic" in text:
            self.panicked = True
        elif text.startswith("Bail out!"):
            self.bugs.append(text)
        elif match := RACE.match(text):
            self.races[race_name(*match.groups())] += 1
        elif KCSAN_ON.match(text):
            self.kcsan = True
        elif not text.lstrip().startswith("#") and KERNEL_BUG.search(text) and len(self.bugs) < MAX_BUG_LINES:
            self.bugs.append(text)

    def judge_races(self, known, ours):
        """The test 'kcsan': it worked, and reported nothing of our code but what is known."""
        new = 0
        for race, count in sorted(self.races.items()):
            elsewhere = ours and not ours.intersection(race.split(" / "))
            self.ktap.diagnose(f"{race}: {count} times, "
                               f"{'as on stock' if race in known else 'elsewhere' if elsewhere else 'not on stock'}")
            if race not in known and not elsewhere:
                new += count
        if not self.kcsan:
            self.add("kcsan", "fail", "it was not enabled")
        elif new:
            self.add("kcsan", "fail", f"{new} of {self.races.total()} reports are of our code and not known from stock")
        else:
            self.add("kcsan", "pass", f"{self.races.total()} reports, all known from stock or elsewhere")

    def judge_figures(self, stock):
        """What tests measured, beside what the stock kernel does: the test 'figures', of those that are no noise."""
        wrong = [f"{name} is missing" for name in stock.keys() - self.figures.keys()]
        for name, value in self.figures.items():
            self.ktap.diagnose(f"{name}: {value}, on stock {stock.get(name, 'not measured')}")
            if name in self.noisy or name not in stock:
                continue
            if abs(value - int(stock[name])) > FIGURE_MARGIN * int(stock[name]) + FEW_PAGES:
                wrong.append(f"{name} is {value}, not about {stock[name]}")
        compared = stock.keys() - self.noisy
        self.add("figures", "fail" if wrong else "pass" if compared else "skip",
                 "; ".join(wrong) if compared or wrong else "none of stock's are on record")

    def output_of_test(self, text):
        self.output.append(text)
        if text == "starts":
            self.output = []
            self.last = self.now
        elif match := FIGURE.match(text):
            self.figures[match[1]] = int(match[2])
            if match[3]:
                self.noisy.add(match[1])


def boot(command, console, log, limit, quiet_limit):
    """Run QEMU until it ends; kill it at the time limit or if it goes silent. Returns what went wrong, or None."""
    end = time.monotonic() + limit
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        os.set_blocking(qemu.stdout.fileno(), False)
        selector = selectors.DefaultSelector()
        selector.register(qemu.stdout, selectors.EVENT_READ)
        pending = b""
        heard = time.monotonic()
        while True:
            now = time.monotonic()
            if console.panicked:        # too early for the kernel to reset the machine
                return "the kernel panicked"
            if now > end:
                return f"time limit of {limit} s is over"
            if now > heard + quiet_limit:
                return f"hang: nothing on the console for {quiet_limit} s"
            if not selector.select(1):
                continue
            data = os.read(qemu.stdout.fileno(), 65536)
            if not data:
                break
            heard = time.monotonic()
            log.write(data)
            log.flush()
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                console.line(line.decode(errors="replace"))
        status = qemu.wait()
        return f"QEMU ended with status {status}" if status else None
    finally:
        qemu.kill()
        qemu.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True, help="of the run: names its files")
    parser.add_argument("--plan", type=Path, help="without one, the kernel's own tests are all, and then it reboots")
    parser.add_argument("--build", required=True, type=Path, help="log/ goes below it")
    parser.add_argument("--stock", type=Path, help="results on the stock kernel to compare with")
    parser.add_argument("--record", type=Path, help="write the results there, as --stock reads them")
    parser.add_argument("--races", type=Path, help="data races that KCSAN reports on the stock kernel")
    parser.add_argument("--races-of", nargs=2, type=Path, metavar=("BUILD", "TREE"),
                        help="races between functions of none of the files that are new or converted are not judged")
    parser.add_argument("--record-races", type=Path, help="add those that it reports, as --races reads them")
    parser.add_argument("--figures", type=Path, help="figures of tests on the stock kernel to compare with")
    parser.add_argument("--record-figures", type=Path, help="write them, as --figures reads them")
    parser.add_argument("--lost-once", action="store_true",
                        help="boot again, once, if the machine is gone without a word")
    parser.add_argument("--kunit", action="append", default=[], help="a KUnit suite that must have run")
    parser.add_argument("--runs", action="append", default=[], help="a test that must not skip")
    parser.add_argument("command", nargs="+", help="QEMU and its arguments")
    args = parser.parse_args()

    plan = read_plan(args.plan) if args.plan else {}
    stock = dict(line.split() for line in read_stock(args.stock)) if args.stock else {}
    races = set(read_stock(args.races)) if args.races else set()
    (args.build / "log").mkdir(parents=True, exist_ok=True)
    log_path = args.build / "log" / f"{args.name}.console"
    started = time.monotonic()
    for lost_before in (False, True):
        console = Console(plan, stock, Ktap(margin="  " if args.record else ""))
        with log_path.open("wb") as log:
            log.write((" ".join(args.command) + "\n").encode())
            wrong = boot(args.command, console, log, BOOT_SECONDS + sum(plan.values()),
                         QUIET_SECONDS)
        if console.finished or wrong:
            break
        wrong = "the machine went down before the tests were over"
        failed = any(r["result"] == "fail" for r in console.results.values())
        if lost_before or not args.lost_once or console.bugs or failed:
            break
        log_path.replace(log_path.with_suffix(".lost"))
        print(f"# {wrong}, without a word of the kernel, as stock's are at times; once more")
    for name in [name for name in plan if name not in console.results]:
        console.add(name, "fail", "did not finish")
    for suite in args.kunit:
        if not any(name.startswith(suite + ".") for name in console.results):
            console.add(suite, "fail", "the KUnit suite did not run")
    for name in args.runs:
        if console.results.get(name, {"result": "skip"})["result"] == "skip":
            console.add(f"{name}-runs", "fail", "skipped, on a machine that has all it needs")
    for number, bug in enumerate(console.bugs + ([wrong] if wrong else []), 1):
        console.add(f"console-{number}", "fail", bug)
    for name in stock.keys() - plan.keys():
        console.add(name, "fail", f"in {args.stock.name}, but not in the plan")
    if args.record_races:
        races = console.races.keys() | (read_stock(args.record_races) if args.record_races.exists() else ())
    if args.races or args.record_races or console.races:
        console.judge_races(races, functions_of(*args.races_of) if args.races_of else set())
    if args.figures:
        console.judge_figures(dict(line.split() for line in read_stock(args.figures)))
    console.ktap.plan()
    verdicts = [r["result"] for r in console.results.values()]
    counts = {v: verdicts.count(v) for v in ("pass", "fail", "skip")}
    summary = f"{counts['pass']} passed, {counts['fail']} failed"
    summary += f", {counts['skip']} skipped" if counts["skip"] else ""
    (args.build / "log" / f"{args.name}.json").write_text(json.dumps(console.results, indent=1) + "\n")
    print(f"{args.name}: {summary} ({time.monotonic() - started:.0f} s)")
    if args.record_races and not counts["fail"]:
        args.record_races.write_text("".join(f"{race}\n" for race in sorted(races)))
    if args.record_figures and not counts["fail"]:
        args.record_figures.write_text("".join(f"{name} {value}\n" for name, value in console.figures.items()))
    if args.record and not (wrong or console.bugs):
        args.record.write_text("".join(f"{n} {console.results[n]['result']}\n" for n in sorted(plan)))
    elif args.record:
        sys.exit(f"{args.name}: nothing recorded: {(console.bugs + [wrong])[0]}; the console is in {log_path}")
    elif counts["fail"] or not verdicts:
        sys.exit(f"{args.name}: the console is in {log_path}")


if __name__ == "__main__":
    main()
