// SPDX-License-Identifier: GPL-2.0

struct destroy_part_data {
	u64		addr;
	unsigned int	left;
};

static int destroy_part_walker(const struct kvm_pgtable_visit_ctx *ctx,
			       enum kvm_pgtable_walk_flags visit)
{
	struct destroy_part_data *data = ctx->arg;

	stage2_free_walker(ctx, visit);
	/* What it held is gone: a walk that comes here again must not find it. */
	kvm_clear_pte(ctx->ptep);

	if (--data->left)
		return 0;

	/*
	 * Go on with this entry and not behind it.  If it is the last one of its table, the
	 * table is still to be freed, and that happens on the way out of it.
	 */
	data->addr = ctx->addr;
	return -EINTR;
}

bool kvm_pgtable_stage2_destroy_part(struct kvm_pgtable *pgt, u64 *addr)
{
	struct destroy_part_data data = {
		/* One more, for the entry that ended the last part. */
		.left	= PTRS_PER_PTE + 1,
	};
	struct kvm_pgtable_walker walker = {
		.cb	= destroy_part_walker,
		.flags	= KVM_PGTABLE_WALK_LEAF |
			  KVM_PGTABLE_WALK_TABLE_POST,
		.arg	= &data,
	};
	int ret = kvm_pgtable_walk(pgt, *addr, BIT(pgt->ia_bits) - *addr, &walker);

	WARN_ON(ret && ret != -EINTR);
	*addr = data.addr;
	return ret == -EINTR;
}
