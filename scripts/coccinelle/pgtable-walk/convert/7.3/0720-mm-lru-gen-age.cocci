// SPDX-License-Identifier: GPL-2.0
// File: mm/vmscan.c
// Hunks: walk_pte_range 4
// Hunks: lru_gen_look_around 4
// Applied: walk_pte_range \blru_gen_age_clear_ptes\b
// Applied: lru_gen_look_around \blru_gen_age_clear_ptes\b

@@
identifier f = { walk_pte_range, lru_gen_look_around };
symbol ptent;
@@
 f(...)
 {
 	<...
 	pte_t ptent = ptep_get(...);
+	unsigned int skipped = 0;
 	...>
 }

@@
identifier f = { walk_pte_range, lru_gen_look_around };
symbol addr, start, nr, ptent, folio;
expression ptep;
@@
 f(...)
 {
 	<...
 	nr = folio_pte_batch_flags(folio, NULL, ptep, &ptent, ...);
+	skipped = lru_gen_age_skipped(&age, folio, ptep, &ptent, addr - start);
 	...>
 }

@@
identifier f = { walk_pte_range, lru_gen_look_around };
symbol addr, nr, ptent;
expression vma, ptep;
@@
 f(...)
 {
 	<...
-	if (!test_and_clear_young_ptes_notify(vma, addr, ptep, nr))
+	if (!lru_gen_age_clear_ptes(&age, vma, addr, ptep, nr, pte_young(ptent)))
 		continue;
 	...>
 }

@@
identifier f = { walk_pte_range, lru_gen_look_around };
symbol young, nr, walk, MM_LEAF_YOUNG;
@@
 f(...)
 {
 	<...
(
-	young += nr;
+	young += nr + skipped;
|
-	walk->mm_stats[MM_LEAF_YOUNG] += nr;
+	walk->mm_stats[MM_LEAF_YOUNG] += nr + skipped;
)
 	...>
 }
