// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Set the A bit in the fast path of write faults
///
/// While dirty pages are logged, a fast path makes pages writable again. It
/// takes a page that is writable and dirty for one that another vCPU was
/// faster with, and returns. But where hardware does not set A bits (Svade), a
/// guest also faults on a page that aging made old: it would do so forever.
/// Set the A bit as well.
// File: arch/riscv/kvm/mmu.c
// Hunks: kvm_riscv_mmu_dirty_log_write_fault_fast 2
// Applied: kvm_riscv_mmu_dirty_log_write_fault_fast \bpte_mkyoung\b
// Applied: kvm_riscv_mmu_dirty_log_write_fault_fast \b_PAGE_ACCESSED\b

@@
expression pte;
@@
 kvm_riscv_mmu_dirty_log_write_fault_fast(...)
 {
 	<+...
(
-	_PAGE_WRITE | _PAGE_DIRTY
+	_PAGE_WRITE | _PAGE_DIRTY | _PAGE_ACCESSED
|
-	pte_mkdirty(pte)
+	pte_mkyoung(pte_mkdirty(pte))
)
 	...+>
 }
