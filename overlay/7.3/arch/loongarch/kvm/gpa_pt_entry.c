// SPDX-License-Identifier: GPL-2.0
/*
 * Look up, split and replace entries of the page tables of guest physical addresses.
 */
#include "gpa_pt_entry.h"

static vpte_t *gpa_pt_alloc(struct kvm_mmu_memory_cache *cache, unsigned int level)
{
	vpte_t *table = kvm_mmu_memory_cache_alloc(cache);
	unsigned int i;

	for (i = 0; i < 1U << GPA_PT_INDEX_BITS; i++)
		table[i] = gpa_pt_empty(level);
	return table;
}

static vpte_t *gpa_pt_index(vpte_t *table, gpa_t gpa, unsigned int level)
{
	const gpa_t page = gpa >> pgtable_walk_level_shift(&gpa_pt_format, level);

	return &table[page & ((1U << GPA_PT_INDEX_BITS) - 1)];
}

/**
 * gpa_pt_entry() - look up an entry
 * @kvm: the VM
 * @cache: tables that may be linked on the way down; NULL to link none
 * @gpa: a guest physical address
 * @level: the level of the entry
 *
 * Context: mmu_lock held.
 *
 * Return: the entry, or a huge leaf of a higher level that maps @gpa; NULL if there is a table
 * missing, and no cache.
 */
kvm_pte_t *gpa_pt_entry(struct kvm *kvm, struct kvm_mmu_memory_cache *cache, gpa_t gpa,
			unsigned int level)
{
	vpte_t *table = (vpte_t *)kvm->arch.pgd;
	unsigned int i;

	lockdep_assert_held(&kvm->mmu_lock);

	for (i = GPA_PT_LEVELS - 1; i > level; i--) {
		vpte_t *ptep = gpa_pt_index(table, gpa, i);
		const vpte_t pte = vpte_read(ptep);
		const enum pgtable_walk_kind kind = gpa_pt_kind(pte, i);

		if (kind == PGTABLE_WALK_LEAF)
			return (kvm_pte_t *)ptep;

		if (kind == PGTABLE_WALK_TABLE) {
			table = gpa_pt_child(pte);
		} else if (cache) {
			table = gpa_pt_alloc(cache, i - 1);
			vpte_link_table(ptep, __pa(table));
		} else {
			return NULL;
		}
	}

	return (kvm_pte_t *)gpa_pt_index(table, gpa, level);
}

/**
 * gpa_pt_split() - replace a huge leaf by a table of leaves that map the same
 * @vcpu: the vCPU that faulted, for its cache of tables
 * @ptep: the leaf
 * @gfn: a guest frame that it maps
 *
 * If the leaf is made old or used meanwhile, the leaves of the table have to be made anew.
 *
 * Context: mmu_lock held.
 *
 * Return: the entry of the frame in the table.
 */
kvm_pte_t *gpa_pt_split(struct kvm_vcpu *vcpu, kvm_pte_t *ptep, gfn_t gfn)
{
	kvm_pte_t *child = kvm_mmu_memory_cache_alloc(&vcpu->arch.mmu_page_cache);
	vpte_t huge = gpa_pt_read_vpte(ptep);
	struct kvm *kvm = vcpu->kvm;
	unsigned int i;

	lockdep_assert_held(&kvm->mmu_lock);

	do {
		for (i = 0; i < PTRS_PER_PTE; i++)
			child[i] = kvm_pte_mksmall(huge) + i * PAGE_SIZE;
		/* Ordered: a walk that finds the table finds these in it. */
	} while (!vpte_try_cmpxchg(gpa_pt_vpte(ptep), &huge, __pa(child)));

	kvm->stat.hugepages--;
	kvm->stat.pages += PTRS_PER_PTE;

	return child + (gfn & (PTRS_PER_PTE - 1));
}

/**
 * gpa_pt_map() - put a leaf in the place of whatever there is
 * @kvm: the VM
 * @ptep: the entry, which is no table
 * @pte: the leaf
 *
 * Context: mmu_lock held.
 */
void gpa_pt_map(struct kvm *kvm, kvm_pte_t *ptep, kvm_pte_t pte)
{
	const vpte_t old = vpte_xchg(gpa_pt_vpte(ptep), pte);

	lockdep_assert_held(&kvm->mmu_lock);

	if (old & _PAGE_PRESENT)
		return;
	if (kvm_pte_huge(pte))
		kvm->stat.hugepages++;
	else
		kvm->stat.pages++;
}
