/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MGLRU's questions to secondary MMUs, many page-table entries at a time.
 *
 * Walks go from entry to entry, and would ask about each.  They run ahead over some of
 * them instead, under the same page-table lock, to see which are about folios of theirs,
 * ask once about those, and then go through the entries as ever.
 *
 * Nothing is asked about other folios: whoever is asked forgets that a page was used,
 * and only those who promote it may have that.  Entries that are young in the primary
 * MMU are asked about too, although the answer is known: else the secondary MMU would
 * still call them young next time.
 */
#ifndef _MM_LRU_GEN_AGE_H
#define _MM_LRU_GEN_AGE_H

#include <linux/bitmap.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_age.h>
#include <linux/pgtable_walk.h>

#ifdef CONFIG_MMU_NOTIFIER_AGE
/* Entries asked about in one call: a page table of 4K, whatever the size of a page. */
#define LRU_GEN_AGE_BITS	512UL

/**
 * struct lru_gen_age - what secondary MMUs say of the next entries
 * @next: address of the first entry that they were not asked about yet; ULONG_MAX if
 *	  they are not to be asked about many at once
 * @range: what they were asked last; starts at ULONG_MAX if nothing
 * @want: entries about folios that the walk is about
 * @young: those that were used
 */
struct lru_gen_age {
	unsigned long next;
	struct mmu_notifier_age range;
	DECLARE_BITMAP(want, LRU_GEN_AGE_BITS);
	DECLARE_BITMAP(young, LRU_GEN_AGE_BITS);
};

/* Do walks ask secondary MMUs? Where they don't, all goes as if there were none. */
static inline bool lru_gen_consults(struct mm_struct *mm)
{
	return pgtable_walk_consult_enabled() && mm_has_notifiers(mm);
}

/*
 * The bitmaps are left alone until there is a question: most address spaces have nobody
 * to ask. None comes while the caller holds what keeps its VMA in place, for that takes
 * all locks of the address space; one that goes is not asked any more, and no harm is done.
 */
static inline void lru_gen_age_init(struct lru_gen_age *age, struct mm_struct *mm)
{
	age->range.start = ULONG_MAX;
	age->next = lru_gen_consults(mm) && pgtable_walk_batch_enabled() ? 0 : ULONG_MAX;
}

/* Are the entries from @addr on to be asked about? Addresses ascend. */
static inline bool lru_gen_age_is_due(const struct lru_gen_age *age, unsigned long addr)
{
	return addr >= age->next;
}

/* Collect entries of 1 << @shift bytes each.  Returns the end of those that fit. */
static inline unsigned long lru_gen_age_begin(struct lru_gen_age *age, unsigned long addr,
					      unsigned long end, unsigned int shift)
{
	age->range = (struct mmu_notifier_age) {
		.start = addr,
		.nr = min((end - addr) >> shift, LRU_GEN_AGE_BITS),
		.shift = shift,
		.clear = true,
		.want = age->want,
		.young = age->young,
	};
	bitmap_zero(age->want, LRU_GEN_AGE_BITS);
	bitmap_zero(age->young, LRU_GEN_AGE_BITS);

	age->next = mmu_notifier_age_end(&age->range);
	return age->next;
}

static inline unsigned int lru_gen_age_bit(const struct lru_gen_age *age, unsigned long addr)
{
	return (addr - age->range.start) >> age->range.shift;
}

static inline void lru_gen_age_want(struct lru_gen_age *age, unsigned long addr)
{
	__set_bit(lru_gen_age_bit(age, addr), age->want);
}

static inline void lru_gen_age_ask(struct lru_gen_age *age, struct mm_struct *mm)
{
	if (!bitmap_empty(age->want, age->range.nr))
		mmu_notifier_age_range(mm, &age->range);
}

static inline bool lru_gen_age_knows(const struct lru_gen_age *age, unsigned long addr)
{
	return addr >= age->range.start && addr < age->next;
}

/*
 * As ptep_clear_young_notify(), but that secondary MMUs were asked before, or are not to be
 * asked.  What was in no question is asked about here.
 */
static inline bool lru_gen_age_clear_pte(const struct lru_gen_age *age, struct vm_area_struct *vma,
					 unsigned long addr, pte_t *ptep)
{
	bool young;

	if (lru_gen_age_knows(age, addr)) {
		young = ptep_test_and_clear_young(vma, addr, ptep);
		return young | test_bit(lru_gen_age_bit(age, addr), age->young);
	}

	if (!pgtable_walk_consult_enabled())
		return ptep_test_and_clear_young(vma, addr, ptep);
	return ptep_clear_young_notify(vma, addr, ptep);
}

static inline bool lru_gen_age_clear_pmd(const struct lru_gen_age *age, struct vm_area_struct *vma,
					 unsigned long addr, pmd_t *pmdp)
{
	bool young;

	if (lru_gen_age_knows(age, addr)) {
		young = pmdp_test_and_clear_young(vma, addr, pmdp);
		return young | test_bit(lru_gen_age_bit(age, addr), age->young);
	}

	if (!pgtable_walk_consult_enabled())
		return pmdp_test_and_clear_young(vma, addr, pmdp);
	return pmdp_clear_young_notify(vma, addr, pmdp);
}
#else /* !CONFIG_MMU_NOTIFIER_AGE */
/* Macros where there are arguments, so that the object code is that without this file. */
struct lru_gen_age {
};

#define lru_gen_consults(mm)	mm_has_notifiers(mm)
#define lru_gen_age_clear_pte(age, vma, addr, ptep)				\
	((void)(age), ptep_clear_young_notify(vma, addr, ptep))
#define lru_gen_age_clear_pmd(age, vma, addr, pmdp)				\
	((void)(age), pmdp_clear_young_notify(vma, addr, pmdp))

static inline void lru_gen_age_init(struct lru_gen_age *age, struct mm_struct *mm) { }

static inline bool lru_gen_age_is_due(const struct lru_gen_age *age, unsigned long addr)
{
	return false;
}

static inline unsigned long lru_gen_age_begin(struct lru_gen_age *age, unsigned long addr,
					      unsigned long end, unsigned int shift)
{
	return end;
}

static inline void lru_gen_age_want(struct lru_gen_age *age, unsigned long addr) { }
static inline void lru_gen_age_ask(struct lru_gen_age *age, struct mm_struct *mm) { }
#endif /* CONFIG_MMU_NOTIFIER_AGE */

#endif /* _MM_LRU_GEN_AGE_H */
