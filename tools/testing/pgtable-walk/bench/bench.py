#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measure what aging costs, stock beside ours, in instructions.

Boots the kernels of the lab by turns, on a machine that counts instructions, and writes
BUILD/bench/ARCH.json, plots, and a report.  Prints tables and, last, a line for each target.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import figures
import places
import report
import simulate
import static
from testlib import lab_word, regex     # static.py adds its path

LINE = re.compile(r"# (\S+): BENCH (\{.*\})\s*$")
CASE_SECONDS = 3600     # of the guest's clock


def write_plan(path, cases):
    path.write_text("".join(f"{name}\t{CASE_SECONDS}\tpass\t{command}\n"
                            for name, command in cases.items()))
    return path


def boot(args, arch, tree, plan, *more):
    """One boot; returns the lines of it, each with what was counted."""
    counts = plan.with_suffix(f".{tree}.counts")
    plugin = f"{args.build}/{arch}/count.so,sites={args.build}/bench/{arch}-{tree}.places,out={counts}"
    command = [*args.lab.split(), f"ARCHES={arch}", f"{arch}/bench-boot", f"TREE={tree}", f"PLAN={plan}",
               f"PLUGIN={plugin}", *more]
    # Not as a part of the make that runs this.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    # KTAP of two boots at a time is for the log.
    output = plan.with_suffix(f".{tree}.log")
    with output.open("w") as log:
        if subprocess.run(command, env=env, check=False, stdout=log, stderr=log).returncode:
            raise RuntimeError(f"the boot of {arch}'s kernel '{tree}' failed, see {output}")
    logs = list((args.build / "log").glob(f"kernel-{arch}-*-bench-{tree}.console"))
    text = max(logs, key=lambda path: path.stat().st_mtime).read_text(errors="replace")
    lines = [(match[1], json.loads(match[2])) for match in map(LINE.search, text.splitlines()) if match]
    counted = [json.loads(line) for line in counts.read_text().splitlines()]
    if not lines or len(lines) != len(counted):
        raise RuntimeError(f"{len(lines)} lines of {arch}'s kernel '{tree}', but counts for {len(counted)}")
    return [(case, {**line, **counts}) for (case, line), counts in zip(lines, counted)]


def boot_both(args, arch, plan):
    """Both kernels at once: nothing that is counted depends on what else the machine does."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        yield from pool.map(lambda tree: boot(args, arch, tree, plan), ("stock", "ours"))


def say(arch, what, started=time.monotonic()):
    print(f"== {arch}: {what}, after {time.monotonic() - started:.0f} s", flush=True)


def trees(args, arch):
    """Kernel -> its directory, with places to count at."""
    found = {tree: args.build / arch / f"{tree}-plain" for tree in ("stock", "ours")}
    for tree, kernel in found.items():
        path = args.build / "bench" / f"{arch}-{tree}.places"
        made_of = (kernel / "vmlinux", pathlib.Path(places.__file__))
        if not path.exists() or path.stat().st_mtime < max(part.stat().st_mtime for part in made_of):
            places.write(arch, kernel, path)
    return found


def measure(args, arch):
    directory = args.build / "bench"
    wanted = {name: command for name, command in figures.CASES.items() if args.only.search(name)}
    contention = write_plan(directory / f"{arch}-contention.plan", figures.CONTENTION)
    fig = figures.Figures()
    lines = []

    say(arch, "what needs no boot")
    kernels = trees(args, arch)
    fig.loops = static.loops(args.loops)
    fig.text = {tree: static.text_bytes(arch, kernel) for tree, kernel in kernels.items()}
    fig.frames = static.changed_frames(arch, kernels["stock"], kernels["ours"])
    for number in range(1, args.rounds + 1):
        if cases := {name: command for name, command in wanted.items() if number == 1 or name not in figures.ONCE}:
            say(arch, f"round {number} of {args.rounds}: {', '.join(cases)}")
            for new in boot_both(args, arch, write_plan(directory / f"{arch}-{number}.plan", cases)):
                fig.add_boot(new)
                lines += [dict(line, case=case, round=number) for case, line in new]
    if args.only.search("contend"):
        for tree in kernels:
            say(arch, f"contention, kernel '{tree}'")
            new = boot(args, arch, tree, contention, "CONTEND=1")
            fig.add_contention(new)
            lines += [dict(line, case=case) for case, line in new]
    return fig, lines


def demo(args, arch):
    """A boot of each kernel, a screen and a picture."""
    plan = write_plan(args.build / "bench" / f"{arch}-demo.plan", figures.DEMO)
    fig = figures.Figures()
    trees(args, arch)
    say(arch, "boot both kernels, and age a guest on each")
    for new in boot_both(args, arch, plan):
        fig.add_boot(new)
    head, rows = figures.demo_table(fig)
    stem = args.build / f"demo-{arch}"
    words = "\n".join([f"{arch}: {head[0]}", "", format_row(("", *head[1:])), *map(format_row, rows), "",
                       f"the picture: {stem}.svg"])
    stem.with_suffix(".txt").write_text(words + "\n")
    stem.with_suffix(".json").write_text(json.dumps([dict(zip(("what", "stock", "ours"), row)) for row in rows],
                                                    indent=1) + "\n")
    stem.with_suffix(".svg").write_text(report.demo_plot(arch, fig))
    print(words)


def format_row(row):
    return f"{row[0]:52}" + "".join(f"{cell:>24}" for cell in row[1:])


def print_tables(arch, fig):
    for title, head, rows in (*(table[1:] for table in figures.tables(fig)), *simulate.tables(arch, fig),
                              *figures.other_tables(fig), *figures.contention_tables(fig)):
        print(f"\n{arch}: {title}")
        for row in (head, *rows):
            print(format_row(row))


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
    parser.add_argument("--demo", action="store_true", help="one boot of each kernel, and one screen")
    parser.add_argument("--loops", type=pathlib.Path, help="the benchmark of the library's loop")
    parser.add_argument("--only", type=regex, default="", metavar="REGEX", help="cases to measure: " + ", ".join(
        [*figures.CASES, *figures.CONTENTION]))
    parser.add_argument("--rounds", type=int, default=2, help="boots of each kernel")
    args = parser.parse_args()
    names = [*figures.CASES, *figures.CONTENTION]
    if not any(map(args.only.search, names)):
        sys.exit(f"bench: ONLY='{args.only.pattern}' matches none of: {', '.join(names)}")

    args.build = args.build.resolve()
    directory = args.build / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        run(args, directory)
    except (RuntimeError, ValueError) as error:
        sys.exit(f"bench: {error}")


def run(args, directory):
    if args.demo:
        for arch in args.arches.split():
            demo(args, arch)
        return
    results = {}
    for arch in args.arches.split():
        fig, lines = measure(args, arch)
        results[arch] = fig
        (directory / f"{arch}.json").write_text(json.dumps({
            "arch": arch,
            "unit": "instructions a page, or a VM",
            "figures": [{"case": c, "mode": m, "state": s, "median": round(fig.get(c, m, s), 2),
                         "samples": [round(x, 2) for x in samples]} for (c, m, s), samples in fig.samples.items()],
            "targets": [{"name": n, "value": round(v, 3), "goal": g, "met": met}
                        for n, v, g, met in figures.targets(fig)],
            "loops": fig.loops,
            "text": fig.text,
            "frames": fig.frames,
            "lines": lines,
        }, indent=1) + "\n")
        # For a cover letter: what a pass takes.
        for _, title, head, rows in list(figures.tables(fig))[:1]:
            (directory / f"{arch}.txt").write_text("\n".join([f"{arch}: {title}", *map(format_row, (head, *rows))]) + "\n")
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
