// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Free the cache for eager splitting once
///
/// ->release() may run twice at the same time: when a process exits while
/// another one closes the last file of its VM. Under mmu_lock only one of the
/// two gets mmu->pgt, but then both free the pages that dirty logging left in
/// split_page_cache, without a lock.
///
/// Free the cache where mmu->pgt was taken.
// File: arch/arm64/kvm/mmu.c
// Hunks: kvm_uninit_stage2_mmu 1
// Hunks: kvm_free_stage2_pgd 1
// Applied: kvm_uninit_stage2_mmu !\bsplit_page_cache\b
// Applied: kvm_free_stage2_pgd \bsplit_page_cache\b

@@
@@
 kvm_uninit_stage2_mmu(...)
 {
 	...
-	kvm_mmu_free_memory_cache(...);
 }

@@
identifier mmu, pgt, destroy = { kvm_pgtable_stage2_destroy, kvm_stage2_destroy };
@@
 kvm_free_stage2_pgd(struct kvm_s2_mmu *mmu)
 {
 	<...
+	kvm_mmu_free_memory_cache(&mmu->split_page_cache);
 	destroy(pgt);
 	...>
 }
