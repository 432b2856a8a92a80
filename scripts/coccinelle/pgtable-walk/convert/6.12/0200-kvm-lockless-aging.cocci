// SPDX-License-Identifier: GPL-2.0
// File: include/linux/kvm_host.h
// Hunks: struct kvm_gfn_range 1
// Applied: struct kvm_gfn_range \blockless\b
// File: virt/kvm/kvm_main.c
// Hunks: struct kvm_mmu_notifier_range 1
// Hunks: __kvm_handle_hva_range 3
// Applied: struct kvm_mmu_notifier_range \blockless\b
// Applied: __kvm_handle_hva_range if \(!range->lockless\)

@@
@@
 struct kvm_gfn_range {
 	...
 	bool may_block;
+	bool lockless;
 };

@@
@@
 struct kvm_mmu_notifier_range {
 	...
 	bool may_block;
+	bool lockless;
 };

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
