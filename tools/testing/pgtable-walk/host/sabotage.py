#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Break the page-table walker in known ways; each time, the test named here must fail.

Works on copies of the sources below the build directory. Speaks KTAP.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

HOST = pathlib.Path(__file__).resolve().parent
TOP = HOST.parents[3]
WALK = "include/linux/pgtable_walk.h"
ROOT = "include/linux/pgtable_root.h"
PTE = "include/linux/pgtable_walk_pte.h"
AGE = "include/linux/pgtable_age.h"
FORMAT = "arch/riscv/kvm/gstage_format.h"
GSTAGE_AGE = "arch/riscv/kvm/gstage_age.c"
GSTAGE_WALK = "arch/riscv/kvm/gstage_walk.c"
GUEST_READ = "arch/riscv/kvm/guest_read.c"
GSTAGE_H = "arch/riscv/kvm/gstage_walk.h"
GATHER = "lib/pgtable-walk/gather.c"

NO_RCU = ("#define rcu_read_lock() do { } while (0)\n"
          "#define rcu_read_unlock() do { } while (0)")

# name, file, text, replacement, what to run, test that must fail
SABOTAGES = [
    ("plain store in the ager", WALK,
     "if (unlikely(!vpte_try_cmpxchg(ptep, &pte, new)))\n\t\t\t\t\twalk->stats.lost++;",
     "WRITE_ONCE(*ptep, new);", "asan", "test_lost_race"),
    ("cmpxchg replaced by WRITE_ONCE", PTE, "return try_cmpxchg(ptep, old, new);",
     "WRITE_ONCE(*ptep, new); return true;", "asan", "test_lost_race"),
    ("lost race retried", WALK, "if (unlikely(!vpte_try_cmpxchg(ptep, &pte, new)))",
     "if (unlikely(!vpte_try_cmpxchg(ptep, &pte, new) && !vpte_try_cmpxchg(ptep, &pte, new)))",
     "asan", "test_lost_race"),
    ("new value made from a second read", WALK,
     "next = ops->tighten(fmt, walk, &new);",
     "next = ops->tighten(fmt, walk, &new); pte = vpte_read(ptep);", "asan",
     "test_lost_race"),
    ("entry read again on descent", WALK, "tables[--level] = fmt->child(walk->pte);",
     "{ vpte_t *again = &tables[level][(walk->addr >> pgtable_level_shift(fmt, level)) & "
     "(level == top ? ~0ULL : mask)]; tables[--level] = fmt->child(vpte_read(again)); }",
     "asan", "test_one_snapshot_of_a_table"),
    ("entry read again for its kind", WALK, "switch (fmt->kind(pte, level)) {",
     "if (fmt->kind(pte, level) == PGTABLE_NONE)\n\tcontinue;\npte = vpte_read(ptep);\n"
     "switch (fmt->kind(pte, level)) {", "asan", "test_one_snapshot_of_a_leaf"),
    ("leaf test dropped", FORMAT, "if (pte & _PAGE_LEAF)", "if (!level)", "asan",
     "test_leaf_at_each_level"),
    ("leaf test at level 0 only", FORMAT, "if (pte & _PAGE_LEAF)",
     "if (!level && (pte & _PAGE_LEAF))", "asan", "test_leaf_at_each_level"),
    ("leaf test of the readable only", FORMAT, "if (pte & _PAGE_LEAF)", "if (pte & _PAGE_READ)",
     "asan", "test_format"),
    ("tables at level 0", FORMAT, "return level ? PGTABLE_TABLE : PGTABLE_NONE;",
     "return PGTABLE_TABLE;", "asan", "test_format"),
    ("tables aged as leaves", WALK, "\t\tcase PGTABLE_TABLE:\n\t\t\tif (!level)",
     "\t\tcase PGTABLE_TABLE:\n\t\t\tif (mode == PGTABLE_WALK_LOCKLESS)\n"
     "\t\t\t\tvpte_try_cmpxchg(ptep, &pte, pte & ~fmt->accessed);\n\t\t\tif (!level)", "asan",
     "test_leaf_at_each_level"),
    ("busy entries aged as leaves", WALK, "walk->stats.busy++;\n\t\t\tcontinue;",
     "walk->stats.busy++;\n\t\t\tbreak;", "asan", "test_busy_entries_left_alone"),
    ("RCU section dropped", GSTAGE_AGE, '#include "gstage_walk.h"',
     '#include "gstage_walk.h"\n' + NO_RCU, "asan", "test_ager_against_mmu"),
    ("RCU section and its assertions dropped", GSTAGE_AGE, "#include <linux/kvm_age.h>",
     "#undef RCU_LOCKDEP_WARN\n#define RCU_LOCKDEP_WARN(...) do { } while (0)\n" + NO_RCU +
     "\n#include <linux/kvm_age.h>", "asan", "test_ager_against_mmu"),
    ("stop after the first leaf", AGE,
     "\tif (!pgtable_leaf_young(fmt, walk->pte))\n\t\treturn PGTABLE_WALK_NEXT;",
     "\tif (!pgtable_leaf_young(fmt, walk->pte))\n\t\treturn PGTABLE_WALK_STOP;", "asan",
     "test_one_young_leaf"),
    ("clear the first young leaf only", AGE,
     "STOP;\n\n\t*new = pgtable_leaf_mkold(fmt, walk->pte);\n\treturn PGTABLE_WALK_NEXT;",
     "STOP;\n\n\t*new = pgtable_leaf_mkold(fmt, walk->pte);\n\treturn PGTABLE_WALK_STOP;", "asan",
     "test_random_trees"),
    ("root's extra index bits left out of the index", WALK, "level == top ? ~0ULL : mask, level, end);",
     "mask, level, end);", "asan", "test_root_index"),
    ("root's extra index bits left out of the width", FORMAT,
     " + GSTAGE_ROOT_EXTRA_BITS;", ";", "asan", "test_addr_bits"),
    ("width not looked at", WALK, "min(walk->end, 1ULL << tree->addr_bits)", "walk->end", "asan",
     "test_range_beyond_width"),
    ("levels not looked at", WALK, " || top >= PGTABLE_MAX_LEVELS)", ")", "asan",
     "test_impossible_levels"),
    ("accessed mask set to D", FORMAT, ".accessed = _PAGE_ACCESSED", ".accessed = _PAGE_DIRTY",
     "asan", "test_leaf_at_each_level"),
    ("accessed mask set to A and D", FORMAT, ".accessed = _PAGE_ACCESSED",
     ".accessed = _PAGE_ACCESSED | _PAGE_DIRTY", "asan", "test_leaf_at_each_level"),
    ("test that clears", AGE, "\tif (!age->clear)\n\t\treturn PGTABLE_WALK_STOP;",
     "\tif (!age->clear) {\n\t\t*new = pgtable_leaf_mkold(fmt, walk->pte);\n"
     "\t\treturn PGTABLE_WALK_STOP;\n\t}", "asan", "test_testing_changes_nothing"),
    ("test that goes on", AGE, "\tif (!age->clear)\n\t\treturn PGTABLE_WALK_STOP;",
     "\tif (!age->clear)\n\t\treturn PGTABLE_WALK_NEXT;", "asan", "test_one_young_leaf"),
    ("test of parts that clears", AGE, "return age->clear && (", "return (", "asan", "test_parts"),
    ("parts that clear a leaf beyond the range", AGE, "(addr >= age->start &&", "(1 ||", "asan",
     "test_parts"),
    ("bits of parts that nobody wants", AGE, "young[word] |= want;", "young[word] = ~0UL;", "asan",
     "test_parts"),
    ("answer of the last tree only", AGE, "age->stats.visited += walk", "age->stats.visited = walk",
     "asan", "test_answers_add_up"),
    ("answer that is never complete", AGE, "return !age->clear && !age->shift && age->stats.young;",
     "return false;", "asan", "test_answers_add_up"),
    ("answer that is complete before all is cleared", AGE, "return !age->clear && !age->shift &&",
     "return !age->shift &&", "asan", "test_answers_add_up"),
    ("parts that nobody wants", AGE, "\t\tany |= want;", "\t\tany |= 1;", "asan", "test_parts"),
    ("bits of wanted parts that the leaf does not map", AGE, "young[word] |= want;",
     "young[word] |= age->want[word];",
     "asan", "test_parts"),
    ("young ignored", WALK, "fmt->young ? fmt->young(leaf) :", "", "asan",
     "test_leaf_at_each_level"),
    ("mkold ignored", WALK, "fmt->mkold ? fmt->mkold(leaf) :", "", "asan",
     "test_leaf_at_each_level"),
    ("page behind the range", WALK, "last_page = (end - 1) >> shift",
     "last_page = end >> shift", "asan", "test_leaf_at_each_level"),
    ("table freed at once", GATHER, "call_rcu(&page->rcu_head, pgtable_free_rcu);",
     "pgtable_free_rcu(&page->rcu_head);", "asan", "test_ager_against_mmu"),
    ("table freed at once, seen as a race", GATHER, "call_rcu(&page->rcu_head, pgtable_free_rcu);",
     "pgtable_free_rcu(&page->rcu_head);", "tsan", "test_ager_against_mmu"),
    ("table linked without release", PTE, "smp_store_release(ptep, table_pte);",
     "WRITE_ONCE(*ptep, table_pte);", "tsan", "test_ager_against_mmu"),
    ("root published without release", ROOT, "smp_store_release(&root->word, word);",
     "WRITE_ONCE(root->word, word);", "tsan", "test_ager_against_mmu"),
    ("root freed without a grace period", ROOT, "\tif (tree.table)\n\t\tsynchronize_rcu();\n", "",
     "asan", "test_ager_against_mmu"),
    ("root given to all who retire it", ROOT, "__pgtable_root_decode(xchg(&root->word, 0));",
     "__pgtable_root_decode(READ_ONCE(root->word));\n\tpgtable_walk_stall();\n"
     "\tWRITE_ONCE(root->word, 0);", "asan",
     "test_retire_races"),
    ("entry read plainly", PTE, "return READ_ONCE(*ptep);", "return *ptep;", "tsan",
     "test_vpte_update_against_flips"),
    ("unmap by a plain store", GSTAGE_WALK, "vpte_xchg(ptep, 0);\n\tif (change->fence_start",
     "*ptep = 0;\n\tif (change->fence_start", "tsan", "test_ager_against_mmu"),
    ("write-protect by a store", GSTAGE_WALK,
     "WARN_ON_ONCE(!vpte_update(ptep, &old, _PAGE_WRITE, 0, fmt->volatile_bits));",
     "WARN_ON_ONCE(!vpte_update(ptep, &old, _PAGE_WRITE, 0, 0));", "asan",
     "test_ager_against_mmu"),
    ("vpte_update: entry read again before the write", PTE,
     "(seen & ~clear) | set));\n\n\t*old = seen;",
     "(vpte_read(ptep) & ~clear) | set));\n\n\t*old = seen;", "asan",
     "test_vpte_update_against_flips"),
    ("vpte_update: entry read again behind the write", PTE, "\t*old = seen;\n\treturn same;",
     "\t*old = vpte_read(ptep);\n\treturn same;", "asan", "test_vpte_update_keeps_volatile_bits"),
    ("vpte_update: snapshot replaced by a new one", PTE, "vpte_t seen = *old;",
     "vpte_t seen = *old = vpte_read(ptep);", "asan",
     "test_vpte_update_refuses_other_changes"),
    ("vpte_update: plain store", PTE,
     "while (same && !vpte_try_cmpxchg(ptep, &seen, (seen & ~clear) | set));",
     "while (0);\n\tif (same)\n\t\tWRITE_ONCE(*ptep, (seen & ~clear) | set);", "asan",
     "test_vpte_update_keeps_volatile_bits"),
    ("vpte_update: gives up", PTE,
     "while (same && !vpte_try_cmpxchg(ptep, &seen, (seen & ~clear) | set));",
     "while (0);\n\tsame = same && vpte_try_cmpxchg(ptep, &seen, (seen & ~clear) | set);",
     "asan", "test_vpte_update_keeps_volatile_bits"),
    ("no fence for leaves", GSTAGE_WALK, "else if (change->fence_start != change->fence_end)",
     "else if (0)", "asan", "test_fence_of_a_range"),
    ("no fence for leaves, seen by a vCPU", GSTAGE_WALK,
     "else if (change->fence_start != change->fence_end)", "else if (0)", "asan",
     "test_ager_against_mmu"),
    ("fence of a range a page too short", GSTAGE_WALK, "change->fence_end - change->fence_start,",
     "change->fence_end - change->fence_start - PAGE_SIZE,", "asan", "test_fence_of_a_range"),
    ("fence of a range a page too short, seen by a vCPU", GSTAGE_WALK,
     "change->fence_end - change->fence_start,",
     "change->fence_end - change->fence_start - PAGE_SIZE,", "asan", "test_ager_against_mmu"),
    ("fence of the first leaf only", GSTAGE_WALK, "\tchange->fence_end = walk->addr +",
     "\tif (change->fence_end <= change->fence_start)\n\t\tchange->fence_end = walk->addr +", "asan",
     "test_fence_of_a_range"),
    ("fence of the last leaf only", GSTAGE_WALK, "\tif (change->fence_start == change->fence_end) {",
     "\tif (1) {", "asan", "test_fence_of_a_range"),
    ("fence for the highest level", GSTAGE_WALK, "min(change->fence_level, walk->level)",
     "max(change->fence_level, walk->level)", "asan", "test_fence_of_mixed_levels"),
    ("fence for the level of the first leaf", GSTAGE_WALK,
     "\tchange->fence_level = min(change->fence_level, walk->level);\n", "", "asan",
     "test_fence_of_mixed_levels"),
    ("fence for the wrong level", GSTAGE_WALK, "change->fence_level));", "change->fence_level + 1));",
     "asan", "test_ager_against_mmu"),
    ("fence by address for tables", GSTAGE_WALK,
     "if (!pgtable_gather_empty(&change->tables))\n\t\tkvm_flush_remote_tlbs(change->kvm);\n\telse if",
     "if", "asan", "test_fence_of_a_table"),
    ("fence of the VMID for two leaves", GSTAGE_WALK,
     "\tif (!pgtable_gather_empty(&change->tables))\n", "\tif (change->fence_start != change->fence_end)\n",
     "asan", "test_fence_of_a_range"),
    ("tables freed before the fence", GSTAGE_WALK,
     "\tif (!pgtable_gather_empty(&change->tables))\n",
     "\tconst bool empty = pgtable_gather_empty(&change->tables);\n\n"
     "\tpgtable_gather_free(&change->tables);\n\tsynchronize_rcu();\n\tif (!empty)\n",
     "asan", "test_ager_against_mmu"),
    ("unmap that never yields", GSTAGE_WALK, "\t\treturn PGTABLE_WALK_STOP;\n\treturn PGTABLE_WALK_NEXT;",
     "\t\treturn PGTABLE_WALK_NEXT;\n\treturn PGTABLE_WALK_NEXT;", "asan", "test_unmap_yields"),
    ("unmap that yields for the CPU only", GSTAGE_WALK,
     "(need_resched() || gstage_needbreak(kvm))", "need_resched()", "asan", "test_unmap_yields"),
    ("unmap that yields at leaves only", GSTAGE_WALK,
     "fmt->child(vpte_xchg(ptep, 0)));\n\n\treturn gstage_next(change->kvm, change->may_block);",
     "fmt->child(vpte_xchg(ptep, 0)));\n\n\treturn PGTABLE_WALK_NEXT;", "asan",
     "test_unmap_yields"),
    ("unmap that yields where it must not", GSTAGE_WALK, "if (may_block && (need_resched()",
     "if ((need_resched()", "asan", "test_unmap_yields"),
    ("table kept because unmap yielded in it", GSTAGE_WALK,
     "\t\tgstage_flush_change(&change);",
     "\t\tgstage_flush_change(&change);\n\t\tchange.start = walk.next;", "asan",
     "test_unmap_yields"),
    ("unmap that gathers what was refilled while it yielded", GSTAGE_WALK,
     "(walk->addr >= change->resumed || gstage_table_empty(fmt, fmt->child(walk->pte)))", "1",
     "asan", "test_unmap_keeps_what_was_refilled"),
    ("table kept because unmap yielded in it, empty or not", GSTAGE_WALK,
     " || gstage_table_empty(fmt, fmt->child(walk->pte))", "", "asan", "test_unmap_yields"),
    ("write protection that never yields", GSTAGE_WALK,
     "_PAGE_WRITE, 0, fmt->volatile_bits));\n\treturn gstage_next(change->kvm, change->may_block);",
     "_PAGE_WRITE, 0, fmt->volatile_bits));\n\treturn PGTABLE_WALK_NEXT;", "asan",
     "test_wrprotect_yields"),
    ("teardown that never yields", GSTAGE_WALK,
     "return need_resched() ? PGTABLE_WALK_STOP : PGTABLE_WALK_NEXT;", "return PGTABLE_WALK_NEXT;",
     "asan", "test_teardown_yields"),
    ("teardown in pieces that keeps the CPU", GSTAGE_WALK, "\t\tcond_resched();\n", "", "asan",
     "test_teardown_yields"),
    ("teardown by a callback for each table", GSTAGE_WALK, "pgtable_gather_free_retired(&tables);",
     "pgtable_gather_free(&tables);", "asan", "test_teardown_yields"),
    ("loser of a retirement race frees", GSTAGE_WALK, "\tif (!tree.table)\n\t\treturn;",
     "\tif (!tree.table)\n\t\ttree = (struct pgtable_tree) { kvm->arch.pgd, 3, 41 };\n"
     "\tif (!tree.table)\n\t\treturn;", "asan", "test_ager_against_mmu"),
    ("walk that stops at a table's last entry and forgets the table", WALK,
     "if (stop && !ops->table_post && walk->next < end)", "if (stop && walk->next < end)", "asan",
     "test_unlink_in_small_pieces"),
    ("walk that stops at its end and is not done", WALK, "!ops->table_post && walk->next < end)",
     "!ops->table_post)", "asan", "test_stop_and_resume"),
    ("walk that does not stop behind a table", WALK, "\t\t\t\t\tstop = true;", "\t\t\t\t\t;", "asan",
     "test_unlink_in_pieces"),
    ("root published unseen", ROOT, "if (WARN_ON_ONCE(!pgtable_tree_valid(tree)))\n\t\tword = 0;", "",
     "asan", "test_publish_assertions"),
    ("guest read that nobody waits for", GUEST_READ,
     "WRITE_ONCE(vcpu->mode, READING_SHADOW_PAGE_TABLES);", "", "asan", "test_guest_read"),
    ("guest read that nobody waits for, seen by hardware", GUEST_READ,
     "WRITE_ONCE(vcpu->mode, READING_SHADOW_PAGE_TABLES);", "", "asan", "test_ager_against_mmu"),
    ("guest read without the fence of tables", GUEST_READ,
     "kvm_test_request(KVM_REQ_HFENCE_GVMA_VMID_ALL, vcpu) ||", "", "asan", "test_guest_read"),
    ("guest read without the fence of tables, seen by hardware", GUEST_READ,
     "kvm_test_request(KVM_REQ_HFENCE_GVMA_VMID_ALL, vcpu) ||", "", "asan", "test_ager_against_mmu"),
    ("guest read without the fence of leaves", GUEST_READ,
     "kvm_test_request(KVM_REQ_HFENCE, vcpu) ||", "", "asan", "test_ager_against_mmu"),
    ("guest read by the VMID of another VM", GUEST_READ, " || guest_read_foreign_vmid(vcpu))", ")",
     "asan", "test_guest_read"),
    ("guest read that leaves its translations to another VM", GUEST_READ,
     "\tif (guest_read_foreign_vmid(vcpu))\n", "\tif (0)\n", "asan", "test_guest_read"),
    ("guest read without the VMID of hgatp", GUEST_READ,
     " ||\n\t       guest_read_vmid() != READ_ONCE(vmid->vmid)", "", "asan", "test_guest_read"),
    ("VMID of another VM in hgatp", GSTAGE_H, "if (!kvm_riscv_gstage_vmid_ver_changed(vmid))",
     "if (1)", "asan", "test_hgatp_vmid"),
    ("no VMID in hgatp, and none asked for", GSTAGE_H,
     "\tkvm_make_request(KVM_REQ_UPDATE_HGATP, vcpu);\n", "", "asan", "test_hgatp_vmid"),
    ("huge leaf where addresses differ", GSTAGE_H,
     "!((start ^ slot->userspace_addr) & (size - 1)) && ", "", "asan", "test_leaf_size"),
    ("huge leaf that begins before the slot", GSTAGE_H, "leaf >= start &&\n", "1 &&\n", "asan",
     "test_leaf_size"),
    ("huge leaf that ends behind the slot", GSTAGE_H, "end - leaf >= size)", "1)", "asan",
     "test_leaf_size"),
    ("callback out of line", AGE,
     "static __always_inline enum pgtable_walk_next\n__pgtable_age_whole(",
     "static noinline enum pgtable_walk_next\n__pgtable_age_whole(", "objcheck", "gstage_age"),
    ("callback of parts out of line", AGE,
     "static __always_inline enum pgtable_walk_next\n__pgtable_age_parts(",
     "static noinline enum pgtable_walk_next\n__pgtable_age_parts(", "objcheck", "gstage_age"),
    ("format not constant", FORMAT, "static const struct pgtable_format gstage_format",
     "struct pgtable_format gstage_format", "objcheck", "gstage_age"),
]

TARGETS = {"asan": "check-asan", "tsan": "check-tsan", "objcheck": "objcheck"}


def copy(build):
    shutil.rmtree(build, ignore_errors=True)
    for part in ("include", "lib/pgtable-walk", "arch/riscv/kvm", "virt/kvm", "tools/testing/pgtable-walk"):
        shutil.copytree(TOP / part, build / part)


def failed_tests(build, file, old, new, kind, case):
    """Run the tests called case on a copy with old replaced by new. Returns the names of those that failed."""
    path = build / file
    text = path.read_text()
    if text.count(old) != 1:
        raise ValueError(f"{file}: text to replace is there {text.count(old)} times instead of once")
    path.write_text(text.replace(old, new))
    try:
        run = subprocess.run(
            ["make", "-s", f"-j{os.cpu_count()}", "-C", build / "tools/testing/pgtable-walk/host",
             TARGETS[kind], f"CASE={case}", f"BUILD={build}/out", "EXTRA_CFLAGS=-w"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            timeout=300)
    except subprocess.TimeoutExpired as error:
        raise ValueError("hung for 300 s") from error
    finally:
        path.write_text(text)
    if "KTAP" not in run.stdout:
        raise ValueError("does not build: " + run.stdout[:500])
    return re.findall(r"^ *not ok \d+ (?!pgtable-walk)(\w+)", run.stdout, re.M)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, type=pathlib.Path, help="scratch directory")
    parser.add_argument("--only", default="", help="run those whose name contains this text")
    args = parser.parse_args()
    build = args.build.resolve()

    todo = [s for s in SABOTAGES if args.only in s[0]]
    missed = 0
    copy(build)
    print(f"KTAP version 1\n1..{len(todo)}", flush=True)
    for nr, (name, file, old, new, kind, expected) in enumerate(todo, 1):
        try:
            failed = failed_tests(build, file, old, new, kind, expected)
            caught = expected in failed
            why = ("caught by " + ", ".join(dict.fromkeys(failed))) if failed else "not noticed"
        except ValueError as error:
            caught, why = False, str(error)
        print("\n".join("# " + line for line in why.splitlines()))
        print(f"{'ok' if caught else 'not ok'} {nr} {name}: {expected} ({kind})", flush=True)
        missed += not caught
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
