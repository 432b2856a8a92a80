// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Map a hugetlb page by a huge leaf only if it fits
///
/// KVM maps hugetlbfs memory by a leaf of its page size, wherever the memslot
/// is. If the guest physical and the user address differ modulo that size, the
/// leaf gets a pfn that is not aligned to it, and hardware faults on each
/// access. If the memslot begins or ends within the page, the leaf maps more
/// than the slot. Use a smaller size that fits.
// File: arch/riscv/kvm/mmu.c
// Hunks: kvm_riscv_gstage_map 2
// Applied: kvm_riscv_gstage_map \bgstage_leaf_size\b
// Applied: kvm_riscv_gstage_map !huge_page_mask

@@
identifier vcpu, memslot, gpa, hva, is_write, vma, vma_pagesize, gfn, logging;
@@
 kvm_riscv_gstage_map(struct kvm_vcpu *vcpu, struct kvm_memory_slot *memslot, gpa_t gpa,
		      unsigned long hva, bool is_write)
 {
 	...
 	if (logging || (vma->vm_flags & VM_PFNMAP))
 		vma_pagesize = PAGE_SIZE;
+	vma_pagesize = gstage_leaf_size(memslot, gpa, vma_pagesize);
 	...
 	if (vma_pagesize == PMD_SIZE || vma_pagesize == PUD_SIZE)
-		gfn = (gpa & huge_page_mask(hstate_vma(vma))) >> PAGE_SHIFT;
+		gfn = (gpa & ~(vma_pagesize - 1)) >> PAGE_SHIFT;
 	...
 }
