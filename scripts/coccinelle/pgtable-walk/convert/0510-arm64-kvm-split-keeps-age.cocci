// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Let the leaves of a split block be as old as the block was
///
/// Eager splitting builds the table that replaces a block from what the block looked
/// like before, and then breaks it. Whatever became of the block meanwhile is lost,
/// and all new leaves count as used, though nobody has touched any of them: one pass
/// of dirty logging makes a whole cold guest look hot.
///
/// Give them the volatile bits that the block had when it was broken. Nobody else can
/// find the new table yet, so plain stores will do.
// File: arch/arm64/kvm/hyp/pgtable.c
// Hunks: 6.12 stage2_split_walker 1
// Applied: 6.12 stage2_split_walker \bstage2_inherit_volatile\b

@@
identifier ctx, visit, mm_ops, level, childp, mmu;
symbol pte;
@@
 stage2_split_walker(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
 {
 	<...
 	if (!stage2_try_break_pte(ctx, mmu, &pte)) {
 		kvm_pgtable_stage2_free_unlinked(mm_ops, childp, level);
 		return ...;
 	}
+	/* As it was broken, not as it was seen first: an ager may have come between. */
+	stage2_inherit_volatile(mm_ops, childp, level, pte);
 	...>
 }
