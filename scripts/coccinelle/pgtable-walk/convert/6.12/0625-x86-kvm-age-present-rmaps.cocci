// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Age rmaps only while they may map something
///
/// Once a VM had a nested guest, its memslots keep their rmaps, and aging
/// looks them up for each page, although they are empty when the nested guest
/// is gone. With the TDP MMU, rmaps only map what shadow pages of nested
/// guests do: look at them only while there are such pages.
///
/// To test, ask the TDP MMU first. It finds a young page by one walk, while an
/// rmap may have hundreds of SPTEs. Leave the rmaps alone if the page is
/// young.
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: kvm_age_gfn 1
// Hunks: kvm_test_age_gfn 2
// Applied: - \bkvm_may_have_shadow_mmu_sptes\b
// Applied: kvm_test_age_gfn if \(!young\b

@@
identifier kvm, range;
@@
 kvm_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
 {
 	<...
-	kvm_memslots_have_rmaps(kvm)
+	kvm_may_have_shadow_mmu_sptes(kvm)
 	...>
 }

@@
identifier kvm, range, young;
symbol false, true, tdp_mmu_enabled;
@@
 kvm_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
 {
 	bool young = false;
-	if (kvm_memslots_have_rmaps(kvm))
-		young = kvm_rmap_age_gfn_range(kvm, range, true);
 	if (tdp_mmu_enabled)
-		young |= kvm_tdp_mmu_test_age_gfn(kvm, range);
+		young = kvm_tdp_mmu_test_age_gfn(kvm, range);
+	if (!young && kvm_may_have_shadow_mmu_sptes(kvm))
+		young = kvm_rmap_age_gfn_range(kvm, range, true);
 	return young;
 }
