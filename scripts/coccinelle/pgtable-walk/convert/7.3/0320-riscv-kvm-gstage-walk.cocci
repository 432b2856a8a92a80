// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Walk the G-stage with the shared walker
///
/// Unmapping and write-protection look up every page from the root, and read
/// each entry on the way up to three times. That breaks as soon as entries may
/// change meanwhile: if an entry is a table when it is classified and a leaf
/// when it is followed, guest memory is used as a page table. Use the shared
/// walker, which reads each entry once, steps from entry to entry, and calls
/// back.
///
/// The old code has these bugs, which go with it:
///
///  - Tables are never freed, neither when their range is unmapped nor with
///    the VM. Only leaves are ever looked up, so the branch that frees is
///    dead. It would free tables before they are fenced. Tables are freed
///    now, after unlink, HFENCE.GVMA and a grace period.
///  - A huge leaf that a range covers in part stays mapped, with a warning. It
///    is now unmapped as a whole, at the cost of a fault.
///  - An unmap that gives up mmu_lock meanwhile fences when it is done. Until
///    then vCPUs use pages that were unmapped.
///  - The root and the VMID are looked up before mmu_lock is taken, and not
///    again after it was given up. A fence is for that VMID, while vCPUs may
///    have the next one, under which they cached what is to be fenced.
///  - Two callers of ->release() may free the cache for splits at once.
///
/// Fence once per range, before mmu_lock is dropped. Write-protect without a
/// fence: those who collect dirty pages fence after mmu_lock already. When a
/// memslot is removed, or when its dirty logging begins, the caller may sleep:
/// drop mmu_lock there when it is contended or the CPU is needed.
///
/// The teardown of all tables moves to gstage_walk.c. It is the only user of
/// the retired root, so it frees tables without mmu_lock, and without a fence
/// or an RCU callback for each, and reschedules on the way.
// File: arch/riscv/include/asm/kvm_gstage.h
// Hunks: enum kvm_riscv_gstage_op 1
// Applied: - !kvm_riscv_gstage_(op|op_pte|unmap_range|wp_range|wp_pt_masked)\b
// File: arch/riscv/kvm/gstage.c
// Hunks: - 1
// Hunks: gstage_tlb_flush 1
// Hunks: kvm_riscv_gstage_op_pte 1
// Hunks: kvm_riscv_gstage_unmap_range 1
// Hunks: kvm_riscv_gstage_wp_range 1
// Hunks: clear_huge_mask 1
// Hunks: kvm_riscv_gstage_wp_pt_masked 1
// Applied: - "gstage_walk\.h"
// Applied: - !\bkvm_riscv_gstage_(op_pte|unmap_range|wp_range|wp_pt_masked)\(
// Applied: gstage_tlb_flush \bgstage_fence\b
// File: arch/riscv/kvm/mmu.c
// Hunks: mmu_wp_memory_region 3
// Hunks: kvm_riscv_mmu_iounmap 3
// Hunks: kvm_arch_mmu_enable_log_dirty_pt_masked 1
// Hunks: kvm_arch_flush_shadow_memslot 3
// Hunks: kvm_unmap_gfn_range 2
// Hunks: kvm_riscv_mmu_free_pgd 1
// Applied: - !\bkvm_riscv_gstage_(op_pte|unmap_range|wp_range|wp_pt_masked)\(
// Applied: kvm_riscv_mmu_free_pgd !\bflush\b

@@
@@
-enum kvm_riscv_gstage_op { ... };

@@
type T;
identifier f = {
	kvm_riscv_gstage_op_pte,
	kvm_riscv_gstage_unmap_range,
	kvm_riscv_gstage_wp_range,
	kvm_riscv_gstage_wp_pt_masked
};
@@
-T f(...);

@@
@@
 #include <asm/hwcap.h>
+
+#include "gstage_walk.h"

@@
expression addr, size, order;
identifier gstage;
@@
 gstage_tlb_flush(struct kvm_gstage *gstage, ...)
 {
 	<...
-	kvm_riscv_hfence_gvma_vmid_gpa(gstage->kvm, -1UL, 0, addr, size, order, gstage->vmid);
+	gstage_fence(gstage->kvm, addr, size, order);
 	...>
 }

@@
type T;
identifier f = {
	kvm_riscv_gstage_op_pte,
	kvm_riscv_gstage_unmap_range,
	kvm_riscv_gstage_wp_range,
	clear_huge_mask,
	kvm_riscv_gstage_wp_pt_masked,
	kvm_riscv_mmu_free_pgd
};
@@
-T f(...) { ... }

@@
identifier kvm, start, end, gstage, flush;
@@
 mmu_wp_memory_region(struct kvm *kvm, ...)
 {
 	...
-	struct kvm_gstage gstage;
-	bool flush;
-
-	kvm_riscv_gstage_init(&gstage, kvm);
 	write_lock(&kvm->mmu_lock);
-	flush = kvm_riscv_gstage_wp_range(&gstage, start, end);
+	gstage_wrprotect(kvm, start, end, true);
 	write_unlock(&kvm->mmu_lock);
-	if (flush)
-		kvm_flush_remote_tlbs_memslot(
+	kvm_flush_remote_tlbs_memslot(
 	...);
 }

@@
identifier kvm;
expression gstage, base_gfn, mask;
@@
 kvm_arch_mmu_enable_log_dirty_pt_masked(struct kvm *kvm, ...)
 {
 	...
-	kvm_riscv_gstage_wp_pt_masked(gstage, base_gfn, mask);
+	mmu_wp_masked(kvm, base_gfn, mask);
 	...
 }

@@
identifier kvm, gpa, size, gstage, flush;
symbol false, true;
@@
 kvm_arch_flush_shadow_memslot(struct kvm *kvm, ...)
 {
 	...
-	struct kvm_gstage gstage;
-	bool flush;
-
-	kvm_riscv_gstage_init(&gstage, kvm);
 	write_lock(&kvm->mmu_lock);
-	flush = kvm_riscv_gstage_unmap_range(&gstage, gpa, size, false);
+	gstage_unmap(kvm, gpa, gpa + size, true);
 	write_unlock(&kvm->mmu_lock);
-	if (flush)
-		kvm_flush_remote_tlbs_range(...);
 }

@@
identifier kvm, gpa, size, gstage, flush;
@@
 kvm_riscv_mmu_iounmap(struct kvm *kvm, gpa_t gpa, unsigned long size)
 {
-	struct kvm_gstage gstage;
-	bool flush;
-
-	kvm_riscv_gstage_init(&gstage, kvm);
-
 	write_lock(&kvm->mmu_lock);
-	flush = kvm_riscv_gstage_unmap_range(&gstage, gpa, size, false);
+	gstage_unmap(kvm, gpa, gpa + size, false);
 	write_unlock(&kvm->mmu_lock);
-
-	if (flush)
-		kvm_flush_remote_tlbs_range(...);
 }

@@
identifier kvm, range, gstage, flush;
@@
 kvm_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range)
 {
-	struct kvm_gstage gstage;
-	bool flush;
-
 	...
-	kvm_riscv_gstage_init(&gstage, kvm);
-	flush = kvm_riscv_gstage_unmap_range(&gstage, range->start << PAGE_SHIFT,
-					     (range->end - range->start) << PAGE_SHIFT,
-					     range->may_block);
-	if (flush)
-		kvm_flush_remote_tlbs_range(...);
+	gstage_unmap(kvm, range->start << PAGE_SHIFT, range->end << PAGE_SHIFT, range->may_block);
 	return false;
 }
