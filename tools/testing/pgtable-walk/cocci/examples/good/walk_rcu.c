// SPDX-License-Identifier: GPL-2.0-only

static bool good_section(struct kvm *kvm, u64 start, u64 end)
{
	struct pgtable_age age = { .start = start, .end = end };
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	pgtable_age_tree(&format, &tree, &age);
	rcu_read_unlock();

	account(&age);
	return age.stats.young;
}

static void good_locked(struct kvm *kvm, u64 start, u64 end)
{
	struct pgtable_walk_tree tree = pgtable_root_deref(&kvm->arch.root,
							   lockdep_is_held(&kvm->mmu_lock));

	unmap(&tree, start, end);
}

static bool good_question(struct kvm *kvm)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	rcu_read_unlock();
	return tree.table && tree.levels > 3;
}

static void good_loop(struct kvm *kvm, u64 start, u64 end)
{
	struct pgtable_walk_tree tree;

	while (start < end) {
		rcu_read_lock();
		tree = pgtable_root_deref(&kvm->arch.root, false);
		start = walk(&tree, start, end);
		rcu_read_unlock();
		cond_resched();
	}
}

static bool good_guard(struct kvm *kvm, u64 start, u64 end)
{
	struct pgtable_age age = { .start = start, .end = end };
	struct pgtable_walk_tree tree;

	guard(rcu)();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	pgtable_age_tree(&format, &tree, &age);
	return age.stats.young;
}

static void good_other_tree(struct kvm *kvm, const struct pgtable_walk_tree *mine)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	count(tree.levels);
	tree = *mine;
	rcu_read_unlock();
	walk(&tree, 0, 1);
}

static void good_other_tree_later(struct kvm *kvm, const struct pgtable_walk_tree *mine)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	rcu_read_unlock();
	count(tree.levels);
	tree = *mine;
	walk(&tree, 0, 1);
}

static void good_other_table(struct kvm *kvm, vpte_t *mine)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	tree.table = mine;
	rcu_read_unlock();
	walk(&tree, 0, 1);
}

static void good_other_table_later(struct kvm *kvm, vpte_t *mine)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	rcu_read_unlock();
	tree.table = mine;
	walk(&tree, 0, 1);
}
