# SPDX-License-Identifier: GPL-2.0
"""Where count.c counts: addresses in a kernel, found in its disassembly."""
import re

import static

# Instructions that need the cache line for themselves.  Each loop that stores conditionally has one.
LOCKED = {
    "arm64": re.compile(r"\t(?:stl?x[rp]|casp?|swp|ld(?:add|clr|eor|set|[su]max|[su]min)|st(?:add|clr|eor|set|[su]max"
                        r"|[su]min))[abhl]*\t"),
    "riscv": re.compile(r"\t(?:sc|amo[a-z]+)\.[wd]"),
    "x86": re.compile(r"\t(?:lock |xchg .*\()"),
}
# System calls that do next to nothing, by which the test says what is measured.
WINDOW = {"begin": "sched_get_priority_min", "end": "sched_get_priority_max", "print": "getcpu"}
# Functions of the mmu notifier that query the secondary MMUs.
QUERIES = {f"__mmu_notifier_{what}" for what in ("clear_young", "clear_flush_young", "test_young", "age_range")}
# The lock that KVM's objects take, but for these functions where it is no other kind of lock than theirs.
MMU_LOCK = {"arm64": r"_raw_(?:read|write)", "riscv": r"_raw_spin", "x86": r"_raw_(?:read|write)"}
OTHER_LOCKS = {"riscv": re.compile(r"kvm_mmu_notifier_invalidate_range|kvm_swap_active_memslots")}
WALK = re.compile(r"walk_p")
# A page table waits for a grace period from call_rcu() in KVM's or the library's functions to the callback.
FREED = {"tdp_mmu_free_sp_rcu_callback", "stage2_free_unlinked_table_rcu_cb", "pgtable_gather_free_rcu"}
CALL = r"\t(?:call|jmp|bl?|jalr?|jr?)\s.*<({})>"


def functions(paths):
    lines = static.output("nm", "--defined-only", *map(str, paths)).splitlines()
    return {words[2].split(".")[0] for words in map(str.split, lines) if len(words) == 3 and words[1] in "tT"}


def find(arch, kernel):
    """(address, what) for all of them, by address."""
    kvm = functions(kernel / path for path in ("virt/kvm/kvm_main.o", *static.OBJECTS[arch]))
    lock = MMU_LOCK[arch]
    takes, drops = (re.compile(CALL.format(end)) for end in (lock + "_(?:try)?lock", lock + "_unlock"))
    walk_takes, walk_drops = (re.compile(CALL.format("_raw_spin_" + end)) for end in ("(?:try)?lock", "unlock"))
    entries = {re.compile(rf"__\w+_sys_{name}"): what for what, name in WINDOW.items()}
    freeing = [kernel / path for path in ("lib/pgtable-walk/gather.o", *static.OBJECTS[arch])]
    tables = functions(path for path in freeing if path.exists())
    defers = re.compile(CALL.format("call_rcu"))
    walks = set(filter(WALK.match, functions([kernel / "mm/vmscan.o"])))
    function, after_take = "", False
    for line in static.disassembly(arch, kernel / "vmlinux"):
        if match := re.match(r"([0-9a-f]+) <([^>]*)>:$", line):
            address, function = match[1], match[2].split(".")[0]
            if match[2] in QUERIES:
                yield address, "hit queries"
            if match[2] in FREED:
                yield address, "drop deferred"
            for entry, what in entries.items():
                if entry.fullmatch(match[2]):
                    yield address, what
            continue
        address = line.partition(":")[0].strip()
        if after_take:
            yield address, "drop mmu_lock-wait"
        after_take = False
        if LOCKED[arch].search(line):
            yield address, "hit locked"
        if function in tables and defers.search(line):
            yield address, "take deferred"
        if "_raw_" not in line:
            continue
        if function in kvm and not (arch in OTHER_LOCKS and OTHER_LOCKS[arch].match(function)):
            if takes.search(line):
                after_take = True
                yield address, "take mmu_lock"
                yield address, "take mmu_lock-wait"
            elif drops.search(line):
                yield address, "drop mmu_lock"
        elif function in walks:
            if walk_takes.search(line):
                yield address, "take walk-ptl"
            elif walk_drops.search(line):
                yield address, "drop walk-ptl"


def write(arch, kernel, path):
    found = sorted(find(arch, kernel), key=lambda site: int(site[0], 16))
    kinds = {what for _, what in found}
    # What is taken is dropped somewhere: or else a function has another name than here.
    dropped = {what.replace("take ", "drop ") for what in kinds if what.startswith("take ")}
    missing = {*WINDOW, "hit queries", "take mmu_lock", "hit locked", *dropped} - kinds
    if missing:
        raise ValueError(f"{kernel}/vmlinux has no place for: {', '.join(sorted(missing))}")
    path.write_text("".join(f"{address} {what}\n" for address, what in found))
    return path
