#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Show from the object code that functions call nothing, and what a leaf takes in their loops.

The loops of lockless walkers are functions of their own for this: whatever is called from
the loop, a callback above all, would be a call in the function. So is a tail call, that is
a jump out of the function, and a jump to an address in a register unless it returns.

What a leaf takes are the instructions on the shortest way once around a loop, by way of the
statement that counts leaves, which line numbers lead to. For an old leaf it leaves out the
instruction that writes to the entry, and for a young one it takes that in. A function has
several such loops: bounds are for the mean. Kernel objects are compiled again to get line
numbers, which must make no difference to the code.

Speaks KTAP; a pattern that no function matches fails.
"""
import argparse
import collections
import fnmatch
import pathlib
import re
import subprocess
import sys
import tempfile

from testlib import Ktap

# What an instruction is, by its mnemonic or as a whole: a call, a jump to an address that is not
# in the instruction, a jump or branch whose target may lie outside of the function, a jump that
# is always taken, a return, the write of a cmpxchg. By the name that objdump has for the architecture.
Machine = collections.namedtuple("Machine", "calls indirect branches jumps returns writes")
MACHINES = {
    "riscv": Machine(r"c\.jalr|jalr|jal|call|tail", r"(?:c\.)?jr\s.*|jalr\s.*", r"(?:c\.)?(?:j|b[a-z]+)",
                     r"(?:c\.)?j", r"ret|(?:c\.)?jr\s+ra", r"(?:sc|amocas)\..*"),
    "x86-64": Machine(r"callq?|lcall|syscall", r"jmpq?\s+\*.*|notrack jmpq?\s.*", r"j[a-z]+",
                      r"jmpq?", r"(?:repz\s+)?retq?.*", r"lock cmpxchg.*"),
    "aarch64": Machine(r"bl|blr[a-z]*", r"br(?:a[ab]z?)?\s.*", r"b(?:\.[a-z]+)?|cbn?z|tbn?z",
                       r"b", r"ret[a-z]*.*", r"(?:cas|stl?xr).*"),
}
# relocations of branches within a section, which riscv has for linker relaxation
LOCAL_RELOCATION = re.compile(r"R_RISCV_(?:RVC_)?(?:BRANCH|JUMP|JAL|ALIGN|RELAX)\b")

# in the relocation of something that looks like a call and is none
NO_CALLS = re.compile(r"\b(?:__x86_return_thunk|__fentry__)\b")

# What each leaf passes, and nothing else: a line of a file.
LEAF = ("pgtable_walk.h", "visited++;")

# source is (file, line), if that is known
Instruction = collections.namedtuple("Instruction", "address text relocations source")


def disassemble(objdump, obj):
    """Returns (machine, {function: [Instruction]})."""
    try:
        text = subprocess.run([objdump, "-drl", "--no-show-raw-insn", obj], check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    except FileNotFoundError:
        sys.exit(f"objcheck.py: no {objdump}: name one that knows this object with --objdump")
    except subprocess.CalledProcessError as error:
        sys.exit(f"objcheck.py: {error.stderr.strip()}")

    found = re.search(r"file format \S*?(" + "|".join(MACHINES) + ")", text)
    if not found:
        sys.exit(f"objcheck.py: {obj}: not an object of " + ", ".join(MACHINES))

    functions, body, source = {}, [], None
    for line in text.splitlines():
        if match := re.match(r"^[0-9a-f]+ <(.+)>:$", line):
            # riscv objects have labels in the middle of functions
            if not match[1].startswith(".L"):
                body, source = functions.setdefault(match[1], []), None
        elif match := re.match(r"^(\S.*):(\d+)(?: \(discriminator \d+\))?$", line):
            source = match[1], int(match[2])
        elif match := re.match(r"^\s+([0-9a-f]+): (R_\w+)\s*(.*)$", line.replace("\t", " ")):
            if body:
                body[-1].relocations.append(f"{match[2]} {match[3]}")
        elif match := re.match(r"^\s+([0-9a-f]+):\s+(.+?)\s*$", line):
            body.append(Instruction(int(match[1], 16), re.sub(r"\s+", " ", match[2]), [], source))
    return found[1], functions


def bare(text):
    """An instruction without what objdump adds to it."""
    # "#" is a comment on riscv and x86-64, and an immediate on aarch64
    return re.sub(r"\s*(?://|<|;|#(?!\d)|# ).*", "", text).strip()


def target(text):
    """The address that a branch names, or None."""
    match = re.search(r"\b(?:0x)?([0-9a-f]+)$", text)
    return int(match[1], 16) if match else None


def leaves(machine, body, instruction, relocations):
    """Why this instruction leaves the function, or None."""
    text = bare(instruction)
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

    first, last = body[0].address, body[-1].address
    address = target(text)
    outside = address is None or not first <= address <= last
    # Before linking, the target of a jump to another section is in its relocation only.
    elsewhere = any(not LOCAL_RELOCATION.match(r) for r in relocations)
    return "jump out of the function" if outside or elsewhere else None


def matching(functions, pattern):
    """Compilers split functions up and name the parts name.part.0, name.cold and so on."""
    return [n for n in functions if fnmatch.fnmatchcase(n, pattern) or
            fnmatch.fnmatchcase(n.split(".")[0], pattern)]


def calls(machine, functions, names):
    """Returns the lines that say what is called."""
    bad = []
    for name in names:
        second_half = False
        for address, instruction, relocations, _ in functions[name]:
            if second_half:
                second_half = False
                continue
            second_half = any(r.startswith("R_RISCV_CALL") for r in relocations)
            if why := leaves(machine, functions[name], instruction, relocations):
                where = f" ({', '.join(relocations)})" if relocations else ""
                bad.append(f"{name}+0x{address - functions[name][0].address:x}: {why}: "
                           f"{instruction}{where}")
    return bad


# ---- what a leaf takes ----

def with_lines(obj, directory):
    """A kernel's object, compiled as kbuild did it, but with line numbers."""
    path = pathlib.Path(obj).resolve()
    recorded = path.with_name(f".{path.name}.cmd")
    if not recorded.exists():
        sys.exit(f"objcheck.py: {obj} has no line numbers: compile it with -g")
    name, command = re.match(r"savedcmd_(\S+) := (.*)", recorded.read_text(encoding="utf-8")).groups()
    # What follows the compiler checks the object, and changes nothing here.
    command = re.sub(r" -Wp,-MMD,\S+", "", command.split(" ; ")[0]).replace("$$", "$")
    new = pathlib.Path(directory, path.name)
    done = subprocess.run(command.replace(f" -o {name} ", f" -g -o '{new}' "), shell=True, text=True, check=False,
                          cwd=str(path)[:-len(name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode or not new.exists():
        sys.exit(f"objcheck.py: cannot compile {obj} again:\n{done.stdout}")
    return new


def add_lines(objdump, obj, functions, names):
    """Sources for the instructions of some functions of a kernel's object."""
    with tempfile.TemporaryDirectory() as directory:
        _, new = disassemble(objdump, with_lines(obj, directory))
    for name in names:
        if [(i.address, bare(i.text)) for i in functions[name]] != [(i.address, bare(i.text)) for i in new[name]]:
            sys.exit(f"objcheck.py: {obj}: {name} is other code when it is compiled with -g")
        functions[name] = new[name]


def is_leaf(source, lines):
    """Is this where leaves are counted?  @lines are of files that were read."""
    if not source or pathlib.Path(source[0]).name != LEAF[0]:
        return False
    if source[0] not in lines:
        lines[source[0]] = pathlib.Path(source[0]).read_text(encoding="utf-8").splitlines()
    return lines[source[0]][source[1] - 1].strip() == LEAF[1]


def ways(machine, body):
    """{address: those that may come next}, within the function."""
    found = {}
    known = {i.address for i in body}
    for here, behind in zip(body, body[1:] + [None]):
        text = bare(here.text)
        mnemonic = text.split(" ")[0]
        after = found.setdefault(here.address, [])
        if behind and not re.fullmatch(MACHINES[machine].returns, text) and \
                not re.fullmatch(MACHINES[machine].jumps, mnemonic):
            after.append(behind.address)
        if re.fullmatch(MACHINES[machine].branches, mnemonic) and target(text) in known:
            after.append(target(text))
    return found


def shortest(after, start, goals, avoided=()):
    """The addresses on the shortest way from behind one to one of the goals; None if there is none."""
    before, queue = {}, collections.deque([start])
    while queue:
        here = queue.popleft()
        for there in after[here]:
            if there in before or there in avoided:
                continue
            before[there] = here
            if there in goals:
                way = [there]
                while before[way[-1]] != start:
                    way.append(before[way[-1]])
                return way
            queue.append(there)
    return None


def leaf_costs(machine, body):
    """Instructions for an old leaf, and for a young one, of each of a function's loops."""
    after, lines, old, young, passed = ways(machine, body), {}, [], [], set()
    writes = {i.address for i in body if re.fullmatch(MACHINES[machine].writes, i.text)}
    for leaf in (i.address for i in body if is_leaf(i.source, lines)):
        way = shortest(after, leaf, {leaf}, writes)
        # It may take several instructions to count.
        if not way or leaf in passed:
            continue
        passed.update(way)
        old.append(len(way))
        there = [(shortest(after, leaf, {write}), shortest(after, write, {leaf})) for write in writes]
        young += sorted(len(way) + len(back) for way, back in there if way and back)[:1]
    return sorted(old), sorted(young)


def check_costs(ktap, machine, pattern, costs, bounds):
    for kind, found, bound in zip(("old", "young"), costs, bounds):
        mean = round(sum(found) / len(found), 2) if found else 0
        problems = []
        if not found:
            problems = [f"no loop is known by '{LEAF[1]}' of {LEAF[0]}"]
        elif mean > bound:
            problems = ["in its loops: " + ", ".join(map(str, found))]
        ktap.result(f"{pattern}_{kind} takes at most {bound} instructions ({machine})", problems, f"{mean:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objdump", default="objdump", help="of the object's architecture")
    parser.add_argument("--leaf", nargs=2, type=float, metavar=("OLD", "YOUNG"),
                        help="most instructions that a leaf may take in the loops of each function, by the mean")
    parser.add_argument("object")
    parser.add_argument("function", nargs="+", help="name or shell pattern")
    args = parser.parse_args()

    machine, functions = disassemble(args.objdump, args.object)
    ktap = Ktap(len(args.function) * (3 if args.leaf else 1))
    for pattern in args.function:
        names = matching(functions, pattern)
        bad = calls(machine, functions, names)
        if names:
            ktap.diagnose(f"{', '.join(names)}: {sum(len(functions[n]) for n in names)} instructions")
        else:
            bad = [f"{args.object} has no function of that name; was it inlined?"]
        ktap.result(f"{pattern} calls nothing ({machine})", bad)
        if not args.leaf:
            continue
        if names and not any(i.source for n in names for i in functions[n]):
            add_lines(args.objdump, args.object, functions, names)
        costs = [leaf_costs(machine, functions[n]) for n in names]
        check_costs(ktap, machine, pattern, [sum(lists, []) for lists in zip(*costs)] or [[], []], args.leaf)
    ktap.finish()


if __name__ == "__main__":
    main()
