// SPDX-License-Identifier: GPL-2.0
/// KVM: Let architectures age guest memory without mmu_lock
///
/// Aging only queries and clears the accessed state of pages, and an answer
/// that is a little stale does no harm. Yet on most architectures, if not all,
/// each of the notifier's three young operations takes mmu_lock, for write
/// where it is an rwlock, once per page that MGLRU, page_idle or DAMON look
/// at. Faulting vCPUs wait for that.
///
/// A range has a flag that says that it is walked without the lock. Set it for
/// aging if the architecture selects KVM_GENERIC_AGING, the VM supports it,
/// and the operator has not switched it off by kvm.lockless_aging. The
/// statistic aged_locked counts walks under the lock, and stays 0 on
/// architectures that do not select that. A walk without it is protected by:
///
///  - memslots: kvm->srcu, as before;
///  - page tables: RCU, in the architecture's handler;
///  - their entries: one cmpxchg on the value that was read, at the same
///    place.
///
/// The handlers are in age.c: an architecture has to walk its page tables.
/// One that selects KVM_MMU_LOCKLESS_AGING alone brings handlers of its own,
/// which never need the lock.
///
/// clear_flush_young() still flushes TLBs if something was young. That never
/// needed mmu_lock, and the counters of flushes have never been exact. What is
/// new here on older kernels has the names that mainline has for it.
// File: include/linux/kvm_types.h
// Hunks: struct kvm_vm_stat_generic 1
// Applied: struct kvm_vm_stat_generic \baged_locked\b
// File: virt/kvm/kvm_main.c
// Hunks: - 1
// Hunks: kvm_flush_remote_tlbs 2
// Hunks: kvm_handle_gfn_range 1
// Applied: - lockless_aging\.h
// Applied: kvm_flush_remote_tlbs \bdata_race\b
// Applied: kvm_handle_gfn_range \blockless = false\b

@@
typedef u64;
@@
 struct kvm_vm_stat_generic {
 	...
+	u64 aged_locked;
 };

@@
@@
 #include "kvm_mm.h"
+#include "lockless_aging.h"

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
