#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Break a converted kernel in known ways, build it, boot it, and see the named test fail.

Each block of the lists is one way: what is broken (Name, File, Replace, By, as in cocci/sabotage.list), which
kernel of the lab to build (Kernel, default debug), on which machine to boot it (Machine, default the first),
with which kernel arguments (Args) and which test as in a plan (Run), and a regular expression that the console
must then match (Says).  "Run: build" is for what must not even build: Says is then about the end of the build's
log.  The tree is put back as it was, unless this is killed: remove it then, and 'make apply' makes it anew.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
from testlib import Ktap, read_sabotages, sabotaged  # noqa: E402


def make(args, target, *variables):
    # a make of its own, not a part of the one that has called this
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", "--no-print-directory", f"-j{os.cpu_count()}", "-C", HERE, f"BUILD={args.build}",
                           f"BASE={args.base}", f"ARCHES={args.arch}", f"{args.arch}/{target}", *variables],
                          capture_output=True, text=True, check=False, env=env)
    return done.returncode, done.stdout + done.stderr


def run(args, sabotage):
    """What is wrong, if anything is: a list of lines."""
    source = pathlib.Path(args.tree, sabotage["File"])
    text = source.read_text(encoding="utf-8")
    kernel, machine = sabotage.get("Kernel", "debug"), sabotage.get("Machine", args.machine)
    plan = pathlib.Path(args.build, "sabotage.plan")
    plan.write_text(f"sabotaged 900 pass {sabotage['Run']}\n", encoding="utf-8")
    try:
        source.write_text(sabotaged(text, sabotage), encoding="utf-8")
        failed, output = make(args, f"ours-{kernel}")
        if sabotage["Run"] == "build":
            return [] if failed and re.search(sabotage["Says"], output) else [
                f"the kernel builds, or for another reason does not:\n{output[-2000:]}"]
        if failed:
            return [f"the kernel does not build:\n{output[-2000:]}"]
        failed, output = make(args, "boot-plan", f"MACHINE={machine}", f"KERNEL={kernel}", f"PLAN={plan}",
                              f"KERNEL_ARGS=panic_on_warn=1 {sabotage.get('Args', 'kunit.enable=0')}")
        console = pathlib.Path(args.build, f"log/kernel-{args.arch}-{machine}-sabotage.console")
        log = console.read_text(encoding="utf-8", errors="replace")
        if not failed:
            return ["nothing failed"]
        if not re.search(sabotage["Says"], log):
            return [f"the console does not say {sabotage['Says']}, but:", output[-1500:]]
        return []
    except ValueError as error:
        return [error]
    finally:
        source.write_text(text, encoding="utf-8")


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--tree", required=True, help="the converted kernel tree")
    parser.add_argument("--machine", required=True, help="where to boot if a sabotage does not say")
    parser.add_argument("--only", default="", help="a regular expression: those whose names it matches")
    parser.add_argument("lists", nargs="+", type=pathlib.Path)
    args = parser.parse_args()

    ktap = Ktap()
    for sabotage in [way for path in args.lists for way in read_sabotages(path)]:
        if re.search(args.only, sabotage["Name"]):
            started = time.monotonic()
            problems = run(args, sabotage)
            ktap.result(f"{sabotage['Name']}: {sabotage['Run']} # {time.monotonic() - started:.0f} s", problems)
    if not ktap.count:
        sys.exit(f"no sabotage's name matches {args.only}; the names are in {', '.join(map(str, args.lists))}")
    ktap.finish()


if __name__ == "__main__":
    main()
