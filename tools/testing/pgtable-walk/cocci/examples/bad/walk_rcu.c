// SPDX-License-Identifier: GPL-2.0-only

static bool bad_no_section(struct kvm *kvm, u64 start, u64 end)
{
	struct pgtable_age age = { .start = start, .end = end };
	struct pgtable_walk_tree tree = pgtable_root_deref(&kvm->arch.root, false); /* expect */

	pgtable_age_tree(&format, &tree, &age);
	return age.stats.young;
}

static bool bad_one_path(struct kvm *kvm, u64 start, u64 end, bool locked)
{
	struct pgtable_age age = { .start = start, .end = end };
	struct pgtable_walk_tree tree;

	if (!locked)
		rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false); /* expect */
	pgtable_age_tree(&format, &tree, &age);
	if (!locked)
		rcu_read_unlock();
	return age.stats.young;
}

static bool bad_too_early(struct kvm *kvm, u64 start, u64 end)
{
	struct pgtable_age age = { .start = start, .end = end };
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	rcu_read_unlock();
	pgtable_age_tree(&format, &tree, &age); /* expect */
	return age.stats.young;
}

static u64 bad_root_entry(struct kvm *kvm, u64 i)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	rcu_read_unlock();
	return tree.table[i]; /* expect */
}

static bool bad_again(struct kvm *kvm, u64 start, u64 end)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	count(kvm);
	rcu_read_unlock();
	tree = pgtable_root_deref(&kvm->arch.root, false); /* expect */
	return tree.levels;
}
