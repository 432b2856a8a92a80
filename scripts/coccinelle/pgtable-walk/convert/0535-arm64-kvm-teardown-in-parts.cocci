// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Tear down a stage 2 in parts
///
/// The end of a VM frees its stage 2 in a single walk, however many tables there are: a
/// TiB of 4K mappings takes a quarter of a billion visits, and where the kernel can't be
/// preempted the CPU does nothing else meanwhile.
///
/// End the walk after as many entries as a table has, offer the CPU to others, and go on
/// where it ended. Entries are counted, and not the memory that they map, so that tables
/// full of nothing count as well, and a wide address space that is not used costs
/// nothing. An entry is cleared when what it holds is freed: the next part looks at the
/// last one again, and may come to the same table from above.
///
/// EL2 has nobody to offer the CPU to and does it in one go, as before.
// File: arch/arm64/kvm/mmu.c
// Hunks: kvm_free_stage2_pgd 1
// Applied: kvm_free_stage2_pgd \bstage2_destroy\b

@@
identifier mmu, pgt;
@@
 kvm_free_stage2_pgd(struct kvm_s2_mmu *mmu)
 {
 	<...
-	kvm_pgtable_stage2_destroy(pgt);
+	stage2_destroy(pgt);
 	...>
 }
