// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Tear down a stage 2 in parts
///
/// The teardown of a VM frees its stage 2 in a single walk, no matter how many
/// tables there are. A TiB of 4K mappings takes 268 million visits, and on a
/// kernel that cannot be preempted the CPU does nothing else meanwhile.
///
/// End the walk after as many entries as a table has, reschedule, and go on
/// where it ended. Count entries and not the memory that they map, so that
/// tables without mappings count as well, and a wide address space that is not
/// used costs nothing. Clear an entry when what it holds is freed: the next
/// part visits the last one again, and may reach the same table from above.
///
/// EL2 cannot reschedule and frees everything in one walk, as before.
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
