# SPDX-License-Identifier: GPL-2.0
"""What needs no boot: the library's loop on this machine, sizes of kernels, stack frames."""
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
# pylint: disable=wrong-import-position
from testlib import lab_word  # noqa: E402

# Of host/bench.c, in its order: name, functions of the library's walk and of the bare loop.
LOOPS = (("test-old", "walk_test", "bare_test"), ("clear-old", "walk_clear", "bare_clear"),
         ("clear-young", "walk_clear", "bare_clear"))
LEAVES = 32 * 512
OBJECTS = {
    "all": ("mm/vmscan.o", "mm/rmap.o", "mm/mmu_notifier.o", "virt/kvm/kvm_main.o"),
    "arm64": ("arch/arm64/kvm/mmu.o", "arch/arm64/kvm/hyp/pgtable.o"),
    "riscv": ("arch/riscv/kvm/mmu.o",),
    "x86": ("arch/x86/kvm/mmu/mmu.o", "arch/x86/kvm/mmu/tdp_mmu.o"),
}
# What takes a part of the stack at the beginning of a function, in bytes or in registers pushed.
FRAME = {
    "arm64": re.compile(r"\s(?:sub\s+sp, sp, #(?P<bytes>0x[0-9a-f]+|\d+)$"
                        r"|st[rp]\s.*\[sp, #-(?P<pre>\d+)\]!)"),
    "riscv": re.compile(r"\s(?:c\.)?addi(?:16sp)?\s+sp,sp,-(?P<bytes>\d+)"),
    "x86": re.compile(r"\s(?:sub\s+\$(?P<bytes>0x[0-9a-f]+),%rsp|(?P<push>push)\s)"),
}


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout


def tool(arch, name):
    """A tool of the architecture, which is named as its compiler is."""
    return lab_word(arch, "CROSS") + name


def loops(program):
    """Comparison -> instructions a leaf of the library and of the bare loop, counted by callgrind."""
    found = {}
    for number, (name, *functions) in enumerate(LOOPS):
        counts = []
        for function in functions:
            with tempfile.NamedTemporaryFile() as out:
                output("valgrind", "--tool=callgrind", f"--toggle-collect={function}",
                       f"--callgrind-out-file={out.name}", str(program), str(number))
                total = re.search(r"^(?:totals|summary): (\d+)", pathlib.Path(out.name).read_text(), re.M)
            counts.append(int(total[1]) / LEAVES)
        found[name] = counts
    return found


def text_bytes(arch, kernel):
    """Bytes of code in a kernel."""
    return int(output(tool(arch, "size"), str(kernel / "vmlinux")).splitlines()[1].split()[0])


def disassembly(arch, path):
    return output(tool(arch, "objdump"), "-d", "--no-show-raw-insn", str(path)).splitlines()


def frames(arch, path):
    """Function -> bytes of the stack that it takes at its beginning."""
    found, name, body = {}, None, 0
    for line in disassembly(arch, path):
        if match := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            name, body = match[1], 0
            found[name] = 0
            continue
        body += 1
        match = FRAME[arch].search(line) if name and body <= 60 else None
        if match:
            groups = match.groupdict()
            number = groups.get("bytes") or groups.get("pre")
            found[name] += 8 if groups.get("push") else int(number, 0)
    return found


def changed_frames(arch, stock, ours):
    """(function, bytes in stock or None, bytes in ours) where they differ, the most first."""
    rows = []
    for path in OBJECTS["all"] + OBJECTS[arch]:
        before, after = frames(arch, stock / path), frames(arch, ours / path)
        for name, size in after.items():
            if "." not in name and before.get(name) != size:
                rows.append((name, before.get(name), size))
    return sorted(rows, key=lambda row: -row[2])
