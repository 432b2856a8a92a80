/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MGLRU's queries of secondary MMUs, many page-table entries at a time.
 *
 * A walk goes through the entries of a table under the lock of the table.  Before that, one
 * query tests which of them are young in secondary MMUs.  The walk then looks up the folios
 * of entries that are young in either, and no others.  After that, a second query makes old
 * those that were young in secondary MMUs and that the walk promoted.
 *
 * Only what is promoted is made old: the accessed state of other pages, as of those of other
 * nodes and memcgs, is evidence for other walks.  If a promoted page is used again before the
 * second query, that use is cleared too; nothing is lost, as the page was promoted.  A page
 * that was old in the first query and is used before the second stays young for the next walk.
 *
 * Where queries about many pages are refused, each page is queried alone, as it is without
 * this file.
 */
#ifndef _MM_LRU_GEN_AGE_H
#define _MM_LRU_GEN_AGE_H

#include <linux/bitmap.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_age.h>

#include "internal.h"

#ifdef CONFIG_MMU_NOTIFIER_AGE
/* Entries in one query: a page table with pages of 4K; larger tables take several queries. */
#define LRU_GEN_AGE_BITS	512UL
#define LRU_GEN_AGE_SEVERAL	(PTRS_PER_PTE > LRU_GEN_AGE_BITS)

enum lru_gen_age_query {
	LRU_GEN_AGE_NONE,	/* there is no secondary MMU, or they are not to be queried */
	LRU_GEN_AGE_EACH,	/* query each page alone */
	LRU_GEN_AGE_MANY,	/* the entries were queried */
};

/**
 * struct lru_gen_age - what secondary MMUs know about the entries of a table
 * @query: how the entries are queried
 * @range: the last query; set up for LRU_GEN_AGE_NONE too
 * @young: entries that are, or with LRU_GEN_AGE_EACH may be, young in secondary MMUs
 * @promoted: entries that the walk promoted, with LRU_GEN_AGE_MANY only
 *
 * No subscriber can register meanwhile: mm_take_all_locks() needs the mmap or rmap lock that
 * the caller holds.
 */
struct lru_gen_age {
	enum lru_gen_age_query query;
	struct mmu_notifier_age range;
	DECLARE_BITMAP(young, LRU_GEN_AGE_BITS);
	DECLARE_BITMAP(promoted, LRU_GEN_AGE_BITS);
};

/* Test entries of 1 << @shift bytes each; @want may be @age->promoted. */
static inline void lru_gen_age_test(struct lru_gen_age *age, struct mm_struct *mm, bool consult,
				    unsigned long start, unsigned int nr, unsigned int shift,
				    const unsigned long *want)
{
	age->query = LRU_GEN_AGE_NONE;
	age->range = (struct mmu_notifier_age) {
		.start = start,
		.nr = nr,
		.shift = shift,
		.want = want,
		.young = age->young,
	};
	bitmap_zero(age->young, LRU_GEN_AGE_BITS);
	if (!consult)
		return;

	if (mmu_notifier_age_range(mm, &age->range)) {
		age->query = LRU_GEN_AGE_EACH;
		bitmap_fill(age->young, LRU_GEN_AGE_BITS);
		return;
	}

	age->query = LRU_GEN_AGE_MANY;
	bitmap_zero(age->promoted, LRU_GEN_AGE_BITS);
}

/* Make old what was promoted, page by page if that is refused, though the test was not. */
static inline void lru_gen_age_finish(struct lru_gen_age *age, struct mm_struct *mm)
{
	const struct mmu_notifier_age *range = &age->range;
	unsigned long bit, addr;

	if (age->query != LRU_GEN_AGE_MANY ||
	    !bitmap_and(age->promoted, age->promoted, age->young, range->nr))
		return;

	age->range.clear = true;
	/* Walks of a whole table have fewer instructions for each entry. */
	age->range.want = bitmap_full(age->promoted, range->nr) ? NULL : age->promoted;
	age->range.young = NULL;
	if (likely(!mmu_notifier_age_range(mm, range)))
		return;

	for_each_set_bit(bit, age->promoted, range->nr) {
		addr = range->start + (bit << range->shift);
		mmu_notifier_clear_young(mm, addr, addr + (1UL << range->shift));
	}
}

/* Start with the entries from @addr on, as many of them as fit. */
static inline void lru_gen_age_start(struct lru_gen_age *age, struct mm_struct *mm, bool consult,
				     unsigned long addr, unsigned long end)
{
	lru_gen_age_test(age, mm, consult, addr, min((end - addr) >> PAGE_SHIFT, LRU_GEN_AGE_BITS),
			 PAGE_SHIFT, NULL);
}

/* Go on with the entries from @addr on if they did not fit, as in a table of 64K. */
static inline void lru_gen_age_next(struct lru_gen_age *age, struct mm_struct *mm,
				    unsigned long addr, unsigned long end)
{
	if (!LRU_GEN_AGE_SEVERAL || addr < mmu_notifier_age_end(&age->range))
		return;

	lru_gen_age_finish(age, mm);
	lru_gen_age_start(age, mm, age->query != LRU_GEN_AGE_NONE, addr, end);
}

static inline unsigned int lru_gen_age_bit(const struct lru_gen_age *age, unsigned long addr,
					   unsigned int shift)
{
	return (addr - age->range.start) >> shift;
}

/*
 * Is the last of a run of entries so far from the start of the query that it has no bit there?
 * It may be with huge entries, and with runs where tables take several queries.
 */
static inline bool lru_gen_age_beyond(const struct lru_gen_age *age, unsigned long addr,
				      unsigned int shift)
{
	return (LRU_GEN_AGE_SEVERAL || shift == PMD_SHIFT) &&
	       addr >= mmu_notifier_age_end(&age->range);
}

/* Is an entry known to be old in both MMUs, so that the walk can skip it? */
static inline bool lru_gen_age_old(const struct lru_gen_age *age, unsigned long addr,
				   bool young, unsigned int shift)
{
	if (young)
		return false;
	if (lru_gen_age_beyond(age, addr, shift))
		return age->query == LRU_GEN_AGE_NONE;
	return !test_bit(lru_gen_age_bit(age, addr, shift), age->young);
}

/* Note that a run of entries is promoted, of which one is young in either MMU. */
static inline void lru_gen_age_promote(struct lru_gen_age *age, unsigned long addr,
				       unsigned int nr, unsigned int shift)
{
	const unsigned int bit = lru_gen_age_bit(age, addr, shift);

	if (nr == 1)
		__set_bit(bit, age->promoted);
	else
		bitmap_set(age->promoted, bit, nr);
}

/*
 * Make a run of entries old that map one folio, of which one is not known to be old; @young says
 * if one is young in the host.  Returns whether one was young in either MMU.
 */
static inline bool lru_gen_age_clear_ptes(struct lru_gen_age *age, struct vm_area_struct *vma,
					  unsigned long addr, pte_t *ptep, unsigned int nr,
					  bool young)
{
	const unsigned long last = addr + (nr - 1UL) * PAGE_SIZE;

	if (age->query == LRU_GEN_AGE_MANY && !lru_gen_age_beyond(age, last, PAGE_SHIFT)) {
		lru_gen_age_promote(age, addr, nr, PAGE_SHIFT);
		/* Most are young in the guest only: spare them the call. */
		if (!young)
			return true;
	} else if (age->query != LRU_GEN_AGE_NONE) {
		return test_and_clear_young_ptes_notify(vma, addr, ptep, nr);
	}

	test_and_clear_young_ptes(vma, addr, ptep, nr);
	return true;
}

static inline bool lru_gen_age_clear_pmd(struct lru_gen_age *age, struct vm_area_struct *vma,
					 unsigned long addr, pmd_t *pmdp)
{
	if (age->query == LRU_GEN_AGE_MANY && !lru_gen_age_beyond(age, addr, PMD_SHIFT))
		lru_gen_age_promote(age, addr, 1, PMD_SHIFT);
	else if (age->query != LRU_GEN_AGE_NONE)
		return pmdp_test_and_clear_young_notify(vma, addr, pmdp);

	pmdp_test_and_clear_young(vma, addr, pmdp);
	return true;
}

/* lru_gen_age_old() has skipped old entries.  Others are not known to be old. */
static inline bool lru_gen_wants_old_pte(struct mm_struct *mm)
{
	return true;
}
#else /* !CONFIG_MMU_NOTIFIER_AGE */
/* Macros without a use of what they don't need: the object code is that without this file. */
struct lru_gen_age {
};

#define lru_gen_wants_old_pte(mm)			mm_has_notifiers(mm)
#define lru_gen_age_old(age, addr, young, shift)	false
#define lru_gen_age_clear_ptes(age, vma, addr, ptep, nr, young)	\
	((void)(age), test_and_clear_young_ptes_notify(vma, addr, ptep, nr))
#define lru_gen_age_clear_pmd(age, vma, addr, pmdp)	\
	((void)(age), pmdp_test_and_clear_young_notify(vma, addr, pmdp))
#define lru_gen_age_start(age, mm, consult, addr, end)	do { } while (0)
#define lru_gen_age_next(age, mm, addr, end)		do { } while (0)
#define lru_gen_age_finish(age, mm)			do { } while (0)
#endif /* CONFIG_MMU_NOTIFIER_AGE */

#endif /* _MM_LRU_GEN_AGE_H */
