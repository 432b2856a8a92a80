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
/// A range is fenced once, before mmu_lock is dropped, and not once per leaf; and
/// write-protected without a fence, for those who collect dirty pages have one behind
/// mmu_lock already. Where a memslot goes or its log of dirty pages begins, which sleeps
/// anyway, mmu_lock is dropped when somebody waits for it or for the CPU.
///
/// The end of all tables moves to gstage_walk.c: it owns what hangs on the retired root,
/// so it frees tables without mmu_lock, a fence or an RCU callback each, and gives the
/// CPU up on the way.
// File: arch/riscv/kvm/mmu.c
// Hunks: gstage_level_to_page_size 1
// Hunks: enum gstage_op 1
// Hunks: gstage_op_pte 1
// Hunks: gstage_unmap_range 1
// Hunks: gstage_wp_range 1
// Hunks: gstage_wp_memory_region 1
// Hunks: kvm_riscv_gstage_iounmap 1
// Hunks: kvm_arch_mmu_enable_log_dirty_pt_masked 1
// Hunks: kvm_arch_flush_shadow_memslot 1
// Hunks: kvm_unmap_gfn_range 1
// Hunks: kvm_riscv_gstage_free_pgd 1
// Applied: - !\bgstage_(level_to_page_size|op_pte|unmap_range|wp_range)\(
// Applied: - !enum gstage_op

@@
type T;
identifier f = {
	gstage_level_to_page_size,
	gstage_op_pte,
	gstage_unmap_range,
	gstage_wp_range,
	kvm_riscv_gstage_free_pgd
};
@@
-T f(...) { ... }

@@
@@
-enum gstage_op { ... };

@@
expression kvm, start, end;
symbol true, false;
@@
 gstage_wp_memory_region(...)
 {
 	...
-	gstage_wp_range(kvm, start, end);
+	gstage_wrprotect(kvm, start, end, true);
 	...
 }

@@
expression kvm, start, end;
@@
-gstage_wp_range(kvm, start, end)
+gstage_wrprotect(kvm, start, end, false)

@@
expression kvm, start, size;
@@
 kvm_arch_flush_shadow_memslot(...)
 {
 	...
-	gstage_unmap_range(kvm, start, size, false);
+	gstage_unmap(kvm, start, start + size, true);
 	...
 }

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
