// SPDX-License-Identifier: GPL-2.0
// File: mm/vmscan.c
// Hunks: walk_pte_range 1
// Hunks: lru_gen_look_around 1
// Applied: walk_pte_range \blru_gen_age_clear_ptes\b
// Applied: lru_gen_look_around \blru_gen_age_clear_ptes\b

@@
identifier f = { walk_pte_range, lru_gen_look_around };
symbol addr, i, pte, ptent;
expression vma;
@@
 f(...)
 {
 	<...
-	ptep_clear_young_notify(vma, addr, pte + i)
+	lru_gen_age_clear_ptes(&age, vma, addr, pte + i, 1, pte_young(ptent))
 	...>
 }
