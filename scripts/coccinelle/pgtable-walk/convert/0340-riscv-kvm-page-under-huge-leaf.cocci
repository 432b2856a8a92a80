// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Let a page be mapped where a huge leaf is
///
/// While dirty pages are logged, memory is mapped in pages of 4 KiB. A write
/// to hugetlbfs memory that was mapped before finds the huge leaf, gets
/// -EEXIST, and KVM_RUN fails. Unmap the leaf and go on: the rest of what it
/// maps faults in again, page by page.
///
/// Linux 7.3 splits the leaf then. There this is for what KVM itself maps, and
/// for a split that lacks memory.
// File 6.12: arch/riscv/kvm/mmu.c
// Hunks: gstage_set_pte 1
// Applied: gstage_set_pte !EEXIST
// File 7.3: arch/riscv/kvm/gstage.c
// Hunks: kvm_riscv_gstage_set_pte 1
// Applied: kvm_riscv_gstage_set_pte !EEXIST

@@
typedef gpa_t, pte_t;
identifier kvm, level, pcache, addr, new_pte, current_level;
@@
 gstage_set_pte(struct kvm *kvm, u32 level, struct kvm_mmu_memory_cache *pcache, gpa_t addr,
		const pte_t *new_pte)
 {
 	...
 	while (current_level != level) {
 		...
-		if (gstage_pte_leaf(&pte))
-			return -EEXIST;
+		if (gstage_pte_leaf(&pte)) {
+			gstage_unmap_entry(kvm, current_level, addr);
+			pte = __pte(0);
+		}
 		...
 	}
 	...
 }

@@
identifier gstage, map, current_level;
@@
 kvm_riscv_gstage_set_pte(struct kvm_gstage *gstage, ..., const struct kvm_gstage_mapping *map)
 {
 	...
 	while (current_level != map->level) {
 		...
-		if (gstage_pte_leaf(&pte))
-			return -EEXIST;
+		if (gstage_pte_leaf(&pte)) {
+			gstage_unmap_entry(gstage->kvm, current_level, map->addr);
+			pte = __pte(0);
+		}
 		...
 	}
 	...
 }
