#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Check LAVA jobs against LAVA's own schema, which Debian's package has, and what they read from a console."""

import argparse
import copy
import re
import subprocess
import sys
from pathlib import Path

LAB = Path(__file__).resolve().parent
sys.path.insert(0, str(LAB.parent))
# pylint: disable=wrong-import-position
from testlib import ROOT, Ktap  # noqa: E402

CONSOLE = """\
[    0.000000] Linux version 6.12.117
[    1.000001] KTAP version 1
[    1.000002] 1..2
[    1.000003]     KTAP version 1
[    1.000004]     # Subtest: suite
[    1.000005]     1..3
[    1.000006]     ok 1 case_good
[    1.000007]         ok 1 parameter of case_skipped
[    1.000008]     ok 2 case_skipped # SKIP not here
[    1.000009]     # case_bad: EXPECTATION FAILED at suite.c:1
[    1.000010]     not ok 3 case_bad
[    1.000011] # suite: pass:1 fail:1 skip:1 total:3
[    1.000012] # Totals: pass:1 fail:1 skip:1 total:3
[    1.000013] not ok 1 suite
[    2.000000] KTAP version 1
[    2.000001] 1..3
[    2.000002] # first: ok 1 of the test itself
[    2.000003] # first: # Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0
[    2.000004] ok 1 first
[    2.000005] ok 2 second-thp # SKIP
[   12.000006] WARNING: CPU: 0 PID: 1 at mm/vmscan.c:1 here
[   12.000007] not ok 3 x86/third # the kernel warned
[  112.000008] Kernel panic - not syncing: hung
[  112.000009] # Totals: pass:1 fail:1 skip:1
[  112.000010] ok 4 later
"""
CASES = ["case_good pass", "case_skipped skip", "case_bad fail", "suite fail", "first pass", "second-thp skip",
         "WARNING: fail", "x86/third fail", "Kernel fail"]


def read_like_lava(monitor, text):
    """The test cases that LAVA's monitor finds, with the console's text coming in by single characters."""
    start, end, pattern = (re.compile(monitor[name], re.S) for name in ("start", "end", "pattern"))
    found, seen, started = [], "", False
    for char in text.replace("\n", "\r\n"):
        seen += char
        if not started:
            if match := start.search(seen):
                started, seen = True, seen[match.end():]
            continue
        over, case = end.search(seen), pattern.search(seen)
        if over and not (case and case.start() < over.start()):
            return found
        if not case:
            continue
        found.append(f"{case['test_case_id']} {monitor['fixupdict'].get(case['result'])}")
        seen = seen[case.end():]
    return found + ["and no end"]


def check(job, validate, invalid, boards):
    """What is wrong with a job."""
    try:
        validate(job, strict=True)
    except invalid as error:
        yield f"LAVA's schema: {error}"
        return
    if job["device_type"] not in boards:
        yield f"LAVA has no device type '{job['device_type']}'"
    for action in job["actions"]:
        for monitor in action.get("test", {}).get("monitors", []):
            if (cases := read_like_lava(monitor, CONSOLE)) != CASES:
                yield f"reads {cases}, not {CASES}"


def broken(job):
    """Jobs that must not pass."""
    def changed(where, key, value):
        bad = copy.deepcopy(job)
        (where(bad) if where else bad)[key] = value
        return bad

    yield "an unknown word", changed(None, "board", "any")
    yield "no time limit", changed(None, "timeouts", {})
    yield "an unknown board", changed(None, "device_type", "no-such-board")
    yield "an action without files", changed(lambda bad: bad["actions"][0]["deploy"], "to", "nowhere")
    yield "an unknown result", changed(lambda bad: bad["actions"][2]["test"]["monitors"][0], "fixupdict", {"ok": "good"})
    yield "a pattern that takes half of a line", changed(
        lambda bad: bad["actions"][2]["test"]["monitors"][0], "pattern", r"(?P<result>ok) \d (?P<test_case_id>\w+)")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=Path, help="LAVA's schema is kept below it")
    parser.add_argument("jobs", nargs="+", type=Path)
    args = parser.parse_args()
    ktap = Ktap(len(args.jobs))
    lava = args.build / "lava-schema"
    done = subprocess.run([ROOT / "scripts/pgtable-walk/fetch-lava", lava], stderr=subprocess.PIPE, text=True, check=False)
    sys.path.insert(0, str(lava.resolve()))
    try:
        import yaml
        from lava_common.schemas import validate
        from voluptuous import Invalid
    except ImportError as error:
        why = done.stderr.strip().splitlines() or [str(error)]
        for path in args.jobs:
            ktap.line("skip", f"lava-{path.parent.name}-{path.stem}", f"no schema of LAVA: {why[-1]}")
        ktap.finish()
    boards = {path.stem for path in (lava / "device-types").iterdir()}
    for path in args.jobs:
        job = yaml.safe_load(path.read_text(encoding="utf-8"))
        problems = list(check(job, validate, Invalid, boards))
        if not problems:
            problems = [f"{what} passes" for what, bad in broken(job) if not list(check(bad, validate, Invalid, boards))]
        ktap.result(f"lava-{path.parent.name}-{path.stem}", problems)
    ktap.finish()


if __name__ == "__main__":
    main()
