#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Check how init runs a plan on a machine that is up, on this one: all but what it wants of the kernel."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

LAB = Path(__file__).resolve().parent
sys.path.insert(0, str(LAB.parent))
# pylint: disable=wrong-import-position
from testlib import Ktap  # noqa: E402

PROGRAMS = {
    "good": "sleep 1000 & echo started; exit 0",
    "bad": "exit 3",
    "skips": "exit 4",
    "hangs": "trap '' TERM; while :; do sleep 1; done",
    "setting": "cat {setting}",
}
# plan: status, and the lines with a result or what is amiss
PLANS = {
    "good 60 pass good\nskips 60 pass skips\nbad 60 fail bad": (0, ["ok 1 good", "ok 2 skips # SKIP", "ok 3 bad"]),
    "good 60 pass good\nbad 60 pass bad": (1, ["ok 1 good", "not ok 2 bad # exit code 3"]),
    "good 60 fail good": (1, ["not ok 1 good # passed, but should fail"]),
    "hangs 1 pass hangs": (1, ["not ok 1 hangs # timeout"]),
    "good 60 pass good -s /dev/no-such-disk\ngood 60 pass good":
        (0, ["ok 1 good # SKIP no /dev/no-such-disk that nobody uses", "ok 2 good"]),
    "skips 60 pass skips": (1, ["ok 1 skips # SKIP"]),
    "good 60 pass good\ngood 60 what": (1, ["ok 1 good", "Bail out! bad line in the plan: good 60"]),
    "setting 60 pass setting": (0, ["# setting: 16", "ok 1 setting"]),
}


def build(top):
    """The program, for any kernel, and with a file of ours where it would change the machine."""
    source = (LAB / "init.c").read_text(encoding="utf-8")
    for old, new in (("\tif (hosted)\n\t\tneed_ours();\n", "\t(void)need_ours;\n"),
                     ("/proc/sys/vm/nr_hugepages", str(top / "setting")),
                     ("/proc/sys/vm/overcommit_memory", str(top / "high")),
                     ('\twrite_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");\n', "")):
        if source.count(old) != 1:
            sys.exit(f"init.c: {source.count(old)} times {old!r}, not once")
        source = source.replace(old, new)
    (top / "tests").mkdir(parents=True, exist_ok=True)
    (top / "run.c").write_text(source, encoding="utf-8")
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-static", "-o", top / "run", top / "run.c"], check=True)
    for name, text in PROGRAMS.items():
        (top / "tests" / name).write_text("#!/bin/sh\n" + text.format(setting=top / "setting") + "\n", encoding="utf-8")
        (top / "tests" / name).chmod(0o755)


def settings(top):
    return [(top / name).read_text(encoding="utf-8").strip() for name in ("setting", "high")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=Path)
    top = parser.parse_args().build.resolve() / "check-init"
    build(top)
    ktap = Ktap(len(PLANS) + 3)
    (top / "setting").write_text("2\n", encoding="utf-8")
    (top / "high").write_text("7\n", encoding="utf-8")
    allowed = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "-p", "-f", "true"], stderr=subprocess.DEVNULL,
                                                  check=False).returncode == 0
    for number, (plan, (status, lines)) in enumerate(PLANS.items(), 1):
        name = f"init-plan-{number}"
        if not allowed:
            ktap.line("skip", name, "namespaces need root")
            continue
        (top / "plan").write_text(plan + "\n", encoding="utf-8")
        done = subprocess.run([top / "run"], stdout=subprocess.PIPE, text=True, check=False)
        found = [line for line in done.stdout.splitlines() if re.match(r"(not )?ok |Bail out|# setting: \d", line)]
        problems = [] if (done.returncode, found) == (status, lines) else [f"status {done.returncode}: {found}"]
        ktap.result(name, problems + ([] if settings(top) == ["2", "7"] else [f"leaves {settings(top)}"]))
    if allowed:
        (top / "plan").write_text("hangs 600 pass hangs\n", encoding="utf-8")
        with subprocess.Popen([top / "run"], stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout:
                if "starts" in line:
                    break
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            try:
                child.communicate(timeout=60)   # until all that could write is gone
            except subprocess.TimeoutExpired:
                child.kill()
        ktap.result("init-interrupted", [] if (child.returncode, settings(top)) == (1, ["2", "7"]) else
                    [f"status {child.returncode}, leaves {settings(top)}"])
    else:
        ktap.line("skip", "init-interrupted", "namespaces need root")
    for name, words in (("init-two-plans", ["a", "b"]), ("init-no-such-plan", ["no-such-plan"])):
        done = subprocess.run([top / "run", *words], capture_output=True, text=True, check=False)
        ktap.result(name, [] if done.returncode == 2 and not done.stdout and done.stderr.count("\n") == 1
                    else [f"status {done.returncode}: {done.stdout + done.stderr}"])
    ktap.finish()


if __name__ == "__main__":
    main()
