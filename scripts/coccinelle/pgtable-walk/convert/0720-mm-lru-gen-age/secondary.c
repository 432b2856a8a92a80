// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_MMU_NOTIFIER_AGE
static unsigned int secondary_caps(void)
{
	return get_cap(LRU_GEN_SECONDARY) ? BIT(LRU_GEN_SECONDARY) : 0;
}

static bool should_query_secondary(struct mm_struct *mm)
{
	return get_cap(LRU_GEN_SECONDARY) && mm_has_notifiers(mm);
}

/* Test a run of huge entries: that of @first, and entry i + 1 for each bit i of @bitmap. */
static void lru_gen_age_start_pmds(struct lru_gen_age *age, struct mm_struct *mm, pmd_t *pmd,
				   unsigned long first, const unsigned long *bitmap)
{
	int i = 0;

	bitmap_zero(age->promoted, LRU_GEN_AGE_BITS);
	do {
		if (pmd_present(pmd[i]) && pmd_trans_huge(pmd[i]))
			__set_bit(i, age->promoted);
		i = find_next_bit(bitmap, MIN_LRU_BATCH, i) + 1;
	} while (i <= MIN_LRU_BATCH);

	lru_gen_age_test(age, mm, should_query_secondary(mm), first & PMD_MASK, MIN_LRU_BATCH + 1,
			 PMD_SHIFT, age->promoted);
}
#else
static unsigned int secondary_caps(void)
{
	return 0;
}

static bool should_query_secondary(struct mm_struct *mm)
{
	return mm_has_notifiers(mm);
}

static void lru_gen_age_start_pmds(struct lru_gen_age *age, struct mm_struct *mm, pmd_t *pmd,
				   unsigned long first, const unsigned long *bitmap)
{
}
#endif
