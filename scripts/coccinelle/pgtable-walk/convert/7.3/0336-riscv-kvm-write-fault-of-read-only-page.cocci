// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Don't let write faults skip the copy of a shared page
///
/// While dirty pages are logged, a page that a guest reads first is mapped
/// read-only, be it the zero page, a page that KSM shares, or one of a file
/// that is mapped privately. The fast path of write faults makes any page
/// writable that it finds, without asking the host: the guest then writes to
/// what others see. Use a software bit to remember that a page was writable
/// when it was mapped, and leave others to the slow path. If the host takes a
/// write permission back, it has KVM unmap the page first.
// File: arch/riscv/kvm/gstage.c
// Hunks: kvm_riscv_gstage_map_page 1
// Applied: kvm_riscv_gstage_map_page \bKVM_GSTAGE_PTE_WAS_WRITABLE\b
// File: arch/riscv/kvm/mmu.c
// Hunks: kvm_riscv_mmu_dirty_log_write_fault_fast 1
// Applied: kvm_riscv_mmu_dirty_log_write_fault_fast \bKVM_GSTAGE_PTE_WAS_WRITABLE\b

@@
identifier page_rdonly, page_exec, found_leaf;
statement S1, S2;
@@
 kvm_riscv_gstage_map_page(..., bool page_rdonly, bool page_exec, ...)
 {
 	...
 	if (page_exec) S1 else S2
+	if (!page_rdonly)
+		prot = __pgprot(pgprot_val(prot) | KVM_GSTAGE_PTE_WAS_WRITABLE);

 	found_leaf = kvm_riscv_gstage_get_leaf(...);
 	... when any
 }

@@
expression pte;
@@
 kvm_riscv_mmu_dirty_log_write_fault_fast(...)
 {
 	<+...
-	!(pte_val(pte) & _PAGE_LEAF)
+	!(pte_val(pte) & KVM_GSTAGE_PTE_WAS_WRITABLE)
 	...+>
 }
