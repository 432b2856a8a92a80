// SPDX-License-Identifier: GPL-2.0-only

static void bad_at_once(struct kvm *kvm)
{
	struct pgtable_tree tree = pgtable_root_unpublish(&kvm->arch.root);

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
	struct pgtable_tree tree = pgtable_root_unpublish(&kvm->arch.root);

	synchronize_srcu(&kvm->srcu); /* expect */
	free_pages((unsigned long)tree.table, 2); /* expect */
}

static void bad_deadlock_too(struct kvm *kvm)
{
	struct pgtable_tree tree = pgtable_root_unpublish(&kvm->arch.root);

	synchronize_rcu();
	mmu_notifier_synchronize(); /* expect */
	free_pages((unsigned long)tree.table, 2);
}

static void good_grace_period(struct kvm *kvm)
{
	struct pgtable_tree tree = pgtable_root_unpublish(&kvm->arch.root);

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

static void bad_retire_root(struct mmu *mmu) /* expect */
{
	pgtable_root_unpublish(&mmu->root);
}

static void bad_order_retire_root(struct mmu *mmu) /* expect */
{
	synchronize_rcu();
	pgtable_root_unpublish(&mmu->root);
}

static void good_retire_root(struct mmu *mmu)
{
	if (pgtable_root_unpublish(&mmu->root).table)
		synchronize_rcu();
}
