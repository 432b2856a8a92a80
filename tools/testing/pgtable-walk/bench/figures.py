# SPDX-License-Identifier: GPL-2.0
"""What is measured, what is made of it, and what was hoped for."""
import statistics

# Name -> program and options.
CASES = {
    "pass-4k": "lockless_aging_bench -c pass",
    "pass-4k-256": "lockless_aging_bench -c pass -m 256",
    "pass-64k": "lockless_aging_bench -c pass -k 64k",
    "pass-2m": "lockless_aging_bench -c pass -k 2m",
    "pass-4k-4vms": "lockless_aging_bench -c pass -v 4",
    "pass-4k-4mms": "lockless_aging_bench -c pass -w 4",
    "pass-4k-novm": "lockless_aging_bench -c pass -v 0",
    "idle-4k": "lockless_aging_bench -c page_idle",
    "idle-64k": "lockless_aging_bench -c page_idle -k 64k",
    "evict-4k": "lockless_aging_bench -c evict -s /dev/ram0",
    "evict-64k": "lockless_aging_bench -c evict -k 64k -s /dev/ram0",
    "mapping": "lockless_aging_bench_others -c mapping -m 64 -r 4",
    "lives": "lockless_aging_bench_others -c lives -r 3",
}
# The longest of those whose figures hardly differ from boot to boot are in the first boot alone.
ONCE = ("pass-4k-256", "pass-64k", "pass-2m", "pass-4k-4vms", "pass-4k-4mms", "idle-4k", "idle-64k")
# Boots of their own, on several CPUs whose clock is that of the build machine.
CONTENTION = {"contend": "lockless_aging_bench_others -c contend -m 32 -r 3"}
# One screen: what a pass takes, and a fault of a vCPU.
DEMO = {
    "pass-4k": CASES["pass-4k"],
    "mapping": "lockless_aging_bench_others -c mapping -m 16",
}
AGING = {
    "none": "nobody ages",
    "elsewhere": "passes over another process",
    "one": "passes over this one",
    "two": "passes and page_idle",
}
TITLES = {
    "pass-4k": "forced pass, 64 MiB, pages of 4 KiB",
    "pass-4k-256": "forced pass, 256 MiB, pages of 4 KiB",
    "pass-64k": "forced pass, 64 MiB, folios of 64 KiB mapped by PTEs",
    "pass-2m": "forced pass, 64 MiB, huge pages of 2 MiB",
    "pass-4k-4vms": "forced pass, 64 MiB that four VMs of one process map",
    "pass-4k-4mms": "forced pass, 64 MiB, a quarter in each of four processes with a VM",
    "pass-4k-novm": "forced pass, 64 MiB of a process without a VM",
    "idle-4k": "page_idle, 64 MiB, pages of 4 KiB",
    "idle-64k": "page_idle, 64 MiB, folios of 64 KiB mapped by PTEs",
    "evict-4k": "eviction: old pages of 4 KiB are swapped out, young ones are found and kept",
    "evict-64k": "eviction: old folios of 64 KiB are swapped out, young ones are found and kept",
    "mapping": "what is not aging: mappings of 64 MiB, with what is done later",
    "lives": "what is not aging: VMs, instructions each, with what is done later",
}
MODES = {
    "stock": "stock",
    "lock": "ours, switched off",
    "paged": "ours, page by page",
    "batch": "ours",
    "noconsult": "ours, not consulting",
}
STATES = {
    "old": "old",
    "young": "young",
    "mixed": "an eighth young, in one piece",
    "scattered": "every eighth page young",
    "lists": "all young, and lists gone through",
    "fault": "fault of a vCPU",
    "protect": "write protection",
    "dirty": "fault for a write that is protected",
    "unmap": "unmapping",
    "life": "a VM's life",
    "ends-at-once": "end of 100 VMs at once, each",
}
METHOD = (
    "Kernels are booted by turns under QEMU with -icount shift=0, on one CPU whose clock counts instructions, and",
    "a plugin of QEMU counts what the CPU executes; what else the build machine does has no part in the figures,",
    "and neither have caches or branch prediction.",
    "A figure is the median of all boots, of instructions of the host kernel and its user space a page of 4 KiB.",
    "For a pass it is what the write to MGLRU's file in debugfs takes, less what it takes while the process has",
    "all but the memory. Memory is old, or the guest (without one, the process) has used it since the last pass.",
    "Pages evicted count where pages are old; all pages count where they are young.",
)
COUNT_METHOD = (
    "Counted at addresses found in the disassembly of each kernel, so on stock as well: queries are entries to the mmu",
    "notifier's functions about age; mmu_lock is taken by calls from KVM's objects; locked operations are LOCK prefixes,",
    "exclusive stores, LSE and AMO instructions that were executed. Held are instructions from the call that takes a",
    "lock to the call that drops it. On one CPU nobody waits: the part of a pass with mmu_lock held is the part of faults",
    "that find it taken if they come at random, and wait on average as long as is left of such a section.",
)
CONTENTION_METHOD = (
    "vCPUs fault memory in, each a part of its own, on two emulated CPUs of the lab, while threads of the same",
    "process have it aged, 32 MiB of it. Passes over another process without a VM take as much of the CPUs, and none",
    "of what the VM needs: what is left between the two is what aging takes away from faults. Emulation runs each CPU",
    "as a thread that the build machine's scheduler stops anywhere, also under mmu_lock (x86's take turns in one",
    "thread), so only large differences mean something; see the ranges. Statistics of locks in the kernel would drown",
    "in the same way. What can be relied on are counts: how often mmu_lock was taken meanwhile, faults included, for",
    "how many instructions, and how many instructions were spent in the functions that take it, waiting included.",
)


class Figures:
    """What was measured on one architecture, by case, mode and state."""

    def __init__(self):
        self.samples = {}       # (case, mode, state) -> [instructions a page]
        self.lines = {}         # the same -> [what the test said of it, with what was counted]
        self.contention = {}    # (mode, vCPUs, aging) -> {"rate", "p50", ...}: samples
        self.loops = {}         # comparison -> instructions a leaf of the library, of a bare loop
        self.text = {}          # tree -> bytes of code
        self.frames = []        # (function, bytes of stack in stock, in ours)

    def add_boot(self, lines):
        """Lines of a boot, as (case, what it says)."""
        empty = {(case, d["mode"]): d["executed"] for case, d in lines if d["state"] == "empty"}
        for case, d in lines:
            if d["state"] == "empty":
                continue
            key = case, d["mode"], d["state"]
            instructions = d["executed"] - empty.get((case, d["mode"]), 0)
            self.samples.setdefault(key, []).append(instructions / d["pages"])
            self.lines.setdefault(key, []).append(d)

    def add_contention(self, lines):
        """Lines of a boot for that: faults a second, and microseconds that a fault takes."""
        for _, d in lines:
            a_us = d["ticks"] / d["ns"] * 1000
            sample = {"rate": d["pages"] / d["ns"] * 1e9, "p50": d["p50"] / a_us, "p99": d["p99"] / a_us,
                      "locks": d["mmu_lock"]["hits"], "held": d["mmu_lock"]["held"],
                      "took": d["mmu_lock-wait"]["held"]}
            for name, value in sample.items():
                self.contention.setdefault((d["mode"], d["vcpus"], d["state"]), {}).setdefault(name, []).append(value)

    def contended(self, mode, vcpus, aging, what):
        samples = self.contention.get((mode, vcpus, aging))
        return statistics.median(samples[what]) if samples else None

    def get(self, case, mode, state):
        """The median, or None."""
        samples = self.samples.get((case, mode, state))
        return statistics.median(samples) if samples else None

    def counted(self, case, mode, state, what, of="hits", a_page=True):
        """The median of what was counted, for each page or in all, or None."""
        lines = self.lines.get((case, mode, state))
        if not lines:
            return None
        return statistics.median(d[what][of] / (d["pages"] if a_page else 1) if what in d else 0 for d in lines)

    def locked_part(self, case, mode, state):
        """Of all instructions, the part that was executed with mmu_lock held."""
        return ratio(self.counted(case, mode, state, "mmu_lock", "held"),
                     self.counted_executed(case, mode, state))

    def counted_executed(self, case, mode, state):
        lines = self.lines.get((case, mode, state))
        return statistics.median(d["executed"] / d["pages"] for d in lines) if lines else None

    def wait_for_lock(self, case, mode, state):
        """Instructions that are left on average of a section under mmu_lock that one finds at random."""
        held = self.counted(case, mode, state, "mmu_lock", "held")
        return self.counted(case, mode, state, "mmu_lock", "squares") / held / 2 if held else 0

    def spread(self, case, mode, state):
        samples = self.samples[case, mode, state]
        return max(samples) - min(samples)


def tables(fig):
    """(case, title, heads of columns, rows of words) of what was measured."""
    for case, title in TITLES.items():
        modes = [m for m in MODES if any((case, m, s) in fig.samples for s in STATES)]
        rows = []
        for state, words in STATES.items():
            cells = [f"{fig.get(case, m, state):.1f} ±{fig.spread(case, m, state) / 2:.1f}"
                     if (case, m, state) in fig.samples else "-" for m in modes]
            if any(cell != "-" for cell in cells):
                rows.append((words, *cells))
        if rows:
            yield case, title, ("instructions a page", *(MODES[m] for m in modes)), rows


def counted_table(fig, case):
    """(heads, rows) of what was counted beside instructions."""
    rows = []
    for state, words in STATES.items():
        for mode, mode_words in MODES.items():
            if (case, mode, state) not in fig.lines:
                continue
            part = fig.locked_part(case, mode, state)
            cells = [f"{fig.counted(case, mode, state, what):.3f}" for what in ("queries", "mmu_lock", "locked")]
            rows.append((f"{words}, {mode_words}", *cells, f"{part * 100:.1f}%",
                         *(f"{fig.counted(case, mode, state, what, 'longest', False):.0f}"
                           for what in ("mmu_lock", "walk-ptl")),
                         f"{fig.counted(case, mode, state, 'deferred', 'deepest', False):.0f}"))
    return ("counted, a page", "queries", "mmu_lock", "locked operations", "with mmu_lock", "longest",
            "page-table lock, longest", "tables waiting"), rows


def ends_table(fig):
    """(title, heads, rows): how long the end of many VMs takes, with all that waits for grace periods."""
    rows = []
    for mode, words in MODES.items():
        case = "lives", mode, "ends-at-once"
        if case in fig.lines:
            ticks = statistics.median(line["ticks"] for line in fig.lines[case])
            rows.append((words, f"{ticks / 1e6:.0f}", f"{fig.counted(*case, 'deferred', 'deepest', False):.0f}"))
    return rows and ("100 VMs end at once: million ticks of the clock until all are gone, grace periods included",
                     ("", "ticks, millions", "tables waiting at once"), rows)


def contention_tables(fig):
    """(title, heads, rows) for each number of vCPUs."""
    for vcpus in sorted({key[1] for key in fig.contention}):
        rows = []
        for mode in MODES:
            for aging, words in AGING.items():
                rate = fig.contended(mode, vcpus, aging, "rate")
                if rate is None:
                    continue
                samples = fig.contention[mode, vcpus, aging]["rate"]
                locks = fig.contended(mode, vcpus, aging, "locks")
                rows.append((f"{MODES[mode]}, {words}", f"{rate:.0f}", f"{min(samples):.0f}-{max(samples):.0f}",
                             *(f"{fig.contended(mode, vcpus, aging, w):.0f}" for w in ("p50", "p99")), f"{locks:.0f}",
                             *(f"{fig.contended(mode, vcpus, aging, w) / max(locks, 1):.0f}"
                               for w in ("held", "took"))))
        yield (f"{vcpus} vCPUs that fault", ("", "faults/s", "range", "p50 us", "p99 us", "mmu_lock", "held each",
                                             "to take each"), rows)


def other_tables(fig):
    """(title, heads, rows) of what is not a case of instructions a page."""
    if fig.loops:
        yield ("the library's loop on the build machine: instructions a leaf, counted by callgrind",
               ("", "library", "bare loop", "ratio"),
               [(name, f"{ours:.1f}", f"{bare:.1f}", f"{ours / bare:.2f}") for name, (ours, bare) in fig.loops.items()])
    if fig.text:
        yield ("code and constants of vmlinux, in bytes", ("", "stock", "ours", "more"),
               [("text", str(fig.text["stock"]), str(fig.text["ours"]), str(fig.text["ours"] - fig.text["stock"]))])
    if ends := ends_table(fig):
        yield ends
    if fig.frames:
        yield ("stack frames that differ, in bytes, the twelve largest", ("", "stock", "ours"),
               [(name, "-" if before is None else str(before), str(after)) for name, before, after in fig.frames[:12]])


def minus(a, b):
    return None if a is None or b is None else a - b


def ratio(a, b):
    return None if a is None or not b else a / b


def added(fig, mode, state):
    """What a VM adds to a page of a pass, over one of a process without a VM."""
    novm = "stock" if mode == "stock" else "batch"
    return minus(fig.get("pass-4k", mode, state), fig.get("pass-4k-novm", novm, state))


def demo_table(fig):
    """(heads, rows): a pass, and what it does to a fault."""
    def of(what, count="hits", a_page=True):
        return [fig.counted("pass-4k", mode, "mixed", what, count, a_page) for mode in both]

    def row(words, values, digits):
        return words, *(f"{value:.{digits}f}" for value in values)

    both = ("stock", "batch")
    faults = [fig.get("mapping", m, "fault") for m in both]
    rows = [
        row("queries of KVM, through the mmu notifier", of("queries", a_page=False), 0),
        row("mmu_lock taken", of("mmu_lock", a_page=False), 0),
        row("part of the pass with mmu_lock held, %", [100 * fig.locked_part("pass-4k", m, "mixed") for m in both], 1),
        row("locked operations, a page", of("locked"), 2),
        *(row(f"instructions a page, {STATES[state]}", [fig.get("pass-4k", m, state) for m in both], 0)
          for state in ("mixed", "old", "young")),
        row("a fault of a vCPU while nobody ages, instructions", faults, 0),
        row("the same during the pass, mmu_lock awaited", [
            fault + fig.locked_part("pass-4k", m, "mixed") * fig.wait_for_lock("pass-4k", m, "mixed")
            for m, fault in zip(both, faults)], 0),
        row("the same, the longest", [fault + longest for fault, longest in zip(
            faults, of("mmu_lock", "longest", False))], 0),
    ]
    pages = fig.lines["pass-4k", "batch", "mixed"][0]["pages"]
    return (f"a forced pass of MGLRU over a guest of {pages} pages, {STATES['mixed']}", "stock", "ours"), rows


def targets(fig):
    """[name, value, goal, met] of what could be measured."""
    found = []

    def at_most(name, value, goal):
        if value is not None:
            found.append((name, value, f"<={goal}", value <= goal))

    def at_least(name, value, goal):
        if value is not None:
            found.append((name, value, f">={goal}", value >= goal))

    for state, goal in (("old", 35), ("mixed", 35), ("young", 90)):
        at_most(f"added-{state}", added(fig, "batch", state), goal)
    for state, goal in (("old", 5), ("mixed", 5), ("young", 3)):
        at_least(f"pass-{state}", ratio(fig.get("pass-4k", "stock", state), fig.get("pass-4k", "batch", state)), goal)
    for mode, goal in (("paged", 0.95), ("lock", 1.00)):
        for case in ("pass-4k", "idle-4k", "evict-4k"):
            for state in ("old", "young"):
                at_most(f"{mode}-{case}-{state}", ratio(fig.get(case, mode, state), fig.get(case, "stock", state)),
                        goal)
    for state in ("old", "young"):
        calls = fig.counted("evict-64k", "batch", state, "queries")
        at_most(f"queries-a-folio-64k-{state}", calls and calls * 16, 1)
    for state in ("old", "young"):
        at_most(f"novm-{state}", minus(fig.get("pass-4k-novm", "batch", state),
                                       fig.get("pass-4k-novm", "stock", state)), 1)
    for name, (ours, bare) in fig.loops.items():
        at_most(f"loop-{name}", ours / bare, 1.25)
    for vcpus in sorted({key[1] for key in fig.contention}):
        at_least(f"contention-{vcpus}", ratio(fig.contended("batch", vcpus, "one", "rate"),
                                              fig.contended("batch", vcpus, "elsewhere", "rate")), 0.97)
    for state in ("old", "mixed", "young"):
        at_most(f"pass-with-mmu_lock-{state}", fig.locked_part("pass-4k", "batch", state), 0.03)
    for case, state in (("mapping", "fault"), ("mapping", "protect"), ("mapping", "dirty"), ("mapping", "unmap"),
                        ("lives", "life"), ("lives", "ends-at-once")):
        at_most(f"{state}", ratio(fig.get(case, "batch", state), fig.get(case, "stock", state)), 1.01)
    for state in ("fault", "protect", "dirty", "unmap"):
        at_most(f"{state}-locked-operations", minus(fig.counted("mapping", "batch", state, "locked"),
                                                    fig.counted("mapping", "stock", state, "locked")), 0.01)
    return found
