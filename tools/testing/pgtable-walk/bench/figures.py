# SPDX-License-Identifier: GPL-2.0
"""What is measured, what is made of it, and what was hoped for."""
import statistics

# Name -> program and options.
CASES = {
    "clock": "lockless_aging_bench -c clock",
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
}
# The same, but costly, and so in the first boot of each kernel alone.
ONCE = {"elsewhere": "lockless_aging_bench_others -c elsewhere -m 256"}
# Boots of their own, on several CPUs whose clock is that of the build machine.
CONTENTION = {"contend": "lockless_aging_bench_others -c contend -m 32 -r 3"}
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
    "elsewhere": "what is not aging: instructions a page, or a VM",
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
    "protect": "write protection of 256 MiB",
    "dirty": "fault for a write that is protected",
    "unmap": "unmapping of 256 MiB",
    "unmap-whole": "the same with what is done later",
    "life": "a VM's life, with what is done later",
    "ends-at-once": "end of 100 VMs at once, each",
    "ends-at-once-whole": "the same with what is done later",
}
SCALES = {"1 GiB": 1 << 18, "64 GiB": 1 << 24, "1 TiB": 1 << 28, "12 TiB": 12 << 28}
METHOD = (
    "Kernels are booted by turns under QEMU with -icount shift=0, on one CPU whose clock counts instructions;",
    "what else the build machine does has no part in the figures, and neither have caches or branch prediction.",
    "A figure is the median of all boots, of instructions of the host kernel and its user space a page of 4 KiB.",
    "For a pass it is what the write to MGLRU's file in debugfs takes, less what it takes while the process has",
    "all but the memory. Memory is old, or the guest (without one, the process) has used it since the last pass.",
    "Pages evicted count where pages are old; all pages count where they are young.",
)
SCALE_METHOD = (
    "A pass goes from table to table, so its cost grows with the pages that are mapped, however many VMs share them;",
    "compare the figures of 64 and 256 MiB. The longest section under a page-table lock is one table of 512 entries.",
    "MGLRU sees whether it has to reschedule after each GiB, on kernels that can't be preempted. In both sections",
    "stock takes mmu_lock for each entry, and ours walks under RCU without it. What unmapping defers until a grace",
    "period is over is a table of 4 KiB for 2 MiB of guest memory in small pages: 512 times less than it unmaps.",
)
CONTENTION_METHOD = (
    "vCPUs fault memory in, each a part of its own, on two emulated CPUs of the lab, while threads of the same",
    "process have it aged, 32 MiB of it. Passes over another process without a VM take as much of the CPUs, and none",
    "of what the VM needs: what is left between the two is what aging takes away from faults. Emulation runs each CPU",
    "as a thread that the build machine's scheduler stops anywhere, also under mmu_lock (those of x86 take turns in one",
    "thread), so only large differences mean something; see the ranges. What can be relied on is the count: how often",
    "aging took mmu_lock meanwhile; stock has no such count, but takes it for each page of a pass.",
)


class Figures:
    """Samples of one architecture by case, mode and state: instructions a page."""

    def __init__(self):
        self.samples = {}       # (case, mode, state) -> [instructions a page]
        self.counters = {}      # the same -> the last line
        self.scale = []         # ticks that an instruction takes
        self.contention = {}    # (mode, vCPUs, aging) -> {"rate", "p50", "p99"}: samples
        self.loops = {}         # comparison -> instructions a leaf of the library, of a bare loop
        self.text = {}          # tree -> bytes of code
        self.frames = []        # (function, bytes of stack in stock, in ours)

    def add_boot(self, lines):
        """Lines of a boot, as (case, what it says)."""
        # The first loop of the clock is the one that is emulated afresh.
        loops = [d["ticks"] / d["pages"] for case, d in lines if d["state"] == "loop"][1:]
        if not loops:
            raise ValueError("the clock was not measured")
        scale = min(loops)
        self.scale.append(scale)
        empty = {(case, d["mode"]): d["ticks"] for case, d in lines if d["state"] == "empty"}
        for case, d in lines:
            if d["state"] in ("loop", "empty"):
                continue
            ticks = d["ticks"] - empty.get((case, d["mode"]), 0)
            key = case, d["mode"], d["state"]
            self.samples.setdefault(key, []).append(ticks / scale / d["pages"])
            self.counters[key] = d

    def add_contention(self, lines):
        """Lines of a boot for that: faults a second, and microseconds that a fault takes."""
        for _, d in lines:
            a_us = d["ticks"] / d["ns"] * 1000
            sample = {"rate": d["pages"] / d["ns"] * 1e9, "p50": d["p50"] / a_us, "p99": d["p99"] / a_us,
                      "locks": d.get("mmu_lock", 0)}
            for name, value in sample.items():
                self.contention.setdefault((d["mode"], d["vcpus"], d["state"]), {}).setdefault(name, []).append(value)

    def contended(self, mode, vcpus, aging, what):
        samples = self.contention.get((mode, vcpus, aging))
        return statistics.median(samples[what]) if samples else None

    def get(self, case, mode, state):
        """The median, or None."""
        samples = self.samples.get((case, mode, state))
        return statistics.median(samples) if samples else None

    def calls_a_folio(self, case, mode, state, pages):
        """Walks of a secondary MMU, one by one or for many, for a folio of so many pages."""
        d = self.counters.get((case, mode, state))
        return None if d is None else d["walks"] / (d["pages"] / pages)

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
                rows.append((f"{MODES[mode]}, {words}", f"{rate:.0f}", f"{min(samples):.0f}-{max(samples):.0f}",
                             *(f"{fig.contended(mode, vcpus, aging, w):.0f}" for w in ("p50", "p99", "locks"))))
        yield f"{vcpus} vCPUs that fault", ("", "faults/s", "range", "p50 us", "p99 us", "mmu_lock"), rows


def static_tables(fig):
    """(title, heads, rows) of what needs no boot."""
    if fig.loops:
        yield ("the library's loop on the build machine: instructions a leaf, counted by callgrind",
               ("", "library", "bare loop", "ratio"),
               [(name, f"{ours:.1f}", f"{bare:.1f}", f"{ours / bare:.2f}") for name, (ours, bare) in fig.loops.items()])
    if fig.text:
        yield ("code and constants of vmlinux, in bytes", ("", "stock", "ours", "more"),
               [("text", str(fig.text["stock"]), str(fig.text["ours"]), str(fig.text["ours"] - fig.text["stock"]))])
    if fig.frames:
        yield ("stack frames that differ, in bytes, the twelve largest", ("", "stock", "ours"),
               [(name, "-" if before is None else str(before), str(after)) for name, before, after in fig.frames[:12]])


def scale_table(fig):
    """(title, heads, rows): what measured costs come to for other sizes of guests, mostly old."""
    cost = {mode: fig.get("pass-4k-256", mode, "mixed") for mode in ("stock", "batch")}
    counted = {mode: fig.counters.get(("pass-4k-256", mode, "mixed")) for mode in ("stock", "batch")}
    if None in cost.values() or None in counted.values():
        return None
    calls = counted["batch"]["walks"] / counted["batch"]["pages"]
    rows = []
    for size, pages in SCALES.items():
        rows.append((size, *(f"{pages * cost[mode]:.2e}" for mode in ("stock", "batch")),
                     f"{pages:.2e}", f"{pages * calls:.2e}"))
    rows.append(("one table, under its lock", *(f"{512 * cost[mode]:.0f}" for mode in ("stock", "batch")), "512",
                 f"{512 * calls:.1f}"))
    return ("on paper: a pass over 4 KiB pages, an eighth of them young, from the figures of 256 MiB",
            ("guest memory", "instructions, stock", "ours", "mmu_lock, stock", "walks, ours"), rows)


def minus(a, b):
    return None if a is None or b is None else a - b


def ratio(a, b):
    return None if a is None or not b else a / b


def added(fig, mode, state):
    """What a VM adds to a page of a pass, over one of a process without a VM."""
    novm = "stock" if mode == "stock" else "batch"
    return minus(fig.get("pass-4k", mode, state), fig.get("pass-4k-novm", novm, state))


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
    at_most("calls-a-folio-64k", fig.calls_a_folio("evict-64k", "batch", "young", 16), 1)
    for state in ("old", "young"):
        at_most(f"novm-{state}", minus(fig.get("pass-4k-novm", "batch", state),
                                       fig.get("pass-4k-novm", "stock", state)), 1)
    for name, (ours, bare) in fig.loops.items():
        at_most(f"loop-{name}", ours / bare, 1.25)
    for vcpus in sorted({key[1] for key in fig.contention}):
        at_least(f"contention-{vcpus}", ratio(fig.contended("batch", vcpus, "one", "rate"),
                                              fig.contended("batch", vcpus, "elsewhere", "rate")), 0.97)
    for state in ("fault", "protect", "dirty", "unmap-whole", "life", "ends-at-once-whole"):
        at_most(f"elsewhere-{state}", ratio(fig.get("elsewhere", "batch", state),
                                            fig.get("elsewhere", "stock", state)), 1.01)
    return found
