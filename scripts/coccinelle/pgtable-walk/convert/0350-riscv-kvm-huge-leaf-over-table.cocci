// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Don't lose a table to the huge leaf that replaces it
///
/// When dirty logging ends, hugetlbfs memory is mapped by huge leaves again.
/// They are written over the entries that point to tables of pages. Each of
/// these tables is lost, and vCPUs may go on with translations that were
/// cached from it, as a fence by address only covers leaf entries. Unmap what
/// is below the entry first. That frees the table after a fence of the VMID
/// and a grace period.
// File 6.12: arch/riscv/kvm/mmu.c
// Hunks: gstage_set_pte 1
// Applied: gstage_set_pte PGTABLE_WALK_TABLE
// File 7.3: arch/riscv/kvm/gstage.c
// Hunks: kvm_riscv_gstage_set_pte 1
// Applied: kvm_riscv_gstage_set_pte PGTABLE_WALK_TABLE

@@
typedef gpa_t, pte_t;
identifier kvm, level, pcache, addr, new_pte, ptep;
@@
 gstage_set_pte(struct kvm *kvm, u32 level, struct kvm_mmu_memory_cache *pcache, gpa_t addr,
		const pte_t *new_pte)
 {
 	...
+	if (gstage_entry_kind(ptep, level) == PGTABLE_WALK_TABLE)
+		gstage_unmap_entry(kvm, level, addr);
 	gstage_xchg_pte(ptep, *new_pte);
 	...
 }

@@
identifier gstage, map, ptep, old;
@@
 kvm_riscv_gstage_set_pte(struct kvm_gstage *gstage, ..., const struct kvm_gstage_mapping *map)
 {
 	...
+	if (gstage_entry_kind(ptep, map->level) == PGTABLE_WALK_TABLE)
+		gstage_unmap_entry(gstage->kvm, map->level, map->addr);
 	old = gstage_xchg_pte(ptep, map->pte);
 	...
 }
