// SPDX-License-Identifier: GPL-2.0-only

static enum pgtable_walk_next
good_tighten(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *new)
{
	spin_lock(&walk->mine_lock);
	*new = walk->pte & ~fmt->accessed;
	spin_unlock(&walk->mine_lock);
	return PGTABLE_WALK_NEXT;
}

static void ops_are_here(void)
{
	static const struct pgtable_walk_ops ops = { .tighten = good_tighten };
}

static void good_callee(struct kvm *kvm, struct pgtable_age *age)
{
	lockdep_assert_not_held(&kvm->mmu_lock);
	age->want = kcalloc(4, sizeof(long), GFP_ATOMIC);
}

static void good_other_function(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	cond_resched_rwlock_write(&kvm->mmu_lock);
	write_unlock(&kvm->mmu_lock);
}

void kvm_arch_age(struct kvm *kvm, const struct kvm_memory_slot *slot, struct pgtable_age *age)
{
	good_callee(kvm, age);
}

static void good_sections(struct kvm *kvm, struct pgtable_age *age)
{
	struct pgtable_walk_tree tree;

	mutex_lock(&kvm->slots_lock);
	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	pgtable_age_tree(&format, &tree, age);
	if (down_read_trylock(&kvm->sem))
		vfree_atomic(age->young);
	vmalloc_to_page(age->want);
	kvfree_rcu(age, rcu);
	rcu_read_unlock();
	mutex_unlock(&kvm->slots_lock);
	cond_resched();
}

static void good_exclusive(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_deref(&kvm->arch.root, true);

	mine_unmap(kvm, &tree);
	cond_resched_rwlock_write(&kvm->mmu_lock);
}
