// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Mark folios dirty when they are mapped writable
///
/// Where SPTEs have no A/D bits, aging clears R, W and X, and with W the only
/// trace of a write to the page. So it marks the page dirty, which needs
/// mmu_lock: nothing else keeps the page from being unmapped, written back and
/// freed meanwhile, and then another page is marked dirty.
///
/// Mark the page when it is mapped, by faults and prefetches, if the host lets
/// KVM map it writable. They hold mmu_lock and a reference. Before a file
/// system writes a page back it has the page's mapping removed, so a later
/// write faults and marks the page again. Zapping still marks pages that were
/// written, at no extra cost.
///
/// A page that is writable in the host and that the guest only reads is now
/// marked dirty, too. 32-bit kernels don't change: they age with mmu_lock
/// held.
// Options: --macro-file-builtins spatch-fname.h
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: - 1
// Hunks: direct_pte_prefetch_many 1
// Hunks: direct_page_fault 1
// Hunks: kvm_tdp_mmu_page_fault 1
// Applied: - "spte_volatile\.h"
// Applied: direct_pte_prefetch_many \bkvm_mmu_release_prefetched_page\b
// Applied: direct_page_fault \bkvm_mmu_dirty_mapped_pfn\b
// Applied: kvm_tdp_mmu_page_fault \bkvm_mmu_dirty_mapped_pfn\b
// File: arch/x86/kvm/mmu/paging_tmpl.h
// Hunks: FNAME 2
// Applied: FNAME \bkvm_mmu_dirty_mapped_pfn\b
// Applied: FNAME \bkvm_mmu_release_prefetched_pfn\b

@@
@@
 #include "spte.h"
+#include "spte_volatile.h"

@@
@@
 direct_pte_prefetch_many(...)
 {
 	<...
-	put_page(
+	kvm_mmu_release_prefetched_page(
 	...);
 	...>
 }

@@
@@
 prefetch_gpte(...)
 {
 	<...
-	kvm_release_pfn_clean(
+	kvm_mmu_release_prefetched_pfn(
 	...);
 	...>
 }

@@
identifier f = { direct_page_fault, kvm_tdp_mmu_page_fault, page_fault };
identifier vcpu, fault, unlock;
symbol orig_pfn, r;
@@
 f(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
 {
 	<...
+	kvm_mmu_dirty_mapped_pfn(fault, orig_pfn, r);
 	unlock(&vcpu->kvm->mmu_lock);
 	kvm_release_pfn_clean(orig_pfn);
 	return r;
 	...>
 }
