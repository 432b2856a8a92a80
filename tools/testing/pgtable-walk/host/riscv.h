/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RISC-V page-table entries, from the privileged specification ("Sv39: Page-Based
 * 39-bit Virtual-Memory System", format of entries), under the names that riscv's
 * <asm/pgtable.h> gives to them.
 */
#ifndef PGTABLE_WALK_HOST_RISCV_H
#define PGTABLE_WALK_HOST_RISCV_H

#define _PAGE_PRESENT		BIT_ULL(0)	/* V */
#define _PAGE_READ		BIT_ULL(1)	/* R */
#define _PAGE_WRITE		BIT_ULL(2)	/* W */
#define _PAGE_EXEC		BIT_ULL(3)	/* X */
#define _PAGE_USER		BIT_ULL(4)	/* U: all G-stage accesses are user ones */
#define _PAGE_ACCESSED		BIT_ULL(6)	/* A */
#define _PAGE_DIRTY		BIT_ULL(7)	/* D */
#define _PAGE_PFN_SHIFT		10		/* PPN, 44 bits */
#define _PAGE_PFN_MASK		GENMASK_ULL(53, 10)
/* A valid entry without any of these points to a table. */
#define _PAGE_LEAF		(_PAGE_READ | _PAGE_WRITE | _PAGE_EXEC)

#define CSR_HGATP		0x680
#define HGATP_VMID_SHIFT	44
#define HGATP_VMID		GENMASK_ULL(57, 44)
#define csr_read(csr)		host_csr_read(csr)

unsigned long host_csr_read(unsigned int csr);

#define PMD_SIZE		(1UL << 21)
#define PUD_SIZE		(1UL << 30)

typedef struct {
	u64 pte;
} pte_t;

typedef struct {
	u64 pgprot;
} pgprot_t;

#define pte_val(x)	((x).pte)
#define __pte(x)	((pte_t) { (x) })
#define __pgprot(x)	((pgprot_t) { (x) })

#define PROT_BASE	(_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED)
#define PAGE_READ	__pgprot(PROT_BASE | _PAGE_READ)
#define PAGE_WRITE	__pgprot(PROT_BASE | _PAGE_READ | _PAGE_WRITE)
#define PAGE_EXEC	__pgprot(PROT_BASE | _PAGE_EXEC)
#define PAGE_WRITE_EXEC	__pgprot(PROT_BASE | _PAGE_READ | _PAGE_WRITE | _PAGE_EXEC)
#define PAGE_TABLE	__pgprot(_PAGE_PRESENT)

static inline pte_t pfn_pte(unsigned long pfn, pgprot_t prot)
{
	return __pte((u64)pfn << _PAGE_PFN_SHIFT | prot.pgprot);
}

static inline pte_t pte_mkyoung(pte_t pte)
{
	return __pte(pte_val(pte) | _PAGE_ACCESSED);
}

static inline pte_t pte_mkold(pte_t pte)
{
	return __pte(pte_val(pte) & ~_PAGE_ACCESSED);
}

static inline pte_t pte_mkdirty(pte_t pte)
{
	return __pte(pte_val(pte) | _PAGE_DIRTY);
}

#endif /* PGTABLE_WALK_HOST_RISCV_H */
