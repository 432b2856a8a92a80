// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Let the leaves of a split block be as old as the block was
///
/// Eager splitting makes all leaves of the table that replaces a block young,
/// although the guest has used none of them: one pass of dirty logging makes a
/// whole cold guest look hot.
///
/// Give the leaves the volatile bits of the block. They are created with the
/// access flag set, so only the table of an old block has to be changed. Do it
/// before the block is broken, as vCPUs that access it fault until the table
/// is there. If aging or hardware changes the flag in between, go through the
/// table once more. Nothing else can find the new table yet, so plain stores
/// will do.
///
/// Where hardware does not set the access flag, a guest that uses all of an
/// old block of 2 MiB now takes up to 512 access faults after the split,
/// instead of one before it, and none if all leaves are young. These are the
/// accesses that aging queries: calling 512 pages used when none of them is,
/// is the bug.
// File: arch/arm64/kvm/hyp/pgtable.c
// Hunks: stage2_split_walker 2
// Applied: stage2_split_walker \bstage2_inherit_volatile\b

@@
identifier ctx, visit, mm_ops, level, childp, mmu;
symbol pte;
@@
 stage2_split_walker(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
 {
 	<...
 	if (IS_ERR(childp))
 		return ...;
+	/* They are made young; only the table of an old block is gone through. */
+	stage2_inherit_volatile(mm_ops, childp, level, KVM_PTE_S2_VOLATILE, pte);

 	if (!stage2_try_break_pte(ctx, mmu, &pte)) {
 		kvm_pgtable_stage2_free_unlinked(mm_ops, childp, level);
 		return ...;
 	}
+	/* As it was when broken: an aging walk or hardware may have come between, but seldom. */
+	stage2_inherit_volatile(mm_ops, childp, level, ctx->old, pte);
 	...>
 }
