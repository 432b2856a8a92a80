# SPDX-License-Identifier: GPL-2.0
"""What the measured parts come to on hosts that are larger than any emulated one: a model, with its assumptions."""
import heapq
import random

NS_PER_INSTRUCTION = 1
MOVE_NS = 100               # a lock's cache line, to another CPU
THINK_NS = 100_000          # of a vCPU, between two faults
GRACE_NS = 20_000_000       # of RCU, and
GRACE_NS_PER_CPU = 10_000   # ... for each CPU that has to report
SIMULATED_NS = 5_000_000
CPUS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SIZES = {"1 GiB": 1 << 18, "64 GiB": 1 << 24, "1 TiB": 1 << 28, "12 TiB": 12 << 28}
TABLE_PAGES = 512
ASSUMPTIONS = " ".join((
    f"Assumed, not measured: an instruction takes {NS_PER_INSTRUCTION} ns; the cache line of mmu_lock moves to another",
    f"CPU in {MOVE_NS} ns, twice for each section, one CPU after the other; the lock is fair. Faults share it where it is",
    f"a rwlock, and each vCPU has one every {THINK_NS // 1000} us on average. One thread ages without a pause. A grace",
    f"period takes {GRACE_NS // 1_000_000} ms, and {GRACE_NS_PER_CPU // 1000} us for each CPU. Measured: what a page of",
    "a pass and a fault take, and their sections under mmu_lock; an eighth of all pages is young."))


class Lock:
    """A fair lock that readers share, in a cache line that one CPU has at a time."""

    def __init__(self):
        self.line = self.written = self.read = 0.0

    def take(self, now, held, shared, move):
        """Returns when a section is over that is asked for now."""
        begin = max(now, self.line) + move
        self.line = begin + move
        begin = max(begin, self.written) if shared else max(begin, self.written, self.read)
        end = begin + held
        if shared:
            self.read = max(self.read, end)
        else:
            self.written = end
        return end


def run(vcpus, fault, fault_held, shared, page, page_held):
    """Faults, and pages that were aged, in the simulated time; page is None if nobody ages."""
    rng = random.Random(vcpus)
    lock = Lock()
    move = MOVE_NS if vcpus + (page is not None) > 1 else 0
    # Who takes the lock next, and when.
    events = [(rng.uniform(0, THINK_NS), cpu) for cpu in range(vcpus)]
    pages = faults = 0
    if page is not None and page_held:
        events.append((0.0, -1))
    elif page is not None:
        pages = SIMULATED_NS / page
    heapq.heapify(events)
    while events:
        now, who = heapq.heappop(events)
        if now >= SIMULATED_NS:
            continue
        if who < 0:
            pages += 1
            end = lock.take(now, page_held, False, move) + page - page_held
        else:
            faults += 1
            end = lock.take(now, fault_held, shared, move) + fault - fault_held + rng.expovariate(1 / THINK_NS)
        heapq.heappush(events, (end, who))
    return faults, pages


def parts(fig, mode):
    """Nanoseconds: a fault, of these with mmu_lock; a page of a pass, of these with mmu_lock; unmapping a page."""
    found = (fig.get("mapping", mode, "fault"), fig.counted("mapping", mode, "fault", "mmu_lock", "held"),
             fig.get("pass-4k-256", mode, "mixed"), fig.counted("pass-4k-256", mode, "mixed", "mmu_lock", "held"),
             fig.get("mapping", mode, "unmap"))
    return None if None in found else [value * NS_PER_INSTRUCTION for value in found]


def tables(arch, fig):
    """(title, heads, rows) of what can be told."""
    modes = {mode: parts(fig, mode) for mode in ("stock", "batch")}
    if None in modes.values():
        return
    yield ("on paper: a pass by one thread that nobody is in the way of, in seconds",
           ("guest memory", "stock", "ours", "mmu_lock, stock", "queries, ours"),
           [(size, *(f"{pages * part[2] / 1e9:.1f}" for part in modes.values()), f"{pages:.2e}",
             f"{pages * fig.counted('pass-4k-256', 'batch', 'mixed', 'queries'):.2e}") for size, pages in SIZES.items()])
    rows = []
    for cpus in CPUS:
        cells = []
        for fault, fault_held, page, page_held, _ in modes.values():
            alone, _ = run(cpus, fault, fault_held, arch != "riscv", None, 0)
            faults, pages = run(cpus, fault, fault_held, arch != "riscv", page, page_held)
            cells += [f"{faults / alone:.3f}" if alone else "-", f"{SIMULATED_NS / pages:.0f}"]
        rows.append((str(cpus), *cells))
    yield ("simulated: faults of vCPUs while their memory is aged, of those while nobody ages; a page of the pass",
           ("vCPUs", "faults, stock", "ns a page, stock", "faults, ours", "ns a page, ours"), rows)
    rows = []
    for cpus in CPUS:
        waiting = cpus * (GRACE_NS + GRACE_NS_PER_CPU * cpus) / (modes["batch"][4] * TABLE_PAGES)
        rows.append((str(cpus), f"{waiting:.0f}", f"{waiting * 4 / 1024:.1f}", f"{waiting * 2 / 1024:.1f}"))
    yield ("on paper: page tables that wait for a grace period while so many CPUs do nothing but unmap small pages",
           ("CPUs", "tables", "MiB", "of so many GiB unmapped"), rows)
