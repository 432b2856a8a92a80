// SPDX-License-Identifier: GPL-2.0-only

static void good_gather(struct pgtable_gather *gather, const struct pgtable_walk_format *fmt,
			vpte_t *ptep)
{
	pgtable_gather_table(gather, fmt->child(vpte_xchg(ptep, 0)));
}

static void good_never_linked(vpte_t *ptep, vpte_t *old)
{
	vpte_t *table = (vpte_t *)get_zeroed_page(GFP_ATOMIC);

	if (!vpte_try_cmpxchg(ptep, old, __pa(table)))
		free_page((unsigned long)table);
}

static void good_callback(struct rcu_head *head)
{
	__free_page(container_of(head, struct page, rcu_head));
}

static void good_other_table(vpte_t *ptep, void *never_linked)
{
	void *table = mine_child(vpte_read(ptep));

	count(table);
	table = never_linked;
	free_page((unsigned long)table);
}

static void good_after_grace_period(vpte_t *ptep)
{
	void *table = mine_child(vpte_xchg(ptep, 0));

	synchronize_rcu();
	free_page((unsigned long)table);
}

static int good_operation(const struct kvm_pgtable_visit_ctx *ctx,
			  struct kvm_pgtable_mm_ops *mm_ops)
{
	kvm_pte_t *childp = NULL;

	if (kvm_pte_table(ctx->old, ctx->level))
		childp = kvm_pte_follow(ctx->old, mm_ops);
	vpte_xchg(ctx->ptep, 0);
	if (childp) {
		if (mm_ops->free_unlinked_table)
			mm_ops->free_unlinked_table(childp, ctx->level);
		else
			mm_ops->put_page(childp);
	}
	return 0;
}
