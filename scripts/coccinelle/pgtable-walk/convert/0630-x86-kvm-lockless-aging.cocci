// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Age guest memory without mmu_lock
///
/// RCU keeps the TDP MMU's roots and tables from being freed under a walk,
/// rmaps have a lock of their own, and all code that writes to leaf SPTEs
/// expects them to change. So don't take mmu_lock to query or clear the
/// accessed state. Use the shared walker for the TDP MMU's roots. For the
/// shadow MMU, visit the rmap heads of each level from the first that the
/// range touches to the last, even if the range does not begin where the first
/// one does. A test ends at the first young SPTE. A query about parts of the
/// range walks each root once, and locks no head that maps none of them.
///
/// The walk leaves out invalid roots without mmu_lock, so publish their
/// invalidation as a store of the whole role.
///
/// Where TDX guests have mirror roots, for their private memory, these are not
/// aged: no process maps what they do. The root of what such a guest shares
/// maps addresses with one bit set, and is walked from the half that has it.
///
/// 32-bit kernels keep the functions that they have: they cannot read an SPTE
/// by one load.
// Options: --max-width 100
// File: arch/x86/kvm/mmu/tdp_mmu.h
// Hunks: - 2
// Applied: - ^struct pgtable_age;
// Applied: - \bkvm_tdp_mmu_age\b
// File: arch/x86/kvm/mmu/tdp_mmu.c
// Hunks: kvm_tdp_mmu_invalidate_all_roots 2
// Hunks: kvm_tdp_mmu_handle_gfn 1
// Hunks: age_gfn_range 1
// Hunks: test_age_gfn 1
// Hunks: kvm_tdp_mmu_age_gfn_range 1
// Hunks: kvm_tdp_mmu_test_age_gfn 1
// Hunks 7.3: kvm_tdp_mmu_invalidate_all_roots 0
// Hunks 7.3: kvm_tdp_mmu_handle_gfn 0
// Hunks 7.3: age_gfn_range 0
// Hunks 7.3: test_age_gfn 0
// Hunks 7.3: kvm_tdp_mmu_invalidate_roots 2
// Hunks 7.3: kvm_tdp_mmu_age_spte 1
// Hunks 7.3: __kvm_tdp_mmu_age_gfn_range 1
// Applied: - !\bkvm_tdp_mmu_(test_)?age_gfn(_range)?\b
// Applied: - WRITE_ONCE\(root->role\.word
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: - 4
// Applied: - <linux/kvm_age\.h>
// Applied: - "spte_volatile\.h"
// Applied: - ^#ifndef CONFIG_KVM_GENERIC_AGING$

@@
type T;
identifier f = {
	kvm_tdp_mmu_handle_gfn,
	age_gfn_range,
	kvm_tdp_mmu_age_spte,
	__kvm_tdp_mmu_age_gfn_range,
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
identifier f = { kvm_tdp_mmu_invalidate_all_roots, kvm_tdp_mmu_invalidate_roots };
identifier root;
symbol true;
@@
 f(...)
 {
 	<...
 	if (!root->role.invalid) {
+		union kvm_mmu_page_role role = root->role;
+
 		root->tdp_mmu_scheduled_root_to_zap = true;
-		root->role.invalid = true;
+		role.invalid = true;
+		/* kvm_tdp_mmu_age() reads it without mmu_lock. */
+		WRITE_ONCE(root->role.word, role.word);
 	}
 	...>
 }

@mmu_c@
@@
 #include "cpuid.h"

@depends on mmu_c@
@@
 #include "spte.h"
+#include "spte_volatile.h"

@@
@@
 #include <linux/hash.h>
+#include <linux/kvm_age.h>

@@
type T;
identifier f = kvm_rmap_age_gfn_range;
@@
+#ifndef CONFIG_KVM_GENERIC_AGING
 T f(...) { ... }

@@
type T;
identifier f = kvm_test_age_gfn;
@@
 T f(...) { ... }
+#endif /* !CONFIG_KVM_GENERIC_AGING */

@@
@@
+struct pgtable_age;
+
 void kvm_mmu_init_tdp_mmu(struct kvm *kvm);

@@
@@
 bool kvm_tdp_mmu_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range);
+void kvm_tdp_mmu_age(struct kvm *kvm, int as_id, struct pgtable_age *age);
