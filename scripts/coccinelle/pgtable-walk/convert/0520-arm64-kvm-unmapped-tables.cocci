// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Free tables of unmapped ranges through RCU
///
/// A table that a block replaces is freed after a grace period, as faults walk
/// the tables with mmu_lock held for read only. A table whose range is
/// unmapped is freed at once: mmu_lock is held for write there, but that does
/// not protect walks without it. Use the same order for both:
///
///   unlink -> TLBI of all that goes through the table -> grace period -> free
///
/// The callback drops the reference that the table holds on itself. The
/// reference of its entry on the table above was dropped with the entry.
/// Neither helps walkers without the lock, which must not touch reference
/// counts, as a count of one means that a table is empty.
///
/// Unmapping unlinks a table when its count says that it is empty. Only drop
/// the reference in that case, instead of searching all of its 512 or 8192
/// entries for leaves, in a softirq. A table that a block replaced still has
/// its leaves and lower tables, and is taken apart as before.
///
/// The callback is optional in mm_ops. EL2 has no RCU, nothing walks its
/// guests' tables without their lock, and its mm_ops leave it out.
// File: arch/arm64/kvm/hyp/pgtable.c
// Hunks: stage2_unmap_walker 1
// Hunks: kvm_pgtable_stage2_free_unlinked 1
// Applied: stage2_unmap_walker \bfree_unlinked_table\b
// Applied: kvm_pgtable_stage2_free_unlinked == 1\)
// File: arch/arm64/kvm/mmu.c
// Hunks: - 1
// Hunks: stage2_free_unlinked_table_rcu_cb 1
// Applied: stage2_free_unlinked_table_rcu_cb \bpgtable_walk_count\b

@@
identifier ctx, visit, mm_ops, childp;
@@
 stage2_unmap_walker(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
 {
 	<...
-	if (childp)
-		mm_ops->put_page(childp);
+	if (childp) {
+		if (mm_ops->free_unlinked_table)
+			mm_ops->free_unlinked_table(childp, ctx->level);
+		else
+			mm_ops->put_page(childp);
+	}
 	...>
 }

@@
identifier mm_ops, pgtable, level, data, ptep;
@@
 kvm_pgtable_stage2_free_unlinked(struct kvm_pgtable_mm_ops *mm_ops, void *pgtable, s8 level)
 {
 	...
+	/* Nothing hangs on a table that is empty, as when its range was unmapped. */
+	if (mm_ops->page_count(pgtable) == 1) {
+		mm_ops->put_page(pgtable);
+		return;
+	}
+
 	WARN_ON(__kvm_pgtable_walk(&data, mm_ops, ptep, level + 1));
 	...
 }

@@
@@
 stage2_free_unlinked_table_rcu_cb(...)
 {
 	...
(
 	kvm_pgtable_stage2_free_unlinked(...);
|
 	KVM_PGT_FN(kvm_pgtable_stage2_free_unlinked)(...);
)
+	pgtable_walk_count(PGTABLE_WALK_FREED, 1);
 }

@@
@@
 #include <linux/hugetlb.h>
+#include <linux/pgtable_walk.h>
