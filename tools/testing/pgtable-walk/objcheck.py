#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Show from the object code that functions call nothing, neither directly nor indirectly.

The loops of lockless walkers are functions of their own for this: whatever is called from
the loop, a callback above all, would be a call in the function. So is a tail call, that is
a jump out of the function, and a jump to an address in a register unless it returns.
Speaks KTAP, one test for each pattern; a pattern that no function matches fails.
"""
import argparse
import collections
import fnmatch
import re
import subprocess
import sys

from testlib import Ktap

# What an instruction is, by its mnemonic or as a whole: a call, a jump to an address that is not
# in the instruction, a jump or branch whose target may lie outside of the function, a return.
# By the name that objdump has for the architecture.
Machine = collections.namedtuple("Machine", "calls indirect branches returns")
MACHINES = {
    "riscv": Machine(r"c\.jalr|jalr|jal|call|tail", r"(?:c\.)?jr\s.*|jalr\s.*", r"(?:c\.)?(?:j|b[a-z]+)",
                     r"ret|(?:c\.)?jr\s+ra"),
    "x86-64": Machine(r"callq?|lcall|syscall", r"jmpq?\s+\*.*|notrack jmpq?\s.*", r"j[a-z]+",
                      r"(?:repz\s+)?retq?.*"),
    "aarch64": Machine(r"bl|blr[a-z]*", r"br(?:a[ab]z?)?\s.*", r"b(?:\.[a-z]+)?|cbn?z|tbn?z", r"ret[a-z]*.*"),
}
# relocations of branches within a section, which riscv has for linker relaxation
LOCAL_RELOCATION = re.compile(r"R_RISCV_(?:RVC_)?(?:BRANCH|JUMP|JAL|ALIGN|RELAX)\b")

# in the relocation of something that looks like a call and is none
NO_CALLS = re.compile(r"\b(?:__x86_return_thunk|__fentry__)\b")


def disassemble(objdump, obj):
    """Returns (machine, {function: [(address, instruction, [relocation])]})."""
    try:
        text = subprocess.run([objdump, "-dr", "--no-show-raw-insn", obj], check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    except FileNotFoundError:
        sys.exit(f"objcheck.py: no {objdump}: name one that knows this object with --objdump")
    except subprocess.CalledProcessError as error:
        sys.exit(f"objcheck.py: {error.stderr.strip()}")

    found = re.search(r"file format \S*?(" + "|".join(MACHINES) + ")", text)
    if not found:
        sys.exit(f"objcheck.py: {obj}: not an object of " + ", ".join(MACHINES))

    functions, body = {}, []
    for line in text.splitlines():
        if match := re.match(r"^[0-9a-f]+ <(.+)>:$", line):
            # riscv objects have labels in the middle of functions
            if not match[1].startswith(".L"):
                body = functions.setdefault(match[1], [])
        elif match := re.match(r"^\s+([0-9a-f]+): (R_\w+)\s*(.*)$", line.replace("\t", " ")):
            if body:
                body[-1][2].append(f"{match[2]} {match[3]}")
        elif match := re.match(r"^\s+([0-9a-f]+):\s+(.+?)\s*$", line):
            body.append((int(match[1], 16), re.sub(r"\s+", " ", match[2]), []))
    return found[1], functions


def leaves(machine, body, instruction, relocations):
    """Why this instruction leaves the function, or None."""
    # "#" is a comment on riscv and x86-64, and an immediate on aarch64
    text = re.sub(r"\s*(?://|<|;|#(?!\d)|# ).*", "", instruction).strip()
    mnemonic = text.split(" ")[0]

    if re.fullmatch(MACHINES[machine].returns, text) or any(NO_CALLS.search(r) for r in relocations):
        return None
    # The first of two instructions, which together call, or jump, to anywhere.
    if any(r.startswith("R_RISCV_CALL") for r in relocations):
        return "call"
    if re.fullmatch(MACHINES[machine].indirect, text):
        return "indirect jump"
    if re.fullmatch(MACHINES[machine].calls, mnemonic):
        return "call"
    if not re.fullmatch(MACHINES[machine].branches, mnemonic):
        return None

    first, last = body[0][0], body[-1][0]
    target = re.search(r"\b(?:0x)?([0-9a-f]+)$", text)
    outside = not target or not first <= int(target[1], 16) <= last
    # Before linking, the target of a jump to another section is in its relocation only.
    elsewhere = any(not LOCAL_RELOCATION.match(r) for r in relocations)
    return "jump out of the function" if outside or elsewhere else None


def check(machine, functions, pattern):
    """Returns the lines that say what is wrong, and the functions that were looked at."""
    # Compilers split functions up and name the parts name.part.0, name.cold and so on.
    names = [n for n in functions if fnmatch.fnmatchcase(n, pattern) or
             fnmatch.fnmatchcase(n.split(".")[0], pattern)]
    bad = []
    for name in names:
        second_half = False
        for address, instruction, relocations in functions[name]:
            if second_half:
                second_half = False
                continue
            second_half = any(r.startswith("R_RISCV_CALL") for r in relocations)
            if why := leaves(machine, functions[name], instruction, relocations):
                where = f" ({', '.join(relocations)})" if relocations else ""
                bad.append(f"{name}+0x{address - functions[name][0][0]:x}: {why}: "
                           f"{instruction}{where}")
    return bad, names


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objdump", default="objdump", help="of the object's architecture")
    parser.add_argument("object")
    parser.add_argument("function", nargs="+", help="name or shell pattern")
    args = parser.parse_args()

    machine, functions = disassemble(args.objdump, args.object)
    ktap = Ktap(len(args.function))
    for pattern in args.function:
        bad, names = check(machine, functions, pattern)
        if names:
            ktap.diagnose(f"{', '.join(names)}: {sum(len(functions[n]) for n in names)} instructions")
        else:
            bad = [f"{args.object} has no function of that name; was it inlined?"]
        ktap.result(f"{pattern} calls nothing ({machine})", bad)
    ktap.finish()


if __name__ == "__main__":
    main()
