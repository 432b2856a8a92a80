#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measure what aging costs, stock beside ours, in instructions.

Boots the kernels of the lab by turns, on a machine whose clock counts instructions, and writes
BUILD/bench/ARCH.json, plots, and a report.  Prints a table and, last, a line for each target.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import figures
import report
import static
from testlib import lab_word, regex     # static.py adds its path

LINE = re.compile(r"# (\S+): BENCH (\{.*\})\s*$")
CASE_SECONDS = 3600     # of the guest's clock


def write_plan(path, cases):
    path.write_text("".join(f"{name}\t{CASE_SECONDS}\tpass\t{command}\n"
                            for name, command in cases.items()))
    return path


def boot(args, arch, tree, plan, *more):
    """One boot; returns the lines of it."""
    command = [*args.lab.split(), f"ARCHES={arch}", f"{arch}/bench-boot", f"TREE={tree}", f"PLAN={plan}", *more]
    # Not as a part of the make that runs this.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    if subprocess.run(command, env=env, check=False).returncode:
        sys.exit(f"bench: the boot of {arch}'s {tree} kernel failed")
    logs = list((args.build / "log").glob(f"kernel-{arch}-*-bench-{tree}.console"))
    text = max(logs, key=lambda path: path.stat().st_mtime).read_text(errors="replace")
    return [(match[1], json.loads(match[2])) for match in map(LINE.search, text.splitlines()) if match]


def measure(args, arch):
    directory = args.build / "bench"
    plans = [write_plan(directory / f"{arch}-{number}.plan",
                        {name: command for name, command in cases.items() if args.only.search(name) or
                         name == "clock"})
             for number, cases in enumerate(({**figures.CASES, **figures.ONCE}, figures.CASES))]
    contention = write_plan(directory / f"{arch}-contention.plan", figures.CONTENTION)
    fig = figures.Figures()
    lines = []
    started = time.monotonic()

    def say(what):
        print(f"== {arch}: {what}, after {time.monotonic() - started:.0f} s", flush=True)

    say("what needs no boot")
    kernels = {tree: args.build / arch / f"{tree}-plain" for tree in ("stock", "ours")}
    fig.loops = static.loops(args.loops)
    fig.text = {tree: static.text_bytes(arch, kernel) for tree, kernel in kernels.items()}
    fig.frames = static.changed_frames(arch, kernels["stock"], kernels["ours"])
    for number in range(1, args.rounds + 1):
        for tree in kernels:
            say(f"{tree}, round {number} of {args.rounds}")
            new = boot(args, arch, tree, plans[min(number - 1, 1)])
            fig.add_boot(new)
            lines += [dict(line, case=case, round=number) for case, line in new]
            if number < args.rounds or not args.only.search("contend"):
                continue
            say(f"{tree}, contention")
            new = boot(args, arch, tree, contention, "CONTEND=1")
            fig.add_contention(new)
            lines += [dict(line, case=case) for case, line in new]
    return fig, lines


def print_tables(arch, fig):
    tables = [table[1:] for table in figures.tables(fig)]
    if scale := figures.scale_table(fig):
        tables.append(scale)
    for title, head, rows in (*tables, *figures.static_tables(fig), *figures.contention_tables(fig)):
        print(f"\n{arch}: {title}")
        for row in (head, *rows):
            print(f"{row[0]:50}" + "".join(f"{cell:>22}" for cell in row[1:]))


def first_line(*command):
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return lines[0] if lines else "?"


def machine(args):
    """What the figures depend on, other than the tree."""
    yield "base", f"Linux {args.base}"
    for arch in args.arches.split():
        yield f"compiler, {arch}", first_line(static.tool(arch, "gcc"), "--version")
        yield f"emulator, {arch}", first_line(lab_word(arch, r"\w+_QEMU"), "--version")
    yield "repository", first_line("git", "log", "-1", "--format=%h, %cs")
    yield "date", time.strftime("%Y-%m-%d")
    yield "command", f'make bench ARCHES="{args.arches}"' + (f" ONLY='{args.only.pattern}'" if args.only.pattern else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arches", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--lab", required=True, help="the command that makes a target of the lab")
    parser.add_argument("--loops", required=True, type=pathlib.Path, help="the benchmark of the library's loop")
    parser.add_argument("--only", type=regex, default="", metavar="REGEX", help="cases to measure: " + ", ".join(
        [*figures.CASES, *figures.ONCE, *figures.CONTENTION]))
    parser.add_argument("--rounds", type=int, default=2, help="boots of each kernel")
    args = parser.parse_args()

    args.build = args.build.resolve()
    directory = args.build / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    results = {}
    for arch in args.arches.split():
        fig, lines = measure(args, arch)
        results[arch] = fig
        (directory / f"{arch}.json").write_text(json.dumps({
            "arch": arch,
            "unit": "instructions a page",
            "figures": [{"case": c, "mode": m, "state": s, "median": round(fig.get(c, m, s), 2),
                         "samples": [round(x, 2) for x in samples]} for (c, m, s), samples in fig.samples.items()],
            "targets": [{"name": n, "value": round(v, 3), "goal": g, "met": met}
                        for n, v, g, met in figures.targets(fig)],
            "loops": fig.loops,
            "text": fig.text,
            "frames": fig.frames,
            "lines": lines,
        }, indent=1) + "\n")
        for name, picture in report.plots(arch, fig).items():
            (directory / f"{name}.svg").write_text(picture)
    (directory / "report.html").write_text(report.page(results, list(machine(args))))

    for arch, fig in results.items():
        print_tables(arch, fig)
    print(f"\nreport: {directory / 'report.html'}\n")
    for arch, fig in results.items():
        for name, value, goal, met in figures.targets(fig):
            print(f"TARGET {arch}/{name} {value:.2f} {goal} {'met' if met else 'missed'}")


if __name__ == "__main__":
    main()
