// SPDX-License-Identifier: GPL-2.0
/// mm: multi-gen LRU: Query secondary MMUs once for a page table
///
/// Walks of page tables query secondary MMUs about every page, and so do the
/// looks at the neighbours of a page that reclaim found young. Collect the
/// pages in question under the page-table lock, before the walk comes to them,
/// and query up to 512 of them at once. A pass over 64 MiB of a guest takes 39
/// calls instead of 16384. What counts as young, and for whom, does not
/// change, nor do the statistics and the Bloom filters.
///
/// The first page of a look-around is still queried alone: unless it is young,
/// reclaim does not look at its neighbours.
///
/// With pgtable_walk.consult off, walks behave as in an address space without
/// secondary MMUs; with pgtable_walk.batch off, they query each page, as
/// before.
// File: mm/vmscan.c
// Hunks: - 1
// Hunks: get_pte_pfn 1
// Hunks: get_pmd_pfn 1
// Hunks: walk_pte_range 4
// Hunks: walk_pmd_range 1
// Hunks: walk_pmd_range_locked 5
// Hunks: lru_gen_look_around 4
// Applied: - "lru_gen_age\.h"
// Applied: get_pte_pfn \blru_gen_consults\b
// Applied: get_pmd_pfn \blru_gen_consults\b
// Applied: walk_pmd_range \blru_gen_consults\b
// Applied: walk_pte_range \blru_gen_age_clear_pte\b
// Applied: walk_pmd_range_locked \blru_gen_age_clear_pmd\b
// Applied: lru_gen_look_around \blru_gen_age_clear_pte\b

@@
@@
 #include "internal.h"
+#include "lru_gen_age.h"

@@
identifier f = { get_pte_pfn, get_pmd_pfn, walk_pmd_range, walk_pmd_range_locked };
expression mm;
@@
 f(...)
 {
 	<...
-	mm_has_notifiers(mm)
+	lru_gen_consults(mm)
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
symbol walk, memcg, pgdat, pte, addr, end, i, ptent;
typedef pte_t;
@@
 walk_pte_range(..., struct mm_walk *args)
 {
 	<...
(
+	lru_gen_age_init(&age, args->mm);
 	arch_enter_lazy_mmu_mode();
|
 	pte_t ptent = ptep_get(pte + i);
+
+	if (lru_gen_age_is_due(&age, addr))
+		lru_gen_age_ptes(&age, args->vma, pte + i, addr, end, memcg, pgdat,
+				 walk->can_swap);
|
-	if (!ptep_clear_young_notify(args->vma, addr, pte + i))
-		continue;
+	if (!lru_gen_age_clear_pte(&age, args->vma, addr, pte + i))
+		continue;
)
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
symbol walk, memcg, pgdat, pmd;
@@
 walk_pmd_range_locked(pud_t *pud, unsigned long addr, struct vm_area_struct *vma,
		       struct mm_walk *args, unsigned long *bitmap, unsigned long *first)
 {
 	<...
+	lru_gen_age_init(&age, args->mm);
 	arch_enter_lazy_mmu_mode();
+	lru_gen_age_pmds(&age, vma, pmd, *first, bitmap, memcg, pgdat, walk->can_swap);
 	...>
 }

@@
expression vma, addr, pmd;
@@
-pmdp_clear_young_notify(vma, addr, pmd)
+lru_gen_age_clear_pmd(&age, vma, addr, pmd)

@@
symbol walk, memcg, pgdat, pte, addr, end, i, ptent, vma, can_swap;
typedef pte_t;
@@
 lru_gen_look_around(...)
 {
 	...
 	struct lru_gen_mm_walk *walk;
+	struct lru_gen_age age __uninitialized;
 	...
 }

@@
symbol memcg, pgdat, pte, addr, end, i, ptent, vma, can_swap;
typedef pte_t;
@@
 lru_gen_look_around(...)
 {
 	<...
(
+	lru_gen_age_init(&age, vma->vm_mm);
 	arch_enter_lazy_mmu_mode();
|
 	pte_t ptent = ptep_get(pte + i);
+
+	if (lru_gen_age_is_due(&age, addr))
+		lru_gen_age_ptes(&age, vma, pte + i, addr, end, memcg, pgdat, can_swap);
|
-	if (!ptep_clear_young_notify(vma, addr, pte + i))
-		continue;
+	if (!lru_gen_age_clear_pte(&age, vma, addr, pte + i))
+		continue;
)
 	...>
 }
