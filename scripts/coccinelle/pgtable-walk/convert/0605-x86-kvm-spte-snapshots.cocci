// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Read leaf SPTEs once
///
/// The shadow MMU reads its SPTEs under mmu_lock as if nothing changed them
/// meanwhile, and some functions read an SPTE several times. Hardware changes
/// SPTEs, and so will walks that age them without mmu_lock. Read an SPTE into
/// a variable, and decide by that.
///
/// mmu_set_spte() needs two reads: it may drop the old mapping before it makes
/// the new SPTE.
// Options: --macro-file-builtins spatch-fname.h
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: mmu_spte_update_no_track 1
// Hunks 7.3: mmu_spte_update_no_track 0
// Hunks 7.3: mmu_spte_update 1
// Hunks: mmu_spte_clear_track_bits 1
// Hunks: spte_write_protect 1
// Hunks: spte_clear_dirty 1
// Hunks: spte_wrprot_for_clear_dirty 1
// Hunks 7.3: spte_wrprot_for_clear_dirty 0
// Hunks: __rmap_clear_dirty 1
// Hunks: mmu_set_spte 8
// Hunks: __direct_pte_prefetch 1
// Hunks: shadow_mmu_split_huge_page 1
// Applied: mmu_set_spte \bold_spte = READ_ONCE\(\*sptep\)
// Applied: mmu_set_spte !is_shadow_present_pte\(\*sptep\)
// Applied: shadow_mmu_split_huge_page spte = READ_ONCE
// File: arch/x86/kvm/mmu/paging_tmpl.h
// Hunks: FNAME 1
// Applied: FNAME spte = READ_ONCE\(\*sptep\)

@@
typedef u64;
identifier f = { mmu_spte_update_no_track, mmu_spte_update, mmu_spte_clear_track_bits,
		 spte_write_protect, spte_clear_dirty };
identifier sptep, spte;
@@
 f(...)
 {
 	<...
 	u64 spte =
-	*sptep
+	READ_ONCE(*sptep)
 	;
 	...>
 }

@@
identifier sptep, was_writable;
@@
 spte_wrprot_for_clear_dirty(u64 *sptep)
 {
 	bool was_writable = test_and_clear_bit(...);
+	u64 spte = READ_ONCE(*sptep);
+
 	if (was_writable && !spte_ad_enabled(
-	    *sptep
+	    spte
 	    ))
 		kvm_set_pfn_dirty(spte_to_pfn(
-		*sptep
+		spte
 		));
 	...
 }

@@
identifier f = { __rmap_clear_dirty, __direct_pte_prefetch };
identifier read = { spte_ad_need_write_protect, is_shadow_present_pte };
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

@@
identifier sptep, sp;
expression E;
symbol spte;
@@
 shadow_mmu_split_huge_page(...)
 {
 	<...
+	spte = READ_ONCE(*sptep);
 	if (is_shadow_present_pte(
-	    *sptep
+	    spte
 	    )) {
 		E |= !is_last_spte(
-			*sptep
+			spte
 			, sp->role.level);
 		continue;
 	}
 	...>
 }

@@
typedef u64;
identifier level, child, pte, was_rmapped;
expression synchronizing;
symbol vcpu, sp, slot, pte_access, gfn, pfn, sptep, spte, wrprot, prefetch, host_writable;
@@
 mmu_set_spte(..., u64 *sptep, ...)
 {
 	...
+	u64 old_spte;
 	u64 spte;
 	...
+	old_spte = READ_ONCE(*sptep);
 	if (is_shadow_present_pte(
-	    *sptep
+	    old_spte
 	    )) {
 		... when any
 		if (level > PG_LEVEL_4K && !is_large_pte(
-		    *sptep
+		    old_spte
 		    )) {
 			...
-			u64 pte = *sptep;
 			child = spte_to_child_sp(
-				pte
+				old_spte
 				);
 			...
 		} else if (pfn != spte_to_pfn(
-			   *sptep
+			   old_spte
 			   )) { ... } else
 			was_rmapped = 1;
 	}
 	...
+	old_spte = READ_ONCE(*sptep);
-	wrprot = make_spte(vcpu, sp, slot, pte_access, gfn, pfn, *sptep, prefetch,
-			   synchronizing, host_writable, &spte);
+	wrprot = make_spte(vcpu, sp, slot, pte_access, gfn, pfn, old_spte,
+			   prefetch, synchronizing, host_writable, &spte);
 	if (
-	    *sptep
+	    old_spte
 	    == spte) { ... } else { ... }
 	...
 }

@@
identifier level;
symbol prefetch, pfn, sptep, old_spte;
@@
 mmu_set_spte(...)
 {
 	<...
 	if (prefetch && is_last_spte(
-				     *sptep
+				     old_spte
				     , level) && pfn == spte_to_pfn(
-		*sptep
+		old_spte
		)) return ...;
 	...>
 }

@@
identifier sptep;
@@
 sync_spte(...)
 {
 	<...
 	spte =
-	*sptep
+	READ_ONCE(*sptep)
 	;
 	...>
 }
