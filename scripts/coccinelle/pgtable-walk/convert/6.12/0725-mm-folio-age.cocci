// SPDX-License-Identifier: GPL-2.0
/// mm: multi-gen LRU: Query secondary MMUs once for an old folio
///
/// Eviction walks the mappings of a folio, and queries secondary MMUs about
/// each page of it alone. Most folios that it comes to are old. So a folio of
/// 64K takes sixteen queries, and each looks up a memslot and walks down to a
/// leaf.
///
/// Test all pages of the folio that one page table maps in one query, which
/// changes nothing, and skip those that it finds old. A page that is young is
/// made old by a query of its own, as before, and the look-around that follows
/// does the same for its neighbours.
///
/// Where MGLRU is off, eviction flushes the TLB with each page that was young:
/// there is no query about many pages that does so, and nothing changes.
// File: mm/rmap.c
// Hunks: - 1
// Hunks: folio_referenced_one 2
// Applied: folio_referenced_one \bfolio_age_init\b
// Applied: - "folio_age\.h"
// File: mm/vmscan.c
// Hunks: - 1
// Hunks: lru_gen_look_around 1
// Applied: - "folio_age\.h"
// Applied: lru_gen_look_around \bfolio_age_clear_pte\b

@@
@@
 #include "internal.h"
+#include "folio_age.h"

@@
symbol referenced;
attribute name __uninitialized;
@@
 folio_referenced_one(...)
 {
 	...
 	int referenced = 0;
+	struct folio_age age __uninitialized;
 	...
 }

@@
symbol pvmw;
statement S;
@@
 folio_referenced_one(...)
 {
 	<...
+	folio_age_init(&age, &pvmw);
 	while (page_vma_mapped_walk(&pvmw)) S
 	...>
 }

@@
symbol pvmw, vma, addr, pte;
@@
 lru_gen_look_around(...)
 {
 	<...
-	ptep_clear_young_notify(vma, addr, pte)
+	folio_age_clear_pte(pvmw, vma, addr, pte)
 	...>
 }
