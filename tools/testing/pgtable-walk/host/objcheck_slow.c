// SPDX-License-Identifier: GPL-2.0-only
/* For test_objcheck.py: loops that wait at each entry, and so take longer, but call nothing. */
#include <linux/pgtable_walk_pte.h>

static __always_inline vpte_t slow_read(const vpte_t *ptep)
{
	vpte_t pte = vpte_read(ptep);

	smp_mb();
	return pte & vpte_read(ptep);
}

#define vpte_read slow_read

#include "../../../../arch/riscv/kvm/gstage_age.c"
