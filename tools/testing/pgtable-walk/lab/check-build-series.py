#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Check build-series.py with series of a few lines on a tree that is no kernel: whether it finds the commit."""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

LAB = Path(__file__).resolve().parent
sys.path.insert(0, str(LAB.parent))
# pylint: disable=wrong-import-position
from testlib import Ktap  # noqa: E402

MAKEFILE = """\
allnoconfig:
	cp $(KCONFIG_ALLCONFIG) $(O)/.config
FORCE:
%/: FORCE
	mkdir -p $(O)/$@
	for c in $@*.c; do grep -q "SKIP-$(ARCH)" $$c || gcc -Wall $(KCFLAGS) -Iinclude -c -o $(O)/$${c%.c}.o $$c || exit; done
"""
FILES = {
    "Makefile": MAKEFILE,
    "mm/Makefile": "",
    "mm/first.c": "int first(void) { return 0; }\n",
    "arch/one/kvm/Makefile": "",
    "arch/one/kvm/one.c": "int first(void);\nint one(void) { return first(); }\n",
    "arch/two/kvm/Makefile": "",
    "arch/two/kvm/two.c": "int two(void) { return 0; }\n",
}
HEADER = {"include/new.h": "int made(void);\n"}
MADE = {"mm/made.c": "#include <new.h>\nint made(void) { return 1; }\n"}
USER = {"arch/one/kvm/one.c": "#include <new.h>\nint one(void) { return made(); }\n"}
OTHER = {"arch/two/kvm/two.c": "#include <new.h>\nint two(void) { return made(); }\n"}
UNUSED = {"mm/first.c": "static int idle(void) { return 1; }\nint first(void) { return 0; }\n"}
DOCS = {"Documentation/new.rst": "Text\n"}
# series: results that fail
SERIES = {
    "in order": ([HEADER, MADE, USER, DOCS, OTHER, DOCS], []),
    "without its header": ([MADE, HEADER, USER, OTHER, DOCS, DOCS], ["series-01"]),
    "user before maker": ([HEADER, USER, MADE, OTHER, DOCS, DOCS], ["series-symbols-one-all"]),
    "another architecture too early, at one of three commits": ([DOCS, OTHER, HEADER, MADE, USER, DOCS], ["series-02"]),
    "another architecture, between those": ([DOCS, DOCS, OTHER, {**HEADER, **MADE}, USER, DOCS], []),
    "a warning": ([DOCS, UNUSED, HEADER, MADE, USER, OTHER], [f"series-{n:02}" for n in (2, 3, 4, 5, 6)]),
}


def write(top, files):
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text, encoding="utf-8")


def make_patches(top, commits):
    """The patches of those commits, for a stock tree."""
    # Not out: what one run leaves there must not pass for the next one's.
    for name in ("new", "src", "patches", "a", "b"):
        shutil.rmtree(top / name, ignore_errors=True)
    write(top / "new", FILES)
    shutil.copytree(top / "new", top / "src")
    (top / "patches").mkdir()
    write(top / "patches", {"0000-cover-letter.patch": "Subject: [PATCH 0/6] cover\n"})
    for number, files in enumerate(commits, 1):
        shutil.rmtree(top / "a", ignore_errors=True)
        shutil.copytree(top / "new", top / "a")
        write(top / "new", {name: text + (f"{number}\n" if files is DOCS else "") for name, text in files.items()})
        shutil.rmtree(top / "b", ignore_errors=True)
        shutil.copytree(top / "new", top / "b")
        done = subprocess.run(["diff", "-urN", "a", "b"], cwd=top, stdout=subprocess.PIPE, text=True, check=False)
        text = re.sub(r"^(\+\+\+|---) (\S+).*", r"\1 \2", done.stdout, flags=re.M)
        write(top / "patches", {f"{number:04}-one.patch": f"Subject: [PATCH {number}/6] number {number}\n\n{text}"})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=Path)
    top = parser.parse_args().build.resolve() / "check-build-series"
    ktap = Ktap(len(SERIES))
    for name, (commits, expected) in SERIES.items():
        make_patches(top, commits)
        (top / "config").write_text("CONFIG_ANY=y\n", encoding="utf-8")
        done = subprocess.run(
            [LAB / "build-series.py", "--tree", top / "src", "--patches", top / "patches", "--build", top / "out",
             "--log", top / "log", "--every", "one", "--jobs", "1", "--make", "one", "ARCH=one", "--make", "two", "ARCH=two",
             "--config", "one-all", top / "config", "--config", "two-all", top / "config"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        failed = re.findall(r"^not ok \d+ (\S+)", done.stdout, re.M)
        bad = failed != expected or bool(done.returncode) != bool(expected) or done.stdout.count("\nok ") < 4
        ktap.result(f"build-series-{re.sub('[ ,]+', '-', name)}", [done.stdout] if bad else [])
    ktap.finish()


if __name__ == "__main__":
    main()
