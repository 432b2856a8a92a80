// SPDX-License-Identifier: GPL-2.0
/// mm: multi-gen LRU: Query secondary MMUs once for a page table
///
/// Walks of page tables query secondary MMUs about every page, and so do the
/// looks at the neighbours of a page that reclaim found young. Most pages of a
/// guest are old, and for each of them a walk looks up its folio, a memslot
/// and a leaf, and takes mmu_lock.
///
/// Under the page-table lock, first test all entries of the table in one
/// query that changes nothing. Then look at those that are young in either
/// MMU, as in an address space without secondary MMUs. Last, make old what was
/// promoted, in a second query. What counts as young, and for whom, does not
/// change, nor do the statistics and the Bloom filters.
///
/// The first page of a look-around is still queried alone: unless it is young,
/// reclaim does not look at its neighbours. If such queries are refused, walks
/// query each page, as before.
///
/// Bit 3 of lru_gen/enabled stands for the queries. Without it, walks behave
/// as in an address space without secondary MMUs.
// File: mm/vmscan.c
// Hunks: - 1
// Hunks: get_pte_pfn 1
// Hunks: get_pmd_pfn 1
// Hunks: walk_pte_range 4
// Hunks: walk_pmd_range 1
// Hunks: walk_pmd_range_locked 6
// Hunks: lru_gen_look_around 4
// Applied: - "lru_gen_age\.h"
// Applied: get_pte_pfn \blru_gen_wants_old_pte\b
// Applied: get_pmd_pfn \bshould_query_secondary\b
// Applied: walk_pmd_range \bshould_query_secondary\b
// Applied: walk_pte_range \blru_gen_age_start\b
// Applied: walk_pmd_range_locked \blru_gen_age_clear_pmd\b
// Applied: lru_gen_look_around \blru_gen_age_start\b

@@
@@
 #include "internal.h"
+#include "lru_gen_age.h"

@@
expression mm;
@@
 get_pte_pfn(...)
 {
 	<...
-	mm_has_notifiers(mm)
+	lru_gen_wants_old_pte(mm)
 	...>
 }

@@
identifier f = { get_pmd_pfn, walk_pmd_range, walk_pmd_range_locked };
expression mm;
@@
 f(...)
 {
 	<...
-	mm_has_notifiers(mm)
+	should_query_secondary(mm)
 	...>
 }

@@
identifier args;
symbol walk;
attribute name __uninitialized;
@@
 walk_pte_range(..., struct mm_walk *args)
 {
 	...
 	struct lru_gen_mm_walk *walk = args->private;
+	struct lru_gen_age age __uninitialized;
 	...
 }

@@
identifier args;
symbol addr, start, end, i;
statement S;
@@
 walk_pte_range(..., struct mm_walk *args)
 {
 	<...
+	lru_gen_age_start(&age, args->mm, should_query_secondary(args->mm), start, end);
 	for (i = pte_index(start), addr = start; ...; ...) S
+	lru_gen_age_finish(&age, args->mm);
 	...>
 }

@@
identifier args;
symbol walk, addr, end, ptent, MM_LEAF_TOTAL;
@@
 walk_pte_range(..., struct mm_walk *args)
 {
 	<...
 	walk->mm_stats[MM_LEAF_TOTAL]++;
+
+	lru_gen_age_next(&age, args->mm, addr, end);
+	if (lru_gen_age_old(&age, addr, pte_young(ptent), PAGE_SHIFT))
+		continue;
 	...>
 }

@@
identifier args;
symbol walk;
@@
 walk_pmd_range_locked(..., struct mm_walk *args, ...)
 {
 	...
 	struct lru_gen_mm_walk *walk = args->private;
+	struct lru_gen_age age __uninitialized;
 	...
 }

@@
typedef pud_t;
identifier pud, addr, args, vma, first, bitmap;
identifier enable = { arch_enter_lazy_mmu_mode, lazy_mmu_mode_enable };
identifier disable = { arch_leave_lazy_mmu_mode, lazy_mmu_mode_disable };
symbol pmd;
@@
 walk_pmd_range_locked(pud_t *pud, unsigned long addr, struct vm_area_struct *vma,
		       struct mm_walk *args, unsigned long *bitmap, unsigned long *first)
 {
 	<...
(
+	lru_gen_age_start_pmds(&age, args->mm, pmd, *first, bitmap);
 	enable();
|
 	disable();
+	lru_gen_age_finish(&age, args->mm);
)
 	...>
 }

@@
identifier clear = { pmdp_clear_young_notify, pmdp_test_and_clear_young_notify };
symbol pmd, i, vma, addr, next;
expression pfn;
@@
 walk_pmd_range_locked(...)
 {
 	<...
(
 	pfn = get_pmd_pfn(pmd[i], vma, addr, ...);
 	if (pfn == -1)
 		goto next;
+
+	if (lru_gen_age_old(&age, addr, pmd_young(pmd[i]), PMD_SHIFT))
+		goto next;
|
-	clear(vma, addr, pmd + i)
+	lru_gen_age_clear_pmd(&age, vma, addr, pmd + i)
)
 	...>
 }

@@
symbol walk;
@@
 lru_gen_look_around(...)
 {
 	...
 	struct lru_gen_mm_walk *walk;
+	struct lru_gen_age age __uninitialized;
 	...
 }

@@
symbol pte, addr, start, end, i, vma;
statement S;
@@
 lru_gen_look_around(...)
 {
 	<...
+	lru_gen_age_start(&age, vma->vm_mm, should_query_secondary(vma->vm_mm), start, end);
 	for (i = 0, addr = start; ...; ...) S
+	lru_gen_age_finish(&age, vma->vm_mm);
 	...>
 }

@@
symbol pte, addr, end, i, nr, ptent, vma;
typedef pte_t;
@@
 lru_gen_look_around(...)
 {
 	<...
(
 	pte_t ptent = ptep_get(pte + i);
+
+	lru_gen_age_next(&age, vma->vm_mm, addr, end);
+	if (lru_gen_age_old(&age, addr, pte_young(ptent), PAGE_SHIFT))
+		continue;
|
 	nr = 1;
+
+	lru_gen_age_next(&age, vma->vm_mm, addr, end);
+	if (lru_gen_age_old(&age, addr, pte_young(ptent), PAGE_SHIFT))
+		continue;
)
 	...>
 }
