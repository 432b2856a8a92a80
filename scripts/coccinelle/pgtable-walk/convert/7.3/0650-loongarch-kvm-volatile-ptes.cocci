// SPDX-License-Identifier: GPL-2.0
/// LoongArch: KVM: Expect entries to change under mmu_lock
///
/// A walker without mmu_lock changes leaves and reads tables while faults are
/// handled. These read entries more than once, and store plainly. They have
/// to:
///
///  - take one snapshot per level, and decide by that;
///  - link a new table with release order, so that software and hardware that
///    find it see it initialised; this pairs with the address dependency in
///    walks;
///  - split a huge leaf by cmpxchg of the leaf that the table was made from.
///    If it was made old or used meanwhile, its pages would look as they were
///    before;
///  - make a leaf young or dirty by a cmpxchg loop, and young in any case: it
///    may have become old since it was looked at;
///  - replace the final entry by xchg, so that no cmpxchg of an aging walk
///    gets in between.
///
/// Split a huge leaf that a small one is to replace after a read fault, too.
/// Another vCPU may have mapped it since the fault, and without H the small
/// leaf would be taken for a table. Count what is mapped by the entry that was
/// there: a fault that makes a page writable maps no other one.
// File: arch/loongarch/kvm/mmu.c
// Hunks: - 1
// Hunks: _kvm_pte_init 1
// Hunks: kvm_populate_gpa 1
// Hunks: kvm_test_age_gfn 1
// Hunks: kvm_map_page_fast 5
// Hunks: kvm_split_huge 1
// Hunks: kvm_map_page 2
// Applied: - "gpa_pt_entry\.h"
// Applied: - !\bkvm_populate_gpa\b|\*kvm_split_huge\b
// Applied: kvm_map_page_fast \bgpa_pt_update_pte\b
// Applied: kvm_map_page \bgpa_pt_read_vpte\b

@@
@@
 #include <asm/kvm_mmu.h>
+
+#include "gpa_pt_entry.h"

@@
identifier f = { _kvm_pte_init, kvm_populate_gpa, kvm_split_huge };
type T;
@@
-static T f(...) { ... }

@@
expression kvm, cache, gpa, level;
@@
-kvm_populate_gpa(kvm, cache, gpa, level)
+gpa_pt_entry(kvm, cache, gpa, level)

@fast@
typedef kvm_pte_t, gfn_t;
identifier gfn;
expression e;
@@
 kvm_map_page_fast(...)
 {
 	...
 	gfn_t gfn = e;
+	kvm_pte_t pte;
 	... when any
 }

@@
identifier ptep;
@@
 kvm_map_page_fast(...)
 {
 	<...
-	if (!ptep || !kvm_pte_present(NULL, ptep)) {
+	pte = ptep ? gpa_pt_read_vpte(ptep) : 0;
+	if (!(pte & _PAGE_PRESENT)) {
 		...
 	}
 	...>
 }

@@
identifier ptep, new, changed;
@@
 kvm_map_page_fast(...)
 {
 	<...
(
 	new = kvm_pte_mkyoung(
-				*ptep
+				pte
 			       );
|
-	changed = new ^ (*ptep);
+	changed = new ^ pte;
 	if (changed)
-		kvm_set_pte(ptep, new);
+		gpa_pt_update_pte(ptep, pte, changed | _PAGE_ACCESSED);
)
 	...>
 }

@@
identifier ptep;
statement S;
@@
 kvm_map_page(...)
 {
 	<...
 	if (ptep && !kvm_pte_huge(
-				  *ptep
+				  gpa_pt_read_vpte(ptep)
 				  )) S
 	...>
 }
