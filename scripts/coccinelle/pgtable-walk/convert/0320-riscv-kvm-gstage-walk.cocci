// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Walk the G-stage with the shared walker
///
/// Unmapping and write-protection look up every page from the root, reading each
/// entry on the way up to three times. That goes wrong as soon as entries may
/// change meanwhile: an entry that was a table when it was classified and is a leaf
/// when it is followed makes guest memory pass for a page table. Let the shared
/// walker do it, which looks once, steps from entry to entry, and tells callbacks.
///
/// Two bugs go with the old code. Tables are never freed, neither when their range
/// is unmapped nor with the VM: only leaves are ever looked up, so that the branch
/// which frees is dead (58 pages are lost with each VM of 100 MiB). They now are,
/// after unlink, HFENCE.GVMA and a grace period. And a huge leaf that a range covers
/// in part stayed mapped, or writable. It now is unmapped or write-protected as a
/// whole, which costs a fault.
///
/// A range of more than one leaf is fenced once, before mmu_lock is dropped, and not
/// once per leaf.
// File: arch/riscv/kvm/mmu.c
// Hunks: 6.12 gstage_level_to_page_size 1
// Hunks: 6.12 enum gstage_op 1
// Hunks: 6.12 gstage_op_pte 1
// Hunks: 6.12 gstage_unmap_range 1
// Hunks: 6.12 gstage_wp_range 1
// Hunks: 6.12 gstage_wp_memory_region 1
// Hunks: 6.12 kvm_riscv_gstage_iounmap 1
// Hunks: 6.12 kvm_arch_mmu_enable_log_dirty_pt_masked 1
// Hunks: 6.12 kvm_arch_flush_shadow_memslot 1
// Hunks: 6.12 kvm_unmap_gfn_range 1
// Hunks: 6.12 kvm_riscv_gstage_free_pgd 1
// Applied: 6.12 - !\bgstage_(level_to_page_size|op_pte|unmap_range|wp_range)\(
// Applied: 6.12 - !enum gstage_op

@@
expression kvm;
@@
-		gstage_unmap_range(kvm, 0UL, gstage_gpa_size, false);
+		gstage_unmap_tree(kvm, &tree);

@@
type T;
identifier f = {
	gstage_level_to_page_size,
	gstage_op_pte,
	gstage_unmap_range,
	gstage_wp_range
};
@@
-static T f(...) { ... }

@@
@@
-enum gstage_op { ... };

@@
expression kvm, start, end;
@@
-gstage_wp_range(kvm, start, end)
+gstage_wrprotect(kvm, start, end)

@@
expression kvm, may_block;
identifier range, start, size;
@@
(
-gstage_unmap_range(kvm, range->start << PAGE_SHIFT,
-		   (range->end - range->start) << PAGE_SHIFT, may_block)
+gstage_unmap(kvm, range->start << PAGE_SHIFT, range->end << PAGE_SHIFT, may_block)
|
-gstage_unmap_range(kvm, start, size, may_block)
+gstage_unmap(kvm, start, start + size, may_block)
)
