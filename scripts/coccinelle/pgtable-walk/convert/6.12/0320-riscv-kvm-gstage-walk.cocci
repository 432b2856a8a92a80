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
/// The old code has two bugs, which go with it:
///
///  - Tables are never freed, neither when their range is unmapped nor with
///    the VM. Only leaves are ever looked up, so the branch that frees is
///    dead, and each VM of 100 MiB loses 58 pages. Tables are freed now, after
///    unlink, HFENCE.GVMA and a grace period.
///  - A huge leaf that a range covers in part stays mapped, or writable. It is
///    now unmapped or write-protected as a whole, at the cost of a fault.
///
/// Fence once per range, before mmu_lock is dropped, and not once per leaf.
/// Write-protect without a fence: those who collect dirty pages fence after
/// mmu_lock already. When a memslot is removed, or when its dirty logging
/// begins, the caller may sleep: drop mmu_lock there when it is contended or
/// the CPU is needed.
///
/// The teardown of all tables moves to gstage_walk.c. It is the only user of
/// the retired root, so it frees tables without mmu_lock, and without a fence
/// or an RCU callback for each, and reschedules on the way.
// File: arch/riscv/include/asm/kvm_host.h
// Hunks: - 1
// Applied: - !\bkvm_riscv_gstage_free_pgd\b
// File: arch/riscv/kvm/vm.c
// Hunks: - 1
// Applied: - "gstage_walk\.h"
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
-void kvm_riscv_gstage_free_pgd(struct kvm *kvm);

@vm@
@@
 kvm_arch_init_vm(...) { ... }

@depends on vm@
@@
 #include <linux/kvm_host.h>
+
+#include "gstage_walk.h"

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
