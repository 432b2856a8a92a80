// SPDX-License-Identifier: GPL-2.0
/// KVM: Let architectures age guest memory without mmu_lock
///
/// Aging only queries and clears the accessed state of pages, and an answer
/// that is a little stale does no harm. Yet each of the notifier's three young
/// operations takes mmu_lock, for write where it is an rwlock, once per page
/// that MGLRU, page_idle or DAMON look at. Faulting vCPUs wait for that.
///
/// Add a flag that says that a range is walked without the lock. Set it for
/// aging if the architecture selects KVM_MMU_LOCKLESS_AGING, the VM supports
/// it, and the operator has not switched it off by kvm.lockless_aging. The
/// statistic aged_locked counts walks under the lock, and stays 0 on
/// architectures that take it as before. A walk without it is protected by:
///
///  - memslots: kvm->srcu, as before;
///  - page tables: RCU, in the architecture's handler;
///  - their entries: one cmpxchg on the value that was read, at the same
///    place.
///
/// The handlers are in age.c: an architecture has to walk its page tables.
///
/// clear_flush_young() still flushes TLBs if something was young. That never
/// needed mmu_lock, and the counters of flushes have never been exact. The
/// names are those that later kernels use for the same thing.
// File: include/linux/kvm_types.h
// Hunks: struct kvm_vm_stat_generic 1
// Applied: struct kvm_vm_stat_generic \baged_locked\b
// File: include/linux/kvm_host.h
// Hunks: struct kvm_gfn_range 1
// Applied: struct kvm_gfn_range \blockless\b
// File: virt/kvm/kvm_main.c
// Hunks: - 1
// Hunks: struct kvm_mmu_notifier_range 1
// Hunks: __kvm_handle_hva_range 3
// Hunks: kvm_flush_remote_tlbs 2
// Hunks: kvm_handle_gfn_range 1
// Applied: - lockless_aging\.h
// Applied: struct kvm_mmu_notifier_range \blockless\b
// Applied: __kvm_handle_hva_range if \(!range->lockless\)
// Applied: kvm_flush_remote_tlbs \bdata_race\b
// Applied: kvm_handle_gfn_range \blockless = false\b

@@
@@
 struct kvm_gfn_range {
 	...
 	bool may_block;
+	bool lockless;
 };

@@
typedef u64;
@@
 struct kvm_vm_stat_generic {
 	...
+	u64 aged_locked;
 };

@@
@@
 struct kvm_mmu_notifier_range {
 	...
 	bool may_block;
+	bool lockless;
 };

@@
@@
 #include "kvm_mm.h"
+#include "lockless_aging.h"

@@
identifier kvm, range, gfn_range, r;
symbol true;
@@
 __kvm_handle_hva_range(struct kvm *kvm, const struct kvm_mmu_notifier_range *range)
 {
 	<...
(
 	gfn_range.may_block = range->may_block;
+	gfn_range.lockless = range->lockless;
|
 	r.found_memslot = true;
-	KVM_MMU_LOCK(kvm);
+	if (!range->lockless)
+		KVM_MMU_LOCK(kvm);
|
-	if (r.found_memslot)
+	if (r.found_memslot && !range->lockless)
 		KVM_MMU_UNLOCK(kvm);
)
 	...>
 }

@@
identifier range, gfn_range;
symbol false;
@@
 kvm_handle_gfn_range(...)
 {
 	...
 	gfn_range.may_block = range->may_block;
+	gfn_range.lockless = false;
 	...
 }

@@
identifier kvm, counter;
@@
 kvm_flush_remote_tlbs(struct kvm *kvm)
 {
 	<...
-	++kvm->stat.generic.counter;
+	/* Not exact: some flush without mmu_lock. */
+	data_race(++kvm->stat.generic.counter);
 	...>
 }
