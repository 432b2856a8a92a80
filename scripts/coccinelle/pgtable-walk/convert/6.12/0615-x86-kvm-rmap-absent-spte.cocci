// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Warn of an absent SPTE on an rmap, and go on
///
/// Each step of an rmap iteration checks by BUG_ON() that the SPTE is present.
/// Walks without mmu_lock will see SPTEs that have been zapped and are still
/// on a list, which is no bug.
///
/// Remove the check from rmap_get_first() and rmap_get_next(). Warn once in
/// for_each_rmap_spte(), whose users hold mmu_lock, and go on with the next
/// SPTE. Unlinking a shadow page from its parents calls rmap_get_first()
/// itself, so that it leaves out no SPTE.
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: rmap_get_first 1
// Hunks: rmap_get_next 1
// Applied: rmap_get_first !BUG_ON
// Applied: rmap_get_next !BUG_ON

@@
identifier f = { rmap_get_first, rmap_get_next };
symbol sptep;
@@
 f(...)
 {
 	<...
-	BUG_ON(!is_shadow_present_pte(*sptep));
 	return sptep;
 	...>
 }
