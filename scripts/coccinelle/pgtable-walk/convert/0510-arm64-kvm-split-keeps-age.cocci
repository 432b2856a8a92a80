// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Let the leaves of a split block be as old as the block was
///
/// All leaves of the table that eager splitting puts in place of a block count as
/// used, though nobody has touched any of them: one pass of dirty logging makes a
/// whole cold guest look hot.
///
/// Give them the volatile bits of the block. They are made with the access flag set,
/// so only the table of an old block needs more than a look, and it gets that before
/// the block is broken: vCPUs that access it fault until the table is there. An ager
/// or hardware may change the flag in between; then, and only then, the table is gone
/// through once more. Nobody else can find the new table yet, so plain stores will do.
///
/// Without an access flag that hardware sets, an old block of 2 MiB so costs a guest
/// that uses all of it up to 512 access faults after the split, where it took one
/// before, and none if all is called young. These are the accesses that aging asks
/// about: to call 512 pages used for none of them is what is wrong.
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
+	/* As it was when broken: an ager or hardware may have come between, but seldom. */
+	stage2_inherit_volatile(mm_ops, childp, level, ctx->old, pte);
 	...>
 }
