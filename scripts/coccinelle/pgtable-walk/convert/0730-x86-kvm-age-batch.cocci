// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Age many pages in one walk
///
/// Walk each root of the TDP MMU once, and the rmaps level by level. Don't
/// lock a head none of whose pages are wanted.
// Options: --max-width 100
// File: arch/x86/kvm/mmu/tdp_mmu.h
// Hunks: - 2
// Applied: - ^struct pgtable_age_batch;
// Applied: - \bkvm_tdp_mmu_age_batch\b

@@
@@
+struct pgtable_age_batch;
+
 void kvm_mmu_init_tdp_mmu(struct kvm *kvm);

@@
@@
 bool kvm_tdp_mmu_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range);
+void kvm_tdp_mmu_age_batch(struct kvm *kvm, int as_id, struct pgtable_age_batch *batch);
