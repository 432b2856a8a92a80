// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Split a huge leaf without losing its age
///
/// A huge leaf is split by a table that is filled from a snapshot of the leaf.
/// Aging may clear the leaf's A bit before the table is put in its place, and
/// hardware may set it. The store of the table would lose either: pages would
/// look young that were made old, or old although they were used. Replace the
/// leaf that the table was made from, and make the table anew if it changed.
///
/// Look at each entry once on the way down, too.
// File: arch/riscv/kvm/gstage.c
// Hunks: kvm_riscv_gstage_split_huge 6
// Applied: kvm_riscv_gstage_split_huge \bgstage_split_leaf\b
// Applied: kvm_riscv_gstage_split_huge !\bset_pte\b

@split@
typedef pte_t;
identifier ptep, next_ptep, huge_pte, child_pte, size, i;
expression table;
@@
 kvm_riscv_gstage_split_huge(...)
 {
 	<+...
-	for (i = 0; i < PTRS_PER_PTE; i++) {
-		child_pte = make_child_pte(huge_pte, i, size);
-		set_pte((pte_t *)&next_ptep[i], __pte(child_pte));
-	}
-
-	smp_wmb();
-
-	set_pte(ptep, table);
+	gstage_split_leaf(ptep, next_ptep, size);
 	...+>
 }

@@
identifier split.ptep, split.huge_pte;
@@
 kvm_riscv_gstage_split_huge(...)
 {
 	<+...
-	huge_pte = pte_val(ptep_get(ptep));
-
 	...+>
 }

@@
identifier split.ptep, split.next_ptep;
@@
 kvm_riscv_gstage_split_huge(...)
 {
 	<+...
-	if (!pte_val(ptep_get(ptep)))
+	pte = ptep_get(ptep);
+	if (!pte_val(pte))
 		break;

-	if (!gstage_pte_leaf(ptep)) {
-		next_ptep = (pte_t *)gstage_pte_page_vaddr(ptep_get(ptep));
+	if (!gstage_pte_leaf(&pte)) {
+		next_ptep = (pte_t *)gstage_pte_page_vaddr(pte);
 		...
 	}
 	...+>
 }

@@
identifier split.ptep;
@@
 kvm_riscv_gstage_split_huge(...)
 {
 	...
 	pte_t *ptep;
+	pte_t pte;
 	... when any
 }

@@
type T;
identifier split.huge_pte, split.i;
@@
 kvm_riscv_gstage_split_huge(...)
 {
 	<+...
(
-	T huge_pte;
|
-	T i;
)
 	...+>
 }

@@
type T;
identifier split.child_pte;
@@
 kvm_riscv_gstage_split_huge(...)
 {
 	<+...
-	T child_pte;
 	...+>
 }
