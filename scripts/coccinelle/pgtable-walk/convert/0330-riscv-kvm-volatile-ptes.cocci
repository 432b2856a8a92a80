// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Expect G-stage entries to change under mmu_lock
///
/// A walker without mmu_lock changes leaves and reads tables while they are
/// mapped. The function that maps is the last writer that stores plainly and
/// reads an entry more than once. It, and what looks leaves up in Linux 7.3,
/// have to:
///
///  - take one snapshot per level, and decide by that;
///  - link a new table with release order, so that software and hardware that
///    find it see it zeroed; this pairs with the address dependency in walks;
///  - replace the final entry by xchg, so that no cmpxchg of an aging walk
///    gets in between, and look at the new value to decide about a flush.
// File 6.12: arch/riscv/kvm/mmu.c
// Hunks: gstage_set_pte 5
// Applied: gstage_set_pte \bgstage_link_table\b
// Applied: gstage_set_pte \bgstage_xchg_pte\b
// File 7.3: arch/riscv/kvm/gstage.c
// Hunks: kvm_riscv_gstage_get_leaf 2
// Hunks: kvm_riscv_gstage_set_pte 6
// Applied: kvm_riscv_gstage_get_leaf \bpte = ptep_get\(ptep\)
// Applied: kvm_riscv_gstage_set_pte \bgstage_link_table\b
// Applied: kvm_riscv_gstage_set_pte \bgstage_xchg_pte\b

@@
typedef pte_t;
identifier f = { gstage_set_pte, kvm_riscv_gstage_set_pte };
identifier next_ptep, ptep;
expression level, table;
@@
 f(...)
 {
 	...
 	while (level) {
+		pte_t pte = ptep_get(ptep);
+
-		if (gstage_pte_leaf(ptep))
+		if (gstage_pte_leaf(&pte))
 			return -EEXIST;
 
-		if (!pte_val(ptep_get(ptep))) {
+		if (!pte_val(pte)) {
 			...
-			set_pte(ptep, table);
+			pte = table;
+			gstage_link_table(ptep, pte);
 		} else {
-			if (gstage_pte_leaf(ptep))
-				return -EEXIST;
-			next_ptep = (pte_t *)gstage_pte_page_vaddr(ptep_get(ptep));
+			next_ptep = (pte_t *)gstage_pte_page_vaddr(pte);
 		}
 		...
 	}
 	...
 }

@@
identifier new_pte, ptep;
@@
 gstage_set_pte(..., const pte_t *new_pte)
 {
 	<+...
-	set_pte(ptep, *new_pte);
-	if (gstage_pte_leaf(ptep))
+	gstage_xchg_pte(ptep, *new_pte);
+	if (gstage_pte_leaf(new_pte))
 		gstage_remote_tlb_flush(...);
 	...+>
 }

@replace@
identifier ptep, map, was_invalid;
expression visible;
expression list where;
@@
 kvm_riscv_gstage_set_pte(...)
 {
 	<+...
-	if (pte_val(*ptep) != pte_val(map->pte)) {
-		bool was_invalid = !pte_val(*ptep);
-		set_pte(ptep, map->pte);
+	old = gstage_xchg_pte(ptep, map->pte);
+	was_invalid = !pte_val(old);
+	if (pte_val(old) != pte_val(map->pte)) {
 		if (
-		    gstage_pte_leaf(ptep)
+		    gstage_pte_leaf(&map->pte)
 		    && visible)
 			gstage_tlb_flush(where);
 	}
 	...+>
 }

@depends on replace@
identifier replace.ptep, replace.was_invalid;
expression entry;
@@
 kvm_riscv_gstage_set_pte(...)
 {
 	...
 	pte_t *ptep = entry;
+	bool was_invalid;
+	pte_t old;
 	... when any
 }

@@
identifier ptep;
@@
 kvm_riscv_gstage_get_leaf(...)
 {
 	<+...
-	while (ptep && pte_val(ptep_get(ptep))) {
+	while (ptep) {
+		pte_t pte = ptep_get(ptep);
+
+		if (!pte_val(pte))
+			break;
+
-		if (gstage_pte_leaf(ptep)) {
+		if (gstage_pte_leaf(&pte)) {
 			...
 		}
 		...
 	}
 	...+>
 }

@@
identifier ptep;
@@
 kvm_riscv_gstage_get_leaf(...)
 {
 	<+...
-	ptep = (pte_t *)gstage_pte_page_vaddr(ptep_get(ptep));
+	ptep = (pte_t *)gstage_pte_page_vaddr(pte);
 	...+>
 }
