// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Resolve a fault where a transparent huge page is split
///
/// If a transparent huge page backs the address of a fault, the address is
/// rounded down to that page. Where the G-stage still has a table there, from
/// when dirty pages were logged, only the entry of the first page is then
/// looked at, and made young and writable. A guest that faults on another
/// page, for example on one that aging made old where hardware does not set A
/// bits (Svade), faults forever.
///
/// Keep the address, as is done for hugetlbfs. The level says how much of it
/// counts when a huge leaf is written.
// File: arch/riscv/kvm/mmu.c
// Hunks: transparent_hugepage_adjust 2
// Hunks: kvm_riscv_mmu_map 1
// Applied: transparent_hugepage_adjust !\bgpa\b
// Applied: kvm_riscv_mmu_map \btransparent_hugepage_adjust\(kvm, memslot, hva,\s+&hfn\)

@@
typedef gpa_t, kvm_pfn_t;
identifier kvm, memslot, hva, hfnp, gpa;
@@
 transparent_hugepage_adjust(struct kvm *kvm, struct kvm_memory_slot *memslot,
-			    unsigned long hva, kvm_pfn_t *hfnp, gpa_t *gpa)
+			    unsigned long hva, kvm_pfn_t *hfnp)
 {
 	<+...
-	*gpa &= PMD_MASK;
 	...+>
 }

@@
expression kvm, memslot, hva, hfnp, gpa;
@@
-transparent_hugepage_adjust(kvm, memslot, hva, hfnp, gpa)
+transparent_hugepage_adjust(kvm, memslot, hva, hfnp)
