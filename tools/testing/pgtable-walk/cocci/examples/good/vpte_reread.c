// SPDX-License-Identifier: GPL-2.0-only

static vpte_t *good_snapshot(const struct pgtable_walk_format *fmt, vpte_t *ptep,
			     unsigned int level)
{
	vpte_t pte = vpte_read(ptep);

	if (fmt->kind(pte, level) != PGTABLE_WALK_TABLE)
		return NULL;
	return fmt->child(pte);
}

static void good_loop(vpte_t *table)
{
	unsigned int i;

	for (i = 0; i < 512; i++) {
		vpte_t *ptep = &table[i];

		use(vpte_read(ptep));
	}
}

static void good_index(vpte_t *table)
{
	unsigned int i;

	for (i = 0; i < 512; i++)
		use(vpte_read(&table[i]));
}

static void good_unlink(const struct pgtable_walk_format *fmt, vpte_t *ptep)
{
	gather(fmt->child(vpte_xchg(ptep, 0)));
}

static void good_after_write(vpte_t *ptep)
{
	vpte_t old = vpte_read(ptep);

	vpte_update(ptep, &old, 1, 2, 4);
	WARN_ON(vpte_read(ptep) & 1);
}

static bool good_branches(vpte_t *ptep, bool which)
{
	if (which)
		return vpte_read(ptep) & 1;
	return vpte_read(ptep) & 2;
}

static void good_next(vpte_t *ptep, vpte_t *end)
{
	for (; ptep < end; ptep++)
		use(vpte_read(ptep), vpte_read(end));
}

static void good_step(vpte_t *ptep)
{
	use(vpte_read(ptep));
	ptep++;
	use(vpte_read(ptep));
}

static void good_moved(vpte_t *ptep)
{
	use(vpte_read(ptep));
	move_on(&ptep);
	use(vpte_read(ptep));
}
