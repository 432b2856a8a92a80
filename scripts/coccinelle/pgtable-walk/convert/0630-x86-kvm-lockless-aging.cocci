// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Age guest memory without mmu_lock
///
/// The TDP MMU's roots and tables outlive whoever finds them under RCU, rmaps have a lock
/// of their own, and all who write to leaf SPTEs expect them to change. So leave mmu_lock
/// alone when asked whether pages were used. Let the shared walker look at the TDP MMU's
/// roots, and for the shadow MMU go through the heads of each level from the first that
/// the range touches to the last, whether or not the range begins where one does.
///
/// What the shadow MMU maps is only looked at while it maps anything: with the TDP MMU
/// that is if there are shadow pages of nested guests.
///
/// Invalid roots are left out, so publish their invalidation as a store of the whole role.
///
/// To test, ask the TDP MMU first: it finds a young page by one walk, while an rmap may have
/// hundreds of SPTEs. Either ends at the first that is young.
///
/// 32-bit kernels keep mmu_lock, and with it the function that they have: they can't read
/// an SPTE in one go.
// File: arch/x86/kvm/mmu/tdp_mmu.c
// Hunks: kvm_tdp_mmu_invalidate_all_roots 2
// Hunks: kvm_tdp_mmu_handle_gfn 1
// Hunks: age_gfn_range 1
// Hunks: kvm_tdp_mmu_age_gfn_range 1
// Hunks: test_age_gfn 1
// Hunks: kvm_tdp_mmu_test_age_gfn 1
// Applied: - !\bkvm_tdp_mmu_(test_)?age_gfn(_range)?\b
// Applied: kvm_tdp_mmu_invalidate_all_roots \bWRITE_ONCE\b
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: - 1
// Hunks: kvm_age_gfn 1
// Hunks: kvm_test_age_gfn 2
// Applied: - <linux/kvm_age\.h>
// Applied: - \bkvm_may_have_shadow_sptes\b

@@
type T;
identifier f = {
	kvm_tdp_mmu_handle_gfn,
	age_gfn_range,
	kvm_tdp_mmu_age_gfn_range,
	test_age_gfn,
	kvm_tdp_mmu_test_age_gfn
};
@@
(
-static T f(...) { ... }
|
-T f(...) { ... }
)

@@
identifier root;
symbol true;
@@
 kvm_tdp_mmu_invalidate_all_roots(...)
 {
 	<...
+	union kvm_mmu_page_role role = root->role;
+
-	if (!root->role.invalid) {
+	if (!role.invalid) {
 		root->tdp_mmu_scheduled_root_to_zap = true;
-		root->role.invalid = true;
+		role.invalid = true;
+		/* Agers look at it without mmu_lock. */
+		WRITE_ONCE(root->role.word, role.word);
 	}
 	...>
 }

@@
@@
 #include <linux/kvm_host.h>
+#include <linux/kvm_age.h>

@@
identifier kvm, range;
@@
 kvm_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
 {
 	<...
-	kvm_memslots_have_rmaps(kvm)
+	kvm_may_have_shadow_sptes(kvm)
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
+	if (!young && kvm_may_have_shadow_sptes(kvm))
+		young = kvm_rmap_age_gfn_range(kvm, range, true);
 	return young;
 }
