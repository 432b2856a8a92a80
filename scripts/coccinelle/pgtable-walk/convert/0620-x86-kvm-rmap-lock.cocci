// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Lock rmap heads against walkers without mmu_lock
///
/// To age what the shadow MMU maps, KVM goes from a gfn to its rmap head and from there to
/// all the SPTEs, and only mmu_lock keeps the list and the pages with the SPTEs from being
/// freed. RCU is no help, for neither is freed by it.
///
/// Use a bit of the head as its lock. All who change a list take it, and drop it with
/// the store of the new head; that is one locked instruction for each SPTE mapped or
/// unmapped by the shadow MMU, none by the TDP MMU. All who hold mmu_lock and read lists
/// do so as before, and mask the bit. Descriptors are freed after the lock was dropped,
/// and what is zapped as a whole is taken off its head first.
///
/// An iterator of its own finds SPTEs that have been zapped and are on a list still. What
/// was a BUG_ON() for all others becomes a warning and an end of the list.
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: 6.12 - 1
// Hunks: 6.12 pte_list_add 8
// Hunks: 6.12 pte_list_desc_remove_entry 6
// Hunks: 6.12 pte_list_remove 7
// Hunks: 6.12 kvm_zap_all_rmap_sptes 5
// Hunks: 6.12 pte_list_count 4
// Hunks: 6.12 rmap_get_first 5
// Hunks: 6.12 rmap_get_next 1
// Hunks: 6.12 slot_rmap_walk_next 1
// Hunks: 6.12 mmu_page_zap_pte 1
// Applied: 6.12 - "rmap_lock\.h"
// Applied: 6.12 pte_list_count !rmap_head->val
// Applied: 6.12 kvm_zap_all_rmap_sptes !rmap_head->val
// Applied: 6.12 slot_rmap_walk_next !rmap->val
// Applied: 6.12 mmu_page_zap_pte !parent_ptes\.val
// Applied: 6.12 pte_list_add \bkvm_rmap_unlock\b
// Applied: 6.12 pte_list_remove \bkvm_rmap_unlock\b

@@
@@
 #include "spte_volatile.h"
+#include "rmap_lock.h"

@@
typedef u64;
identifier cache, spte, rmap_head, count;
expression E;
@@
 pte_list_add(struct kvm_mmu_memory_cache *cache, u64 *spte, struct kvm_rmap_head *rmap_head)
 {
 	...
 	int count = 0;
+	unsigned long val = kvm_rmap_lock(rmap_head);
 	<...
(
-	rmap_head->val = E
+	val = E
|
-	(u64 *)rmap_head->val
+	(u64 *)val
|
-	rmap_head->val
+	val
)
 	...>
+	kvm_rmap_unlock(rmap_head, val);
 	return count;
 }

@@
identifier kvm, rmap_head, desc, i, head_desc;
expression E;
@@
 pte_list_desc_remove_entry(struct kvm *kvm, struct kvm_rmap_head *rmap_head,
+			    unsigned long val,
			    struct pte_list_desc *desc, int i)
 {
 	<...
(
-	rmap_head->val = E
+	kvm_rmap_unlock(rmap_head, E)
|
-	rmap_head->val
+	val
)
 	...>
 }

@@
symbol head_desc, rmap_head, val;
@@
 pte_list_desc_remove_entry(...)
 {
 	<...
-	if (head_desc->spte_count)
+	if (head_desc->spte_count) {
+		kvm_rmap_unlock(rmap_head, val);
 		return;
+	}
 	...>
 }

@@
typedef u64;
identifier kvm, spte, rmap_head, desc, i;
@@
 pte_list_remove(struct kvm *kvm, u64 *spte, struct kvm_rmap_head *rmap_head)
 {
 	struct pte_list_desc *desc;
+	unsigned long val = kvm_rmap_lock(rmap_head);
 	int i;
 	<...
(
-	rmap_head->val = 0
+	val = 0
|
-	(u64 *)rmap_head->val
+	(u64 *)val
|
-	rmap_head->val
+	val
|
 	pte_list_desc_remove_entry(kvm, rmap_head,
+				   val,
				   desc, i)
)
 	...>
 }

@@
typedef u64;
identifier kvm, spte, rmap_head;
expression e;
@@
 pte_list_remove(struct kvm *kvm, u64 *spte, struct kvm_rmap_head *rmap_head)
 {
 	<...
 	if (KVM_BUG_ON_DATA_CORRUPTION(e, kvm))
-		return;
+		goto unlock;
 	...>
+unlock:
+	kvm_rmap_unlock(rmap_head, val);
 }

@@
identifier kvm, rmap_head;
symbol out, true, false, i;
@@
 kvm_zap_all_rmap_sptes(struct kvm *kvm, struct kvm_rmap_head *rmap_head)
 {
 	...
+	unsigned long val = kvm_rmap_take(rmap_head);
 	int i;
 	<...
-	goto out;
+	return true;
 	...>
-out:
-	rmap_head->val = 0;
 	return true;
 }

@@
typedef u64;
identifier f = { kvm_zap_all_rmap_sptes, pte_list_count, rmap_get_first };
identifier rmap_head;
@@
 f(..., struct kvm_rmap_head *rmap_head, ...)
 {
 	<...
(
-	(u64 *)rmap_head->val
+	(u64 *)val
|
-	rmap_head->val
+	val
)
 	...>
 }

@@
identifier rmap_head;
@@
 pte_list_count(struct kvm_rmap_head *rmap_head)
 {
 	struct pte_list_desc *desc;
+	const unsigned long val = kvm_rmap_get(rmap_head);
 	...
 }

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

@@
expression head;
@@
(
-	head->rmap->val
+	kvm_rmap_get(head->rmap)
|
-	head->parent_ptes.val
+	kvm_rmap_get(&head->parent_ptes)
)
