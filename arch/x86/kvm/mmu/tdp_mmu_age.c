// SPDX-License-Identifier: GPL-2.0
/*
 * Age what the TDP MMU maps: test, and clear, the accessed state of leaf SPTEs.
 *
 * Runs under RCU, and under mmu_lock only while the operator's switch is off.  What it
 * may meet, and what keeps it safe:
 *
 *  - A root goes away: it is off the list, by list_del_rcu(), before it is freed by
 *    call_rcu() (litmus: root-list).  No reference is taken, and none needed: nothing here
 *    sleeps.
 *  - A root is invalidated: no vCPU will run on it again.  It is left out.  A walk
 *    that found it valid a moment before ages what is about to be zapped; that is harmless.
 *  - A table goes away: handle_removed_pt() frees it by call_rcu(), and flows that remove
 *    tables flush TLBs before they leave their own RCU section (litmus: flush-in-section).
 *  - An SPTE is frozen, zapped, split, write-protected or aged by others: the cmpxchg
 *    fails, nothing is written, and the leaf counts as young.
 *  - Memslots change: the caller holds kvm->srcu.
 *
 * No page is marked dirty or accessed here, see spte_volatile.h.
 */
#include <linux/pgtable_age.h>
#include <linux/rculist.h>

#include "mmu_internal.h"
#include "mmutrace.h"
#include "spte_format.h"
#include "tdp_mmu.h"

/* The loops, apart from all else: a test reads their object code for calls. */
static noinline void tdp_mmu_age_tree(const struct pgtable_walk_tree *tree, struct pgtable_age *age)
{
	pgtable_age_tree(&spte_format, tree, age);
}

/* The same while kvm_tdp_mmu_spte_changed is on, which is emitted from within the loop. */
static void spte_trace_changed(const struct pgtable_walk *walk, const vpte_t *sptep, vpte_t new)
{
	trace_kvm_tdp_mmu_spte_changed(kvm_mmu_page_as_id(sptep_to_sp((u64 *)sptep)),
				       gpa_to_gfn(walk->addr), walk->level + PG_LEVEL_4K,
				       walk->pte, new);
}

static const struct pgtable_walk_format spte_traced_format = {
	SPTE_FORMAT,
	.changed	= spte_trace_changed,
};

static noinline void tdp_mmu_age_tree_traced(const struct pgtable_walk_tree *tree,
					     struct pgtable_age *age)
{
	pgtable_age_tree(&spte_traced_format, tree, age);
}

/*
 * Is this a valid root of the address space?  Several roots may map one gfn, e.g. if vCPUs
 * differ in CPUID.  Roots may be invalidated meanwhile, which changes the role.
 */
static bool tdp_mmu_root_is_aged(const struct kvm *kvm, const struct kvm_mmu_page *root,
				 int as_id, struct pgtable_walk_tree *tree)
{
	const union kvm_mmu_page_role role = { .word = READ_ONCE(root->role.word) };

	/* What a mirror root maps is no memory of the primary MMU.  It stays a mirror. */
	if (data_race(is_mirror_sp(root)))
		return false;

	*tree = spte_tree(root->spt, role.level, gfn_to_gpa(kvm_gfn_direct_bits(kvm)));
	return !role.invalid && kvm_mmu_role_as_id(role) == as_id;
}

void kvm_tdp_mmu_age(struct kvm *kvm, int as_id, struct pgtable_age *age)
{
	struct kvm_mmu_page *root;
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link) {
		if (!tdp_mmu_root_is_aged(kvm, root, as_id, &tree))
			continue;

		if (trace_kvm_tdp_mmu_spte_changed_enabled())
			tdp_mmu_age_tree_traced(&tree, age);
		else
			tdp_mmu_age_tree(&tree, age);

		if (pgtable_age_done(age))
			break;
	}
	rcu_read_unlock();
}
