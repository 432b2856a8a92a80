// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Expect G-stage entries to change under mmu_lock
///
/// A walker without mmu_lock changes leaves and reads tables while they are
/// mapped. gstage_set_pte() is the last writer that stores plainly and reads
/// an entry more than once. Make it:
///
///  - take one snapshot per level, and decide by that;
///  - link a new table with release order, so that software and hardware that
///    find it see it zeroed; this pairs with the address dependency in walks;
///  - replace the final entry by xchg, so that no cmpxchg of an aging walk
///    gets in between, and look at the new value to decide about a flush.
// File: arch/riscv/kvm/mmu.c
// Hunks: gstage_set_pte 5
// Applied: gstage_set_pte \bgstage_link_table\b
// Applied: gstage_set_pte \bgstage_xchg_pte\b

@@
typedef gpa_t, pte_t;
identifier kvm, level, pcache, addr, new_pte, next_ptep, ptep;
expression table;
@@
 gstage_set_pte(struct kvm *kvm, u32 level, struct kvm_mmu_memory_cache *pcache, gpa_t addr,
		const pte_t *new_pte)
 {
 	...
 	while (...) {
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
 
-	set_pte(ptep, *new_pte);
-	if (gstage_pte_leaf(ptep))
+	gstage_xchg_pte(ptep, *new_pte);
+	if (gstage_pte_leaf(new_pte))
 		gstage_remote_tlb_flush(...);
 	...
 }
