#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Show that an object of the converted tree has the very instructions that it has in the stock tree.

Speaks KTAP, one test for each object.  Tables of line numbers and the like may differ.
"""
import argparse
import difflib
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
# pylint: disable=wrong-import-position
from testlib import Ktap  # noqa: E402


def disassemble(objdump, obj):
    """All instructions with their relocations, and where they stand."""
    text = subprocess.run([objdump, "-dr", "--no-show-raw-insn", obj], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return [line for line in text.splitlines() if "file format" not in line]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objdump", default="objdump", help="of the objects' architecture")
    parser.add_argument("ours", help="directory of the converted tree's build")
    parser.add_argument("stock", help="directory of the stock tree's build")
    parser.add_argument("object", nargs="+", help="path of an object in both")
    args = parser.parse_args()

    ktap = Ktap(len(args.object))
    for name in args.object:
        ours, stock = (disassemble(args.objdump, f"{tree}/{name}") for tree in (args.ours, args.stock))
        different = list(difflib.unified_diff(stock, ours, "stock", "ours", lineterm="", n=0))[:20]
        if len(ours) <= 1:
            different = ["no code"]
        ktap.result(f"{name} in {args.ours}: {len(stock)} lines of stock's code", different)
    ktap.finish()


if __name__ == "__main__":
    main()
