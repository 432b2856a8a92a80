// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Don't free under the lock of an rmap head
///
/// Code that changes the rmap of a gfn holds mmu_lock for write, and the lock
/// bit of the rmap's head beside. Where mmu_lock is a sleeping lock, with
/// PREEMPT_RT, such code can be preempted with the bit set: walkers without
/// mmu_lock then spin for it, with preemption disabled. Nor may it free the
/// descriptors of the list there, which can sleep.
///
/// Disable preemption while the bit is set, as those walkers do. Free the
/// descriptors after the lock was dropped, and take a list that is zapped as a
/// whole off its head first, so that walkers don't wait until all of it is
/// zapped.
///
/// Read heads by kvm_rmap_get() alone, which masks the bit.
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: kvm_rmap_lock 1
// Hunks: kvm_rmap_unlock 1
// Hunks: pte_list_desc_remove_entry 2
// Hunks: pte_list_remove 2
// Hunks: kvm_zap_all_rmap_sptes 3
// Hunks: slot_rmap_walk_next 1
// Hunks: mmu_page_zap_pte 1
// Applied: kvm_rmap_lock \bpreempt_disable\b
// Applied: kvm_rmap_unlock \bpreempt_enable\b
// Applied: pte_list_desc_remove_entry !\bmmu_free_pte_list_desc\b
// Applied: kvm_zap_all_rmap_sptes \bkvm_rmap_take\b
// Applied: slot_rmap_walk_next !\batomic_long_read\b
// Applied: mmu_page_zap_pte !\batomic_long_read\b

@@
identifier kvm, rmap_head;
@@
 kvm_rmap_lock(struct kvm *kvm, struct kvm_rmap_head *rmap_head)
 {
 	...
+	preempt_disable();
 	return __kvm_rmap_lock(rmap_head);
 }

@@
identifier kvm, rmap_head, new_val;
@@
 kvm_rmap_unlock(struct kvm *kvm, struct kvm_rmap_head *rmap_head, unsigned long new_val)
 {
 	...
 	__kvm_rmap_unlock(rmap_head, new_val);
+	preempt_enable();
 }

@@
symbol head_desc;
@@
 pte_list_desc_remove_entry(...)
 {
 	<...
 	if (head_desc->spte_count)
-		return;
+		return NULL;
 	...>
-	mmu_free_pte_list_desc(head_desc);
+	return head_desc;
 }

@@
identifier kvm, rmap_head, rmap_val;
@@
 pte_list_remove(struct kvm *kvm, u64 *spte, struct kvm_rmap_head *rmap_head)
 {
+	struct pte_list_desc *empty = NULL;
 	struct pte_list_desc *desc;
 	...
 	kvm_rmap_unlock(kvm, rmap_head, rmap_val);
+	if (empty)
+		mmu_free_pte_list_desc(empty);
 }

@@
identifier kvm, rmap_head, rmap_val;
symbol out, true;
@@
 kvm_zap_all_rmap_sptes(struct kvm *kvm, struct kvm_rmap_head *rmap_head)
 {
 	<...
(
 	rmap_val =
-	kvm_rmap_lock
+	kvm_rmap_take
 	(kvm, rmap_head);
|
-	goto out;
+	return true;
)
 	...>
-out:
-	kvm_rmap_unlock(kvm, rmap_head, 0);
 	return true;
 }

@@
expression head;
@@
(
-	atomic_long_read(&head->rmap->val)
+	kvm_rmap_get(head->rmap)
|
-	atomic_long_read(&head->parent_ptes.val)
+	kvm_rmap_get(&head->parent_ptes)
)
