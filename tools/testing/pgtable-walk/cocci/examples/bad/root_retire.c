// SPDX-License-Identifier: GPL-2.0-only

static void bad_at_once(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_unpublish(&kvm->arch.root);

	free_pages((unsigned long)tree.table, 2); /* expect */
}

static void bad_through_helper(struct kvm *kvm)
{
	void *pgd = NULL;

	spin_lock(&kvm->mmu_lock);
	if (kvm->arch.pgd) {
		mine_unmap_root(kvm);
		pgd = kvm->arch.pgd;
		kvm->arch.pgd = NULL;
	}
	spin_unlock(&kvm->mmu_lock);

	if (pgd)
		free_pages((unsigned long)pgd, 2); /* expect */
}

static void bad_before_unpublish(struct kvm *kvm, struct mine_pgt *pgt)
{
	synchronize_rcu();
	pgtable_root_unpublish(&kvm->arch.root);
	kfree(pgt); /* expect */
}

static void bad_deadlock(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_unpublish(&kvm->arch.root);

	synchronize_srcu(&kvm->srcu); /* expect */
	/* patch: synchronize_rcu(); */
	free_pages((unsigned long)tree.table, 2); /* expect */
}

static void bad_deadlock_too(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_unpublish(&kvm->arch.root);

	synchronize_rcu();
	mmu_notifier_synchronize(); /* expect */
	/* patch: synchronize_rcu(); */
	free_pages((unsigned long)tree.table, 2);
}

static void bad_conditional_wait(struct kvm *kvm)
{
	if (pgtable_root_unpublish(&kvm->arch.root).table)
		synchronize_rcu();
	free_pages((unsigned long)kvm->arch.pgd, 2); /* expect */
}

static bool bad_retire_root(struct mmu *mmu) /* expect */
{
	return pgtable_root_unpublish(&mmu->root).table;
}

static bool bad_open_retire_root(struct mmu *mmu) /* expect */
{
	if (!pgtable_root_unpublish(&mmu->root).table)
		return false;
	synchronize_rcu();
	return true;
}

static inline void bad_mute_retire_root(struct mmu *mmu) /* expect */
{
	pgtable_root_retire(&mmu->root);
}

static void bad_dropped(struct kvm *kvm)
{
	pgtable_root_retire(&kvm->arch.root);
	free_pages((unsigned long)kvm->arch.pgd, 2); /* expect */
}

static void bad_ignored(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_retire(&kvm->arch.root);

	mine_unmap(kvm, &tree);
	free_pages((unsigned long)kvm->arch.pgd, 2); /* expect */
}

static void bad_decided(struct kvm *kvm)
{
	struct pgtable_walk_tree tree;

	tree = pgtable_root_retire(&kvm->arch.root);
	if (tree.table)
		mine_unmap(kvm, &tree);
	free_pages((unsigned long)kvm->arch.pgd, 2); /* expect */
}

static void bad_decided_at_once(struct mmu *mmu)
{
	if (mine_retire_root(mmu))
		mine_unmap(mmu);
	kvm_pgtable_stage2_destroy(mmu->pgt); /* expect */
}

static void bad_dropped_wrapper(struct mmu *mmu)
{
	mine_retire_root(mmu);
	kfree(mmu->pgt); /* expect */
}

static void bad_bool(struct mmu *mmu)
{
	bool mine = mine_retire_root(mmu);

	kvm_pgtable_stage2_destroy(mmu->pgt); /* expect */
}
