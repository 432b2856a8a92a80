// SPDX-License-Identifier: GPL-2.0

static int unlinked_inherit_walker(const struct kvm_pgtable_visit_ctx *ctx,
				   enum kvm_pgtable_walk_flags visit)
{
	const kvm_pte_t *block = ctx->arg;

	WRITE_ONCE(*ctx->ptep, (ctx->old & ~KVM_PTE_S2_VOLATILE) | (*block & KVM_PTE_S2_VOLATILE));
	return 0;
}

/*
 * Turn the leaves of a new table, which only the caller can find, from the age that @was
 * has to that of @block.  While a block is broken, vCPUs wait: nothing is done then if
 * both are the same.
 */
static void stage2_inherit_volatile(struct kvm_pgtable_mm_ops *mm_ops, kvm_pte_t *pgtable,
				    s8 level, kvm_pte_t was, kvm_pte_t block)
{
	struct kvm_pgtable_walker walker = {
		.cb	= unlinked_inherit_walker,
		.flags	= KVM_PGTABLE_WALK_LEAF,
		.arg	= &block,
	};
	struct kvm_pgtable_walk_data data = {
		.walker	= &walker,
		.addr	= 0,
		.end	= kvm_granule_size(level),
	};

	if (!((was ^ block) & KVM_PTE_S2_VOLATILE))
		return;

	WARN_ON(__kvm_pgtable_walk(&data, mm_ops, (kvm_pteref_t)pgtable, level + 1));
}
