// SPDX-License-Identifier: GPL-2.0-only

static enum pgtable_walk_next
bad_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *ptep)
{
	*ptep = walk->pte & ~_PAGE_WRITE; /* expect */
	return PGTABLE_WALK_NEXT;
}

static enum pgtable_walk_next
bad_leaf_once(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *ptep)
{
	struct change *change = walk->arg;

	WRITE_ONCE(*ptep, 0); /* expect */
	change->leaves++;
	return PGTABLE_WALK_NEXT;
}

static __always_inline void
bad_post(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *ptep)
{
	if (READ_ONCE(*ptep)) /* expect */
	/* patch: if (vpte_read(ptep)) */
		set_pte((pte_t *)ptep, __pte(0)); /* expect */
}

static void bad_mixed(vpte_t *ptep)
{
	vpte_t old = vpte_read(ptep);

	if (old & _PAGE_PRESENT)
		*ptep = old & ~_PAGE_ACCESSED; /* expect */
}

static int bad_wrapped(pte_t *ptep, const pte_t *new_pte)
{
	if (mine_entry_kind(ptep, 0) == PGTABLE_WALK_TABLE)
		return -EEXIST;
	set_pte(ptep, *new_pte); /* expect */
	return 0;
}

static void bad_index(vpte_t *table, unsigned int i)
{
	vpte_t pte = vpte_read(&table[i]);

	if (!pte)
		table[i] = 1; /* expect */
}

static vpte_t bad_index_read(vpte_t *table, unsigned int i)
{
	if (mine_entry_kind(&table[i], 0) != PGTABLE_WALK_LEAF)
		return 0;
	return READ_ONCE(table[i]); /* expect */
	/* patch: return vpte_read(&table[i]); */
}

static void stage2_bad_visitor(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	if (new)
		WRITE_ONCE(*ctx->ptep, new); /* expect */
	else
		kvm_clear_pte(ctx->ptep); /* expect */
}

static void stage2_bad_make(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	smp_store_release(ctx->ptep, new); /* expect */
}

static int bad_visitor_of_any_name(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	WRITE_ONCE(*ctx->ptep, ctx->old | 1); /* expect */
	*ctx->ptep = 0; /* expect */
	return 0;
}

static int bad_visitor_with_variable(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	kvm_pte_t *entry = ctx->ptep;

	WRITE_ONCE(*entry, new); /* expect */
	return 0;
}

static void bad_spte(u64 *sptep, u64 spte)
{
	WRITE_ONCE(*sptep, spte | 1); /* expect */
	*sptep = spte; /* expect */
}

static void bad_tdp_spte(struct tdp_iter *iter, u64 spte)
{
	WRITE_ONCE(*iter->sptep, spte); /* expect */
	WRITE_ONCE(*rcu_dereference(iter->sptep), spte); /* expect */
	__kvm_tdp_mmu_write_spte(iter->sptep, spte); /* expect */
}

static bool bad_spte_through(u64 *child_sptep, u64 spte)
{
	if (spte)
		__set_spte(child_sptep, spte); /* expect */
	return true;
}

static void ops_are_here(void)
{
	static const struct pgtable_walk_ops one = { .leaf = bad_leaf, .table_post = bad_post };
	static const struct pgtable_walk_ops two = { .leaf = bad_leaf_once };
}
