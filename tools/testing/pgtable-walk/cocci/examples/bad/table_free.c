// SPDX-License-Identifier: GPL-2.0-only

static void bad_at_once(const struct pgtable_walk_format *fmt, vpte_t *ptep)
{
	vpte_t *table = fmt->child(vpte_xchg(ptep, 0));

	free_page((unsigned long)table); /* expect */
}

static void bad_after_flush(struct kvm *kvm, const struct pgtable_walk_format *fmt, vpte_t *ptep)
{
	void *table;

	table = fmt->child(vpte_xchg(ptep, 0));
	kvm_flush_remote_tlbs(kvm);
	put_page(virt_to_page(table)); /* expect */
}

static void bad_nested(vpte_t *ptep)
{
	__free_page(virt_to_page(mine_child(vpte_xchg(ptep, 0)))); /* expect */
}

static void bad_set_pte(pte_t *ptep)
{
	pte_t *next = (pte_t *)mine_pte_page_vaddr(ptep_get(ptep));

	set_pte(ptep, __pte(0));
	put_page(virt_to_page(next)); /* expect */
}

static void bad_gather(struct pgtable_gather *gather)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &gather->tables, lru)
		__free_page(page); /* expect */
}

static int bad_operation(const struct kvm_pgtable_visit_ctx *ctx, struct kvm_pgtable_mm_ops *mm_ops)
{
	kvm_pte_t *childp = NULL;

	if (kvm_pte_table(ctx->old, ctx->level))
		childp = kvm_pte_follow(ctx->old, mm_ops);
	vpte_xchg(ctx->ptep, 0);
	if (childp)
		mm_ops->put_page(childp); /* expect */
	return 0;
}
