// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Write to leaf SPTEs atomically, whatever they hold
///
/// Who holds mmu_lock for write stores plainly to a leaf SPTE if hardware and
/// fast_page_fault() have nothing to change in it, that is if it is accessed, and dirty
/// or write-protected for good. That will no longer do once a lockless ager clears A
/// and access-tracks, for that is the very state which it changes: the store would undo
/// it, and worse, of an access-tracked SPTE it would take nothing into account.
///
/// Any leaf may then change, so drop spte_has_volatile_bits() and write to each
/// atomically. Write-protection and such also start from an older look at the SPTE. When
/// they replace it, let them keep what has become of A since, unless A is what they
/// change; write down in one place who changes what, spte_volatile.h.
///
/// What is only looked at is read once, where A matters to nobody.
///
/// Zapping a leaf that is accessed and dirty costs a locked instruction where it was a
/// store, beside the handling of the page that follows.
// Options: --macro-file-builtins fname.h
// File: arch/x86/kvm/mmu/spte.h
// Hunks: 6.12 - 1
// Applied: 6.12 - !\bspte_has_volatile_bits\b
// File: arch/x86/kvm/mmu/spte.c
// Hunks: 6.12 - 1
// Hunks: 6.12 spte_has_volatile_bits 1
// Hunks: 6.12 mark_spte_for_access_track 1
// Applied: 6.12 - "spte_volatile\.h"
// Applied: 6.12 - !\bspte_has_volatile_bits\b
// Applied: 6.12 mark_spte_for_access_track \bspte_mkold\b
// File: arch/x86/kvm/mmu/tdp_iter.h
// Hunks: 6.12 - 1
// Hunks: 6.12 kvm_tdp_mmu_spte_need_atomic_write 1
// Hunks: 6.12 kvm_tdp_mmu_write_spte 2
// Applied: 6.12 - !\bspte_has_volatile_bits\b
// Applied: 6.12 kvm_tdp_mmu_write_spte \bspte_replace\b
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: 6.12 shadow_mmu_split_huge_page 1
// Hunks: 6.12 __direct_pte_prefetch 1
// Hunks: 6.12 __rmap_clear_dirty 1
// Hunks: 6.12 spte_wrprot_for_clear_dirty 1
// Hunks: 6.12 - 1
// Hunks: 6.12 mmu_spte_update_no_track 3
// Hunks: 6.12 mmu_spte_update 2
// Hunks: 6.12 mmu_spte_clear_track_bits 2
// Hunks: 6.12 spte_write_protect 2
// Hunks: 6.12 spte_clear_dirty 2
// Hunks: 6.12 kvm_rmap_age_gfn_range 1
// Hunks: 6.12 mmu_set_spte 4
// Applied: 6.12 - "spte_volatile\.h"
// Applied: 6.12 mmu_spte_update_no_track \bspte_replace\b
// Applied: 6.12 mmu_spte_clear_track_bits !volatile_bits
// File: arch/x86/kvm/mmu/paging_tmpl.h
// Hunks: 6.12 FNAME 1
// Applied: 6.12 FNAME mmu_spte_update\(sptep, READ_ONCE

@@
@@
 #include "spte.h"
+#include "spte_volatile.h"

@@
type T;
@@
-T spte_has_volatile_bits(...);

@@
type T;
@@
-T spte_has_volatile_bits(...) { ... }

@@
typedef u64;
identifier spte;
@@
 mark_spte_for_access_track(u64 spte)
 {
 	...
-	spte |= (spte & SHADOW_ACC_TRACK_SAVED_BITS_MASK) << SHADOW_ACC_TRACK_SAVED_BITS_SHIFT;
-	spte &= ~shadow_acc_track_mask;
-
-	return spte;
+	return spte_mkold(spte);
 }

@@
typedef u64;
identifier old_spte, level;
expression leaf;
@@
 kvm_tdp_mmu_spte_need_atomic_write(u64 old_spte, int level)
 {
 	return leaf
-		&& spte_has_volatile_bits(old_spte)
		;
 }

@@
typedef u64, tdp_ptep_t;
identifier sptep, old_spte, new_spte, level;
@@
 kvm_tdp_mmu_write_spte(tdp_ptep_t sptep, u64 old_spte, u64 new_spte, int level)
 {
-	if (kvm_tdp_mmu_spte_need_atomic_write(old_spte, level))
-		return kvm_tdp_mmu_write_spte_atomic(sptep, new_spte);
+	if (kvm_tdp_mmu_spte_need_atomic_write(old_spte, level)) {
+		if (is_shadow_present_pte(new_spte) && is_last_spte(new_spte, level))
+			return spte_replace(rcu_dereference(sptep), old_spte, new_spte);
+		return kvm_tdp_mmu_write_spte_atomic(sptep, new_spte);
+	}
 	...
 }

@@
typedef u64;
identifier sptep, new_spte;
symbol old_spte;
@@
 mmu_spte_update_no_track(u64 *sptep,
-			  u64 new_spte)
+			  u64 old_spte, u64 new_spte)
 {
-	u64 old_spte = *sptep;
-
 	...
-	if (!spte_has_volatile_bits(old_spte))
-		__update_clear_spte_fast(sptep, new_spte);
-	else
-		old_spte = __update_clear_spte_slow(sptep, new_spte);
+	old_spte = spte_replace(sptep, old_spte, new_spte);
 	...
 }

@@
typedef u64;
identifier sptep, new_spte;
@@
 mmu_spte_update(u64 *sptep,
-		 u64 new_spte)
+		 u64 seen, u64 new_spte)
 {
 	<...
-	mmu_spte_update_no_track(sptep, new_spte)
+	mmu_spte_update_no_track(sptep, seen, new_spte)
 	...>
 }

@@
typedef u64;
identifier kvm, sptep;
symbol old_spte;
@@
 mmu_spte_clear_track_bits(struct kvm *kvm, u64 *sptep)
 {
 	<...
(
-	u64 old_spte = *sptep;
+	u64 old_spte = READ_ONCE(*sptep);
|
 	if (
-	    !is_shadow_present_pte(old_spte) || !spte_has_volatile_bits(old_spte)
+	    !is_shadow_present_pte(old_spte)
	   ) { ... } else { ... }
)
 	...>
 }

@@
typedef u64;
identifier f = { spte_write_protect, spte_clear_dirty };
identifier sptep, spte;
@@
 f(u64 *sptep, ...)
 {
-	u64 spte = *sptep;
+	const u64 old_spte = READ_ONCE(*sptep);
+	u64 spte = old_spte;
 	...
-	return mmu_spte_update(sptep, spte);
+	return mmu_spte_update(sptep, old_spte, spte);
 }

@@
expression sptep, spte;
identifier f = { mmu_spte_update, mmu_spte_update_no_track };
@@
-f(sptep, spte)
+f(sptep, READ_ONCE(*sptep), spte)

@@
identifier f = { __direct_pte_prefetch, mmu_set_spte, spte_wrprot_for_clear_dirty,
		 __rmap_clear_dirty, shadow_mmu_split_huge_page };
identifier read = { is_shadow_present_pte, is_large_pte, spte_ad_enabled,
		    spte_ad_need_write_protect, spte_to_pfn };
expression e;
@@
 f(...)
 {
 	<...
 	read(
-	     *e
+	     READ_ONCE(*e)
	    )
 	...>
 }
