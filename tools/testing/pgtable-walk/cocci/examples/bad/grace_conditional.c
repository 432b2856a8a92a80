// SPDX-License-Identifier: GPL-2.0-only

static void bad_list(struct kvm *kvm, struct mine_root *root, bool shared)
{
	list_del_rcu(&root->link);
	if (shared)
		synchronize_rcu();
	free_page((unsigned long)root->table); /* expect */
	kfree(root); /* expect */
}

static void bad_other_condition(struct kvm *kvm, void *table, void *old)
{
	if (old) {
		mine_count(kvm);
		synchronize_rcu_expedited();
	}
	free_pages((unsigned long)table, 2); /* expect */
}

static void bad_else(struct kvm *kvm, void *pgd)
{
	if (kvm->arch.lockless)
		synchronize_rcu();
	else
		mine_count(kvm);
	kvfree(pgd); /* expect */
}
