#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write LAVA jobs for a farm kernel of the lab: one for QEMU, one for a board.

The initramfs has no shell.  LAVA only reads the console: results of the kernel's unit tests and of init are test
cases, and so is a warning or a panic of the kernel, which fails.
"""

import argparse
import json
import re
import shlex
import sys
from pathlib import Path

STAMP = r"\[ *\d+\.\d+\] "
# The result of a skipped test is what its comment says. Unit tests are one level down. LAVA reads
# what has come so far, so a line counts when it has ended.
MONITOR = {
    "name": "pgtable-walk",
    "start": "KTAP version 1",
    "end": STAMP + r"# Totals: pass:\d+ fail:\d+ skip:\d+[\r\n]",
    "pattern": STAMP + r"(?:    )?(?=(?:(?:not )?ok \d+ (?:- )?)?(?P<test_case_id>[^\s#]+)[^\r\n]*[\r\n])"
               r"(?:ok \d+ [^\r\n#]*# (?=SKIP))?(?P<result>SKIP|not ok(?= \d)|ok(?= \d)|WARNING(?=:)|BUG(?=:)|Kernel panic)"
               r"[^\r\n]*[\r\n]",
    "fixupdict": {"ok": "pass", "not ok": "fail", "SKIP": "skip", "WARNING": "fail", "BUG": "fail",
                  "Kernel panic": "fail"},
}
BOOT_MINUTES = 10


def yaml(value, indent=""):
    """The lines of a value of dictionaries, lists and scalars."""
    if isinstance(value, dict):
        items = [(f"{key if key.replace('_', '').isalnum() else json.dumps(key)}:", item) for key, item in value.items()]
    elif isinstance(value, list):
        items = [("-", item) for item in value]
    else:
        raise TypeError(value)
    for head, item in items:
        if isinstance(item, (dict, list)):
            yield indent + head
            yield from yaml(item, indent + "  ")
        else:
            yield f"{indent}{head} {json.dumps(item)}"


def qemu_options(command):
    """What LAVA's device type of QEMU has names for, and all other options."""
    named, extra = {}, []
    words = iter(command[1:])
    for word in words:
        if word in ("-M", "-cpu", "-m"):
            named[{"-M": "machine", "-cpu": "cpu", "-m": "memory"}[word]] = next(words)
        elif word in ("-serial", "-dtb"):       # LAVA's own, and a file of the job
            next(words)
        elif word not in ("-nographic", "-nodefaults"):
            extra.append(word)
    if command[0].endswith("x86_64"):   # for which the device type takes these from nobody
        extra += ["-M", named.pop("machine"), "-cpu", named.pop("cpu")]
    return {**named, "extra_options": extra}


def plan_minutes(path):
    """The limits of the tests in a plan, together."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return sum(int(words[1]) for words in lines if words and words[0][0] != "#" and words[0] != "write") // 60 + 1


def job(args, name, minutes, device, actions):
    total = minutes + 3 * BOOT_MINUTES
    deploy, boot = actions
    return {
        "job_name": f"pgtable-walk: Linux {args.base}, {args.arch}, {name}",
        **device,
        "timeouts": {"job": {"minutes": total}, "action": {"minutes": BOOT_MINUTES},
                     "connection": {"minutes": BOOT_MINUTES}},
        "priority": "medium",
        "visibility": "public",
        "actions": [
            {"deploy": {"timeout": {"minutes": BOOT_MINUTES}, **deploy}},
            {"boot": {"timeout": {"minutes": BOOT_MINUTES}, **boot}},
            {"test": {"timeout": {"minutes": minutes + BOOT_MINUTES}, "monitors": [MONITOR]}},
        ],
    }


def qemu_job(args, minutes):
    images = {"kernel": {"image_arg": f'-kernel {{kernel}} -append "{args.append}"', "url": f"{args.url}/{args.kernel}"},
              "ramdisk": {"image_arg": "-initrd {ramdisk}", "url": f"{args.url}/{args.ramdisk}"}}
    if args.qemu_dtb:
        images["dtb"] = {"image_arg": "-dtb {dtb}", "url": f"{args.url}/{args.qemu_dtb}"}
    # The worker's KVM does not help: what is tested is KVM inside of the emulated machine.
    context = {"arch": args.qemu[0].rpartition("-")[2], "no_kvm": True, **qemu_options(args.qemu)}
    return job(args, "QEMU", minutes, {"device_type": "qemu", "context": context},
               ({"to": "tmpfs", "images": images}, {"method": "qemu", "media": "tmpfs"}))


def board_job(args, minutes):
    files = {"kernel": {"url": f"{args.url}/{args.kernel}", "type": "image"},
             "ramdisk": {"url": f"{args.url}/{args.ramdisk}", "compression": "gz"}}
    if args.board_dtb:
        files["dtb"] = {"url": f"{args.url}/{args.board_dtb}"}
    # The console is known to the device type.
    words = " ".join(word for word in args.append.split() if not word.startswith(("console=", "earlycon")))
    return job(args, args.board, minutes, {"device_type": args.board, "context": {"extra_kernel_args": words}},
               ({"to": "tftp", **files}, {"method": args.boot, "commands": "ramdisk"}))


def url(text):
    """Of a directory, without a / at the end. It ends up in shells and in lists of LAVA."""
    if not re.fullmatch(r"(https?|file)://[\w./:%~+@=,^-]+", text):
        sys.exit(f"URL='{text}': not the http:, https: or file: URL of a directory")
    return text.rstrip("/")


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--base", required=True, help="version of the kernel")
    parser.add_argument("--plan", required=True, type=Path, help="which init runs")
    parser.add_argument("--url", required=True, type=url, help="of the directory where LAVA finds the files")
    parser.add_argument("--kernel", required=True, help="its file there")
    parser.add_argument("--ramdisk", required=True, help="its file there")
    parser.add_argument("--append", required=True, help="arguments of the kernel")
    parser.add_argument("--qemu", required=True, type=shlex.split, help="command of QEMU, as the lab uses it")
    parser.add_argument("--qemu-dtb", help="file of the device tree, if it is not QEMU's own")
    parser.add_argument("--board", required=True, help="LAVA's name of the board")
    parser.add_argument("--board-dtb", help="file of its device tree, if its firmware has none")
    parser.add_argument("--boot", required=True, help="LAVA's name for its firmware")
    parser.add_argument("out", type=Path, help="directory of the jobs")
    args = parser.parse_args()
    minutes = plan_minutes(args.plan)
    for name, text in (("qemu", qemu_job(args, minutes)), (args.board, board_job(args, minutes))):
        path = args.out / f"{name}.yaml"
        try:
            path.write_text("\n".join(yaml(text)) + "\n", encoding="utf-8")
        except OSError as error:
            sys.exit(f"lava-jobs.py: {path}: {error.strerror}")


if __name__ == "__main__":
    main()
