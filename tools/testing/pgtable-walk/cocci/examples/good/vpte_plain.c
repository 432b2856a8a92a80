// SPDX-License-Identifier: GPL-2.0-only

static void ops_are_here(void)
{
	static const struct pgtable_walk_ops ops = {
		.leaf = good_leaf,
	};
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

static int hyp_map_walker(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	smp_store_release(ctx->ptep, new);
	return 0;
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
