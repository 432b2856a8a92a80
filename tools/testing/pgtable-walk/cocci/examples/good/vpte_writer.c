// SPDX-License-Identifier: GPL-2.0-only

static void good_helpers(vpte_t *ptep, vpte_t *old, vpte_t table)
{
	vpte_xchg(ptep, 0);
	vpte_update(ptep, old, 1, 2, 4);
	vpte_link_table(ptep, table);
}

static void unlinked_good_fill(pte_t *table, int i)
{
	set_pte(&table[i], __pte(0));
	table[i] = __pte(1);
}

static pte_t good_value(pte_t *ptep, unsigned long *out)
{
	pte_t pte = *ptep;

	*out = pte_val(pte);
	return pte;
}

static bool good_returned(pte_t *ptep, pte_t *out_entry)
{
	*out_entry = *ptep;
	return pte_present(*out_entry);
}

static void good_copy(kvm_pte_t *old)
{
	*old = 0;
}

static void good_other(u64 *stats, int i)
{
	stats[i] = 0;
	WRITE_ONCE(*stats, 1);
}
