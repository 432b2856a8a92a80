// SPDX-License-Identifier: GPL-2.0-only

static void good_always(struct mine_root *root, bool shared)
{
	list_del_rcu(&root->link);
	if (shared)
		mine_count(root);
	synchronize_rcu();
	kfree(root);
}

static void good_nothing_to_free(void *pgd)
{
	if (pgd)
		synchronize_rcu();
	free_pages((unsigned long)pgd, 2);
}

static void good_beside(struct kvm *kvm, struct mine_root *root)
{
	if (root) {
		synchronize_rcu();
		kfree(root);
	}
	kfree(kvm->arch.never_published);
}

static void good_return(struct kvm *kvm, void *never_published)
{
	if (!never_published) {
		synchronize_rcu();
		return;
	}
	kfree(never_published);
}

static void good_again(struct mine_root *root, bool twice)
{
	if (twice)
		synchronize_rcu();
	synchronize_rcu();
	kfree(root);
}

static void good_reference(struct mine *mine, struct pid *old, struct pid *new)
{
	if (old != new) {
		rcu_assign_pointer(mine->pid, new);
		if (old)
			synchronize_rcu();
		put_pid(old);
	}
	kfree(mine->never_published);
}
