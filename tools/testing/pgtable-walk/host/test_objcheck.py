#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Test objcheck.py on objects that it must pass, and on those in which it must find something.

The objects are those of this directory's Makefile; OLD and YOUNG the bounds for the good one.
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
from testlib import Ktap  # noqa: E402


def main():
    build, old, young = sys.argv[1:]
    good, slow, stalls = (f"{build}/{name}.o" for name in ("plain/gstage_age", "plain/objcheck_slow",
                                                           "asan/gstage_age"))
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
        done = subprocess.run([HERE.parent / "objcheck.py", *options, obj, function], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        failed = re.findall(r"^not ok \d+ (\w+)", done.stdout, re.M)
        ktap.result(f"objcheck: {title}", [] if failed == expected and done.returncode == bool(expected)
                    else [f"failed: {failed} instead of {expected}", done.stdout])
    ktap.finish()


if __name__ == "__main__":
    main()
