// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Expect stage-2 entries to change under mmu_lock
///
/// Code that holds mmu_lock for write stores to stage-2 entries as if nothing
/// else could change them. That is not true of the access flag, which hardware
/// sets and lockless aging clears. If the flag changes between KVM's read and
/// KVM's store of an entry, the store undoes that change. Today this loses a
/// hint only; later it may lose other bits.
///
/// Write to entries with the helpers for volatile entries. They retry as long
/// as only volatile bits have changed, and return the value that was replaced;
/// flush TLBs and caches by that value. asm/kvm_stage2_pte.h says what may
/// change: the access flag of a valid leaf. In other entries the same bit
/// means something else. So a decision before an entry is replaced, such as
/// whether its table is empty, also holds for the value that was replaced.
///
/// Walkers with exclusive access cannot lose an entry to others, and need no
/// error path. A cmpxchg that returns -EAGAIN would not do: write protection
/// ignores the error, and would leave the page writable. Shared walkers still
/// fail when anything but the access flag has changed, but no longer when only
/// that has.
///
/// Don't break a mapping that differs in nothing but the access flag, and keep
/// the permissions that it was given since.
///
/// EL2 uses the same object; the helpers are inline and need nothing there.
// File: arch/arm64/kvm/hyp/pgtable.c
// Hunks: - 1
// Hunks: kvm_pgtable_visitor_cb 1
// Hunks: stage2_pte_needs_update 1
// Hunks: stage2_try_set_pte 1
// Hunks: stage2_try_break_pte 5
// Hunks: stage2_make_pte 2
// Hunks: stage2_unmap_put_pte 4
// Hunks: stage2_unmap_walker 4
// Hunks: stage2_map_walker_try_leaf 4
// Hunks: stage2_map_walk_leaf 2
// Hunks: stage2_attr_walker 1
// Hunks: stage2_split_walker 1
// Hunks: stage2_age_walker 2
// Applied: - kvm_stage2_pte\.h
// Applied: - !\bstage2_try_set_pte\b
// Applied: stage2_pte_needs_update \bKVM_PTE_S2_VOLATILE\b
// Applied: stage2_unmap_put_pte \bvpte_xchg\b
// Applied: stage2_make_pte \bvpte_unfreeze\b

@@
@@
 #include <asm/stage2_pgtable.h>
+#include <asm/kvm_stage2_pte.h>

@@
identifier data, ctx, visit, walker;
@@
 kvm_pgtable_visitor_cb(struct kvm_pgtable_walk_data *data,
			const struct kvm_pgtable_visit_ctx *ctx,
			enum kvm_pgtable_walk_flags visit)
 {
 	...
+	/* Between the snapshot and what the callback makes of it. */
+	pgtable_walk_stall();
 	return walker->cb(ctx, visit);
 }

@@
typedef kvm_pte_t;
identifier old, new;
@@
 stage2_pte_needs_update(kvm_pte_t old, kvm_pte_t new)
 {
 	...
-	return ((old ^ new) & (~KVM_PTE_LEAF_ATTR_S2_PERMS));
+	return (old ^ new) & ~(KVM_PTE_LEAF_ATTR_S2_PERMS | KVM_PTE_S2_VOLATILE);
 }

@@
type T;
@@
-static T stage2_try_set_pte(...) { ... }

@@
typedef kvm_pte_t;
identifier ctx, mmu;
expression locked;
symbol false, old;
@@
 stage2_try_break_pte(const struct kvm_pgtable_visit_ctx *ctx,
-		     struct kvm_s2_mmu *mmu)
+		     struct kvm_s2_mmu *mmu, kvm_pte_t *old)
 {
 	...
-	if (!stage2_try_set_pte(ctx, locked))
+	if (!stage2_try_update_pte(ctx, old, ~0ULL, locked))
 		return false;
 	<...
-	ctx->old
+	*old
 	...>
 }

@@
typedef kvm_pte_t;
identifier ctx, new;
@@
 stage2_make_pte(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
 {
 	<...
(
-	WARN_ON(!stage2_pte_is_locked(*ctx->ptep));
+	/* Nobody else may touch the entry between break and make. */
+	pgtable_walk_stall();
+	WARN_ON(!stage2_pte_is_locked(vpte_read(ctx->ptep)));
|
-	smp_store_release(ctx->ptep, new);
+	vpte_unfreeze(ctx->ptep, new);
)
 	...>
 }

@@
typedef kvm_pte_t;
identifier ctx, mmu, mm_ops, pgt;
symbol old;
@@
-static void stage2_unmap_put_pte(const struct kvm_pgtable_visit_ctx *ctx,
-				struct kvm_s2_mmu *mmu,
-				struct kvm_pgtable_mm_ops *mm_ops)
+static kvm_pte_t stage2_unmap_put_pte(const struct kvm_pgtable_visit_ctx *ctx,
+				      struct kvm_s2_mmu *mmu,
+				      struct kvm_pgtable_mm_ops *mm_ops)
 {
	struct kvm_pgtable *pgt = ctx->arg;
+	const kvm_pte_t old = vpte_xchg(ctx->ptep, 0);
 	...
	mm_ops->put_page(ctx->ptep);
+	return old;
 }

@@
identifier ctx, mmu, mm_ops;
symbol old;
@@
 stage2_unmap_put_pte(const struct kvm_pgtable_visit_ctx *ctx, struct kvm_s2_mmu *mmu,
		      struct kvm_pgtable_mm_ops *mm_ops)
 {
 	<...
(
-	kvm_clear_pte(ctx->ptep);
|
-	ctx->old
+	old
)
 	...>
 }

@@
typedef kvm_pte_t;
identifier ctx, visit, mmu, mm_ops, childp;
symbol NULL, old;
@@
 stage2_unmap_walker(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
 {
 	...
	kvm_pte_t *childp = NULL;
+	kvm_pte_t old;
 	<...
(
-	kvm_clear_pte(ctx->ptep);
+	vpte_xchg(ctx->ptep, 0);
|
-	stage2_unmap_put_pte(ctx, mmu, mm_ops);
+	old = stage2_unmap_put_pte(ctx, mmu, mm_ops);
|
	mm_ops->dcache_clean_inval_poc(kvm_pte_follow(
-						      ctx->old,
+						      old,
						      mm_ops), ...);
)
 	...>
 }

@@
typedef kvm_pte_t;
identifier ctx, data;
symbol new, old;
@@
 stage2_map_walker_try_leaf(const struct kvm_pgtable_visit_ctx *ctx,
			    struct stage2_map_data *data)
 {
	kvm_pte_t new;
+	kvm_pte_t old;
 	...
 }

@@
identifier ctx, data;
symbol new, old;
@@
 stage2_map_walker_try_leaf(const struct kvm_pgtable_visit_ctx *ctx,
			    struct stage2_map_data *data)
 {
 	<...
(
	!(
-	  (ctx->old ^ new)
+	  stage2_pte_changes(ctx, new)
	  & ~KVM_PTE_LEAF_ATTR_HI_SW)
|
-	WARN_ON_ONCE(!stage2_try_set_pte(ctx, new))
+	stage2_try_update_pte(ctx, &old, KVM_PTE_LEAF_ATTR_HI_SW,
+			      new & KVM_PTE_LEAF_ATTR_HI_SW)
|
 	stage2_try_break_pte(ctx, data->mmu
+				 , &old
			     )
)
 	...>
 }

@@
typedef kvm_pte_t;
identifier ctx, data;
symbol ret;
@@
 stage2_map_walk_leaf(const struct kvm_pgtable_visit_ctx *ctx, struct stage2_map_data *data)
 {
 	...
+	kvm_pte_t old;
 	int ret;
 	<...
 	stage2_try_break_pte(ctx, data->mmu
+				 , &old
			     )
 	...>
 }

@@
identifier ctx, visit;
symbol pte, data;
@@
 stage2_attr_walker(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
 {
 	<...
-	stage2_try_set_pte(ctx, pte)
+	stage2_try_update_pte(ctx, &data->pte, data->attr_clr, data->attr_set)
 	...>
 }

@@
identifier ctx, visit;
symbol mmu, pte;
@@
 stage2_split_walker(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
 {
 	<...
 	stage2_try_break_pte(ctx, mmu
+				 , &pte
			     )
 	...>
 }

@@
typedef kvm_pte_t;
identifier ctx, visit;
symbol new, old;
@@
 stage2_age_walker(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
 {
 	kvm_pte_t new = ...;
+	kvm_pte_t old;
 	<...
-	stage2_try_set_pte(ctx, new)
+	stage2_try_update_pte(ctx, &old, KVM_PTE_LEAF_ATTR_LO_S2_AF, 0)
 	...>
 }
