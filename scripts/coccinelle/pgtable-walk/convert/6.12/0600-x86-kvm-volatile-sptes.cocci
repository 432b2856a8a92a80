// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Treat SPTEs without A/D bits as volatile
///
/// A holder of mmu_lock stores plainly to a leaf SPTE if nothing else can
/// change what the store relies on, and exchanges the SPTE atomically
/// otherwise. An SPTE without A/D bits is exchanged while it is
/// access-tracked, as fast_page_fault() may restore it then.
///
/// Once SPTEs are aged without mmu_lock, an SPTE may also become
/// access-tracked at any time, and may then be restored with W set. A plain
/// store would miss a write in between, so exchange any such SPTE.
///
/// SPTEs with A/D bits stay as they are. A plain store is used for those that
/// are accessed, and dirty or not writable. Aging clears nothing but A of
/// them, so a store can only undo the aging, and the page counts as used once
/// more. That is not worth a locked instruction. spte_volatile.h lists what
/// changes which bits.
// File: arch/x86/kvm/mmu/spte.c
// Hunks: - 1
// Hunks: spte_has_volatile_bits 1
// Applied: - "spte_writers\.h"
// Applied: spte_has_volatile_bits \bspte_rwx_volatile\b

@@
@@
 #include "spte.h"
+#include "spte_writers.h"

@@
typedef u64;
identifier spte;
@@
 spte_has_volatile_bits(u64 spte)
 {
 	<...
-	is_access_track_spte(spte)
+	spte_rwx_volatile(spte)
 	...>
 }
