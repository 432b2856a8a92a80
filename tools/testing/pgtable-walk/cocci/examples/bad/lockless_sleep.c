// SPDX-License-Identifier: GPL-2.0-only

static enum pgtable_walk_next
bad_tighten(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *new)
{
	struct mine *mine = walk->arg;

	spin_lock(&mine->kvm->mmu_lock); /* expect */
	*new = walk->pte & ~fmt->accessed;
	spin_unlock(&mine->kvm->mmu_lock);
	cond_resched(); /* expect */
	return PGTABLE_WALK_NEXT;
}

static void ops_are_here(void)
{
	static const struct pgtable_walk_ops ops = { .tighten = bad_tighten };
}

static void bad_callee(struct kvm *kvm, struct pgtable_age *age)
{
	age->want = kcalloc(4, sizeof(long), GFP_KERNEL_ACCOUNT | __GFP_NOWARN); /* expect */
}

void kvm_arch_age(struct kvm *kvm, const struct kvm_memory_slot *slot, struct pgtable_age *age)
{
	bad_callee(kvm, age);
	if (!read_trylock(&kvm->mmu_lock)) /* expect */
		return;
	mine_age(kvm, age);
	read_unlock(&kvm->mmu_lock);
}

static bool bad_section(struct kvm *kvm, struct pgtable_age *age)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	if (!tree.table)
		synchronize_rcu(); /* expect */
	pgtable_age_tree(&format, &tree, age);
	rcu_read_unlock();
	return age->stats.young;
}

static void bad_before(struct kvm *kvm, struct pgtable_age *age)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	mutex_lock(&kvm->slots_lock); /* expect */
	tree = pgtable_root_deref(&kvm->arch.root, false);
	pgtable_age_tree(&format, &tree, age);
	mutex_unlock(&kvm->slots_lock);
	rcu_read_unlock();
}
