// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page-table walker over formats of architectures that do not use it, in
 * which page tables have another size than the tables above them.
 */
#include <linux/bits.h>
#include <asm/byteorder.h>
#include <kunit/pgtable_walk.h>

/*
 * s390, z/Architecture Principles of Operation, "Dynamic Address Translation": page tables
 * have 256 entries, segment and region tables 2048.  An empty entry is not 0, but has its
 * invalid bit set, which is not the same one at each level.  Bits for software as KVM uses
 * them: hardware has no accessed bit but that of storage keys, and an old leaf is invalid.
 */
#define S390_PAGE_INVALID	BIT_ULL(10)
#define S390_PAGE_YOUNG		BIT_ULL(2)
#define S390_TABLE_INVALID	BIT_ULL(5)
/* A leaf of 1 MiB or 2 GiB.  In an entry of a page table, it is the invalid bit. */
#define S390_LARGE		BIT_ULL(10)
#define S390_LARGE_YOUNG	BIT_ULL(11)
#define S390_PRESENT		BIT_ULL(0)
#define S390_PROTECT		BIT_ULL(9)
#define S390_ORIGIN		GENMASK_ULL(63, 11)

static __always_inline enum pgtable_walk_kind s390_kind(vpte_t pte, unsigned int level)
{
	if (!level || (pte & S390_LARGE))
		return pte & S390_PRESENT ? PGTABLE_WALK_LEAF : PGTABLE_WALK_NONE;
	return pte & S390_TABLE_INVALID ? PGTABLE_WALK_NONE : PGTABLE_WALK_TABLE;
}

static __always_inline vpte_t *s390_child(vpte_t pte)
{
	return phys_to_virt(pte & S390_ORIGIN);
}

/* An old leaf of a page table has that bit set, too, and none in the place of the other. */
static __always_inline bool s390_young(vpte_t leaf)
{
	return leaf & (leaf & S390_LARGE ? S390_LARGE_YOUNG : S390_PAGE_YOUNG);
}

static __always_inline vpte_t s390_mkold(vpte_t leaf)
{
	if (leaf & S390_LARGE)
		return (leaf & ~S390_LARGE_YOUNG) | S390_TABLE_INVALID | S390_PROTECT;
	return (leaf & ~S390_PAGE_YOUNG) | S390_PAGE_INVALID | S390_PROTECT;
}

static const struct pgtable_walk_format s390_format = {
	.page_shift = 12,
	.index_bits = 11,
	.bottom_bits = 8,
	.kind = s390_kind,
	.child = s390_child,
	.young = s390_young,
	.mkold = s390_mkold,
};

static vpte_t s390_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young)
{
	if (level)
		return pa | (flavour << 6 & 0x1c0) | (young ? 0xc01 : 0x621);
	return pa | (flavour << 3 & 0xf8) | (young ? 0x005 : 0x601);
}

/* With a length of the table, as region tables have it. */
static vpte_t s390_table(phys_addr_t pa)
{
	return pa | 0x3;
}

static vpte_t s390_absent(phys_addr_t pa)
{
	return pa | 0xffe;
}

static vpte_t s390_empty(unsigned int level)
{
	return level ? 0x20 : 0x400;
}

static u64 s390_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
{
	return pgtable_kunit_walk(&s390_format, op, start, end, t);
}

static const struct pgtable_kunit_format s390 = {
	.format = &s390_format,
	.walk = s390_walk,
	.page_shift = 12,
	.index_bits = 11,
	.bottom_bits = 8,
	.leaf = s390_leaf,
	.table = s390_table,
	.absent = s390_absent,
	.empty = s390_empty,
	.table_is_leaf = true,
};

PGTABLE_KUNIT_SUITE(s390_segments, s390, 2, 0);
PGTABLE_KUNIT_SUITE(s390_region_3, s390, 3, 0);
PGTABLE_KUNIT_SUITE(s390_region_2, s390, 4, 0);

/*
 * ppc64, Power ISA version 3.0B, "Radix Tree Translation": big-endian entries.  Linux has
 * 9 index bits in the middle, 13 in the root, and in page tables 9, or 5 with 64 KiB pages.
 */
#define PPC64_BITS(bits)	((__force vpte_t)cpu_to_be64(bits))
#define PPC64_VALID		PPC64_BITS(BIT_ULL(63))
#define PPC64_LEAF		PPC64_BITS(BIT_ULL(62))
#define PPC64_CHANGED		PPC64_BITS(BIT_ULL(7))
#define PPC64_REFERENCED	PPC64_BITS(BIT_ULL(8))
#define PPC64_NEXT_LEVEL	PPC64_BITS(GENMASK_ULL(59, 8))

static __always_inline enum pgtable_walk_kind ppc64_kind(vpte_t pte, unsigned int level)
{
	if (!(pte & PPC64_VALID))
		return PGTABLE_WALK_NONE;
	if (pte & PPC64_LEAF)
		return PGTABLE_WALK_LEAF;
	return level ? PGTABLE_WALK_TABLE : PGTABLE_WALK_NONE;
}

static __always_inline vpte_t *ppc64_child(vpte_t pte)
{
	return phys_to_virt(be64_to_cpu((__force __be64)(pte & PPC64_NEXT_LEVEL)));
}

#define PPC64_FORMAT						\
	.index_bits = 9,					\
	.accessed = PPC64_REFERENCED,				\
	.volatile_bits = PPC64_REFERENCED | PPC64_CHANGED,	\
	.kind = ppc64_kind,					\
	.child = ppc64_child

static const struct pgtable_walk_format ppc64_4k_format = {
	.page_shift = 12,
	PPC64_FORMAT,
};

static const struct pgtable_walk_format ppc64_64k_format = {
	.page_shift = 16,
	.bottom_bits = 5,
	PPC64_FORMAT,
};

/* Permissions, and changed or not. */
static vpte_t ppc64_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young)
{
	return PPC64_BITS(pa | 0xc000000000000000ULL | (flavour & 0xf) | (flavour << 3 & 0x80) |
			  (young ? 0x100 : 0));
}

/* With the index bits of the next level, which the walk knows by the format. */
static vpte_t ppc64_table(phys_addr_t pa)
{
	return PPC64_BITS(pa | 0x8000000000000009ULL);
}

static vpte_t ppc64_absent(phys_addr_t pa)
{
	return PPC64_BITS(pa | 0x400000000000018fULL);
}

static u64 ppc64_4k_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
{
	return pgtable_kunit_walk(&ppc64_4k_format, op, start, end, t);
}

static u64 ppc64_64k_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
{
	return pgtable_kunit_walk(&ppc64_64k_format, op, start, end, t);
}

static const struct pgtable_kunit_format ppc64_4k = {
	.format = &ppc64_4k_format,
	.walk = ppc64_4k_walk,
	.page_shift = 12,
	.index_bits = 9,
	.leaf = ppc64_leaf,
	.table = ppc64_table,
	.absent = ppc64_absent,
};

static const struct pgtable_kunit_format ppc64_64k = {
	.format = &ppc64_64k_format,
	.walk = ppc64_64k_walk,
	.page_shift = 16,
	.index_bits = 9,
	.bottom_bits = 5,
	.leaf = ppc64_leaf,
	.table = ppc64_table,
	.absent = ppc64_absent,
};

PGTABLE_KUNIT_SUITE(ppc64_4k_pages, ppc64_4k, 4, 4);
PGTABLE_KUNIT_SUITE(ppc64_64k_pages, ppc64_64k, 4, 4);

kunit_test_suites(&s390_segments, &s390_region_3, &s390_region_2, &ppc64_4k_pages,
		  &ppc64_64k_pages);
