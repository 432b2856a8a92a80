#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Test objcheck.py on an object that it must pass, and on some in which it must find something.

They are those of this directory's Makefile, below BUILD.
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
from testlib import Ktap  # noqa: E402


def objcheck(*args):
    return subprocess.run([HERE.parent / "objcheck.py", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def main():
    good, slow, stalls = (f"{sys.argv[1]}/{name}.o" for name in ("plain/gstage_age", "plain/objcheck_slow",
                                                                 "asan/gstage_age"))
    # What this compiler needs is just good enough.
    old, young = re.findall(r" # (\S+)$", objcheck("--leaf", "0", "0", good, "gstage_age").stdout, re.M)
    # what is tested, options, object and function, what must fail
    cases = (
        ("good loops", ("--leaf", old, young), good, "gstage_age", []),
        ("each bound counts", ("--leaf", "1", young), good, "gstage_age", ["gstage_age_old"]),
        ("slow loops", ("--leaf", old, young), slow, "gstage_age", ["gstage_age_old", "gstage_age_young"]),
        ("calls in loops", (), stalls, "gstage_age", ["gstage_age"]),
        ("no such function", ("--leaf", old, young), good, "gstage_aged",
         ["gstage_aged", "gstage_aged_old", "gstage_aged_young"]),
        ("no loop", ("--leaf", old, young), good, "kvm_arch_age",
         ["kvm_arch_age", "kvm_arch_age_old", "kvm_arch_age_young"]),
    )
    ktap = Ktap(len(cases))
    for title, options, obj, function, expected in cases:
        done = objcheck(*options, obj, function)
        failed = re.findall(r"^not ok \d+ (\w+)", done.stdout, re.M)
        ktap.result(f"objcheck: {title}", [] if failed == expected and done.returncode == bool(expected)
                    else [f"failed: {failed} instead of {expected}", done.stdout])
    ktap.finish()


if __name__ == "__main__":
    main()
