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
		set_pte((pte_t *)ptep, __pte(0)); /* expect */
}

static void ops_are_here(void)
{
	static const struct pgtable_walk_ops one = { .leaf = bad_leaf, .table_post = bad_post };
	static const struct pgtable_walk_ops two = { .leaf = bad_leaf_once };
	static const struct pgtable_walk_ops three = {
		.leaf = good_leaf,
	};
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

static enum pgtable_walk_next
good_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *ptep)
{
	vpte_t old = walk->pte, *found = walk->arg;

	*found = old;
	WARN_ON_ONCE(!vpte_update(ptep, &old, _PAGE_WRITE, 0, fmt->volatile_bits));
	return PGTABLE_WALK_NEXT;
}

static void good_mixed(vpte_t *ptep, vpte_t *out)
{
	vpte_t old = vpte_read(ptep);

	*out = old;
	while (!vpte_try_cmpxchg(ptep, &old, old | 1))
		*out = old;
}

static void good_fresh_table(vpte_t *ptep, vpte_t *table)
{
	unsigned int i;

	for (i = 0; i < PTRS_PER_PTE; i++)
		table[i] = i;
	vpte_link_table(ptep, __pa(table));
}

static void good_elsewhere(pte_t *ptep, pte_t pte)
{
	set_pte(ptep, pte);
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

static void stage2_good_visitor(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	kvm_pte_t old = vpte_xchg(ctx->ptep, new);

	WRITE_ONCE(*ctx->arg, old);
}

static int unlinked_good_visitor(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	WRITE_ONCE(*ctx->ptep, new);
	return 0;
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

static int hyp_map_walker(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	smp_store_release(ctx->ptep, new);
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

static void __set_spte(u64 *sptep, u64 spte)
{
	KVM_MMU_WARN_ON(!spte);
	WRITE_ONCE(*sptep, spte);
}

static void mmu_spte_set(u64 *sptep, u64 new_spte)
{
	__set_spte(sptep, new_spte);
}

static u64 good_spte(u64 *sptep)
{
	u64 old = READ_ONCE(*sptep);

	*old_sptep_value(sptep) = old;
	return old;
}
