// SPDX-License-Identifier: GPL-2.0-only

static void good_grace_period(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_unpublish(&kvm->arch.root);

	if (!tree.table)
		return;
	synchronize_rcu();
	free_pages((unsigned long)tree.table, 2);
}

static void good_through_helper(struct kvm *kvm)
{
	void *pgd = NULL;

	spin_lock(&kvm->mmu_lock);
	if (kvm->arch.pgd) {
		mine_unmap_root(kvm);
		pgd = kvm->arch.pgd;
	}
	spin_unlock(&kvm->mmu_lock);

	if (pgd) {
		synchronize_rcu();
		free_pages((unsigned long)pgd, 2);
	}
}

static void good_never_published(struct kvm *kvm, void *pgd)
{
	free_pages((unsigned long)pgd, 2);
	synchronize_srcu(&kvm->srcu);
}

static bool good_retire_root(struct mmu *mmu)
{
	return pgtable_root_retire(&mmu->root).table;
}

static void good_owner(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_retire(&kvm->arch.root);
	void *pgd = NULL;

	if (!tree.table)
		return;

	if (kvm->arch.pgd) {
		mine_unmap(kvm, &tree);
		pgd = kvm->arch.pgd;
	}
	if (pgd)
		free_pages((unsigned long)pgd, 2);
}

static void good_guarded(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_retire(&kvm->arch.root);

	if (tree.table) {
		mine_unmap(kvm, &tree);
		free_pages((unsigned long)tree.table, 2);
	}
	kfree(kvm->arch.other);
}

static void good_wrapper(struct mmu *mmu)
{
	if (!mine_retire_root(mmu))
		return;
	kvm_pgtable_stage2_destroy(mmu->pgt);
	kfree(mmu->pgt);
}

static void good_bool(struct mmu *mmu)
{
	bool mine = mine_retire_root(mmu);

	if (!mine)
		return;
	kvm_pgtable_stage2_destroy(mmu->pgt);
}
