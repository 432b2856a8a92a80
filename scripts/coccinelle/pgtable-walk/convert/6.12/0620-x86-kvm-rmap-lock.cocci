// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Lock rmap heads against walkers without mmu_lock
///
/// To age what the shadow MMU maps, KVM looks up the rmap head of a gfn and
/// walks the list of SPTEs. Only mmu_lock keeps the list and the pages with
/// the SPTEs from being freed. RCU does not help, as it is used for neither.
///
/// Use a bit of the head as its lock. Code that changes a list holds mmu_lock
/// for write, which lockdep now checks. It sets the bit, and clears it with
/// the store of the new head. That is one locked instruction for each SPTE
/// that the shadow MMU maps or unmaps, and none for the TDP MMU. Code that
/// holds mmu_lock and reads lists does so as before, and masks the bit.
/// Descriptors are freed after the lock was dropped, and a list that is zapped
/// as a whole is taken off its head first.
///
/// Make the head an atomic_long_t, so that code that reads it as a number, and
/// so would misread the lock bit, does not build.
// File: arch/x86/include/asm/kvm_host.h
// Hunks: struct kvm_rmap_head 1
// Applied: struct kvm_rmap_head \batomic_long_t\b
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: - 1
// Hunks: pte_list_add 9
// Hunks: pte_list_desc_remove_entry 4
// Hunks: pte_list_remove 7
// Hunks: kvm_zap_all_rmap_sptes 5
// Hunks: pte_list_count 4
// Hunks: rmap_get_first 5
// Hunks: slot_rmap_walk_next 1
// Hunks: __rmap_add 1
// Hunks: mmu_page_add_parent_pte 2
// Hunks: __link_shadow_page 1
// Hunks: mmu_page_zap_pte 1
// Applied: - "rmap_lock\.h"
// Applied: pte_list_count !rmap_head->val
// Applied: kvm_zap_all_rmap_sptes !rmap_head->val
// Applied: rmap_get_first !rmap_head->val
// Applied: slot_rmap_walk_next !rmap->val
// Applied: mmu_page_zap_pte !parent_ptes\.val
// Applied: pte_list_add \bkvm_rmap_unlock\b
// Applied: pte_list_remove \bkvm_rmap_unlock\b
// Applied: pte_list_desc_remove_entry !\bkvm_rmap_unlock\b

@@
@@
 struct kvm_rmap_head {
-	unsigned long val;
+	/* See mmu/rmap_lock.h; not a number, for one bit is a lock. */
+	atomic_long_t val;
 };

@@
@@
 #include "spte.h"
+#include "rmap_lock.h"

@@
typedef u64;
identifier cache, spte, rmap_head, count, desc;
expression E;
@@
-static int pte_list_add(struct kvm_mmu_memory_cache *cache, u64 *spte,
-			struct kvm_rmap_head *rmap_head)
+static int pte_list_add(struct kvm *kvm, struct kvm_mmu_memory_cache *cache,
+			u64 *spte, struct kvm_rmap_head *rmap_head)
 {
 	struct pte_list_desc *desc;
+	unsigned long val;
 	int count = 0;
+
+	val = kvm_rmap_lock(kvm, rmap_head);
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
+	kvm_rmap_unlock(kvm, rmap_head, val);
 	return count;
 }

@@
typedef u64;
identifier cache, sp, parent_pte;
@@
 mmu_page_add_parent_pte(
+			 struct kvm *kvm,
			 struct kvm_mmu_memory_cache *cache, struct kvm_mmu_page *sp, u64 *parent_pte)
 {
 	<...
 	pte_list_add(
+		     kvm,
		     cache, ...);
 	...>
 }

@@
identifier f = { __rmap_add, __link_shadow_page };
identifier add = { pte_list_add, mmu_page_add_parent_pte };
identifier kvm, cache;
@@
 f(struct kvm *kvm, struct kvm_mmu_memory_cache *cache, ...)
 {
 	<...
 	add(
+	    kvm,
	    cache, ...)
 	...>
 }

@@
expression E;
symbol rmap_head, val;
@@
 pte_list_desc_remove_entry(...)
 {
 	<...
(
-	rmap_head->val = E
+	*val = E
|
-	rmap_head->val
+	*val
)
 	...>
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
typedef u64;
identifier kvm, spte, rmap_head, desc, i;
expression e;
@@
 pte_list_remove(struct kvm *kvm, u64 *spte, struct kvm_rmap_head *rmap_head)
 {
+	struct pte_list_desc *empty = NULL;
 	struct pte_list_desc *desc;
+	unsigned long val;
 	int i;
+
+	val = kvm_rmap_lock(kvm, rmap_head);
 	<...
(
 	if (KVM_BUG_ON_DATA_CORRUPTION(
-	    !rmap_head->val
+	    !val
	    , kvm))
-		return;
+		goto unlock;
|
 	if (KVM_BUG_ON_DATA_CORRUPTION(
-	    (u64 *)rmap_head->val != spte
+	    (u64 *)val != spte
	    , kvm))
-		return;
+		goto unlock;
|
-	rmap_head->val = 0;
+	val = 0;
|
-	rmap_head->val
+	val
)
 	...>
+unlock:
+	kvm_rmap_unlock(kvm, rmap_head, val);
+	if (empty)
+		mmu_free_pte_list_desc(empty);
 }

@@
typedef u64;
identifier kvm, rmap_head;
symbol out, true, false, i;
@@
 kvm_zap_all_rmap_sptes(struct kvm *kvm, struct kvm_rmap_head *rmap_head)
 {
 	...
+	unsigned long val;
 	int i;
+
+	val = kvm_rmap_take(kvm, rmap_head);
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
identifier rmap_head, iter;
@@
-static u64 *rmap_get_first(struct kvm_rmap_head *rmap_head,
-			   struct rmap_iterator *iter)
+static u64 *__rmap_get_first(unsigned long val, struct rmap_iterator *iter)
 { ... }

@@
typedef u64;
identifier f = { kvm_zap_all_rmap_sptes, pte_list_count, __rmap_get_first };
@@
 f(...)
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
+	const unsigned long val = kvm_rmap_get(rmap_head);
 	struct pte_list_desc *desc;
 	...
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
