/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as the page-table walker and its riscv user need, so that
 * they build for the host unchanged.  The Makefile makes each <linux/...> header that
 * they include a synonym for this one.
 */
#ifndef PGTABLE_WALK_HOST_H
#define PGTABLE_WALK_HOST_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Kconfig: an option that is neither y nor left out below does not compile. */
#define CONFIG_64BIT		1
#define CONFIG_KVM_GENERIC_AGING	1
#define CONFIG_KVM_MMU_LOCKLESS_AGING	1
#define CONFIG_MMU_NOTIFIER_AGE	1
#define CONFIG_SMP		1
#define IS_ENABLED(option)	(option)

typedef uint8_t u8;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef u64 phys_addr_t;
typedef u64 gpa_t;
typedef u64 gfn_t;

#undef __always_inline
#define __always_inline		inline __attribute__((__always_inline__))
#define fallthrough		__attribute__((__fallthrough__))
#define noinline		__attribute__((__noinline__))
#define __maybe_unused		__attribute__((__unused__))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define cpu_to_be64(x)		__builtin_bswap64(x)
#define be64_to_cpu(x)		__builtin_bswap64(x)
#define __force
typedef u64 __be64;
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member)	((type *)((char *)(ptr) - offsetof(type, member)))
#define min(a, b)		({ typeof(a) a_ = (a); typeof(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b)		({ typeof(a) a_ = (a); typeof(b) b_ = (b); a_ > b_ ? a_ : b_; })

#define might_sleep()		do { } while (0)

#define BUILD_BUG_ON(cond)	BUILD_BUG_ON_LINE(cond, __LINE__)
#define BUILD_BUG_ON_LINE(cond, line)	BUILD_BUG_ON_NAMED(cond, line)
#define BUILD_BUG_ON_NAMED(cond, line)							\
do {											\
	extern void build_bug_on_##line(void)						\
		__attribute__((__error__("BUILD_BUG_ON failed")));			\
	if (cond)									\
		build_bug_on_##line();							\
} while (0)

#define EXPORT_SYMBOL_GPL(symbol)	extern int host_nothing
#define MODULE_DESCRIPTION(text)	extern int host_nothing
#define MODULE_LICENSE(text)		extern int host_nothing

#ifdef HOST_EXPLORE
#include "explore.h"

#define READ_ONCE(x)		EXPLORE_LOAD(&(x))
#define WRITE_ONCE(x, val)	((void)EXPLORE_REPLACE(&(x), val, EXPLORE_STORE))
#define wmb()			do { } while (0)
#define smp_mb()		do { } while (0)
#define smp_store_release(p, val)	((void)EXPLORE_REPLACE(p, val, EXPLORE_STORE))
#define xchg(p, val)		EXPLORE_REPLACE(p, val, EXPLORE_XCHG)
#define try_cmpxchg(p, old, new)	EXPLORE_TRY_CMPXCHG(p, old, new)
#else
/*
 * Atomics.  The kernel orders a table's contents after the read of its address by the
 * address dependency, which TSan does not know; there it gets C's consume, that is
 * acquire.  Release, and whether accesses are atomic at all, is checked as it stands.
 */
#ifdef __SANITIZE_THREAD__
#define HOST_READ_ORDER	__ATOMIC_CONSUME
#else
#define HOST_READ_ORDER	__ATOMIC_RELAXED
#endif

#define READ_ONCE(x)		__atomic_load_n(&(x), HOST_READ_ORDER)
#define WRITE_ONCE(x, val)	__atomic_store_n(&(x), val, __ATOMIC_RELAXED)
#define wmb()			__sync_synchronize()
#define smp_mb()		__sync_synchronize()
#define smp_store_release(p, val)	__atomic_store_n(p, val, __ATOMIC_RELEASE)
#define xchg(p, val)									\
({											\
	typeof(*(p)) val_ = (val);							\
											\
	host_race_window();								\
	__atomic_exchange_n(p, val_, __ATOMIC_SEQ_CST);					\
})
#define try_cmpxchg(p, old, new)							\
({											\
	typeof(*(p)) new_ = (new);							\
											\
	host_race_window();								\
	__atomic_compare_exchange_n(p, old, new_, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); \
})
#endif /* HOST_EXPLORE */

/* What is written has been decided on, and others may run before it is. */
#ifdef CONFIG_PGTABLE_WALK_DEBUG
void pgtable_walk_stall(void);
#define host_race_window()	pgtable_walk_stall()
#else
#define host_race_window()	do { } while (0)
#endif

/* Assertions: a test looks at the count, so that one which must fire can be tested. */
extern unsigned long host_warnings;
extern const char *host_last_warning;

static inline void host_warn(const char *where_and_what)
{
	__atomic_store_n(&host_last_warning, where_and_what, __ATOMIC_RELAXED);
	__atomic_fetch_add(&host_warnings, 1, __ATOMIC_RELAXED);
}

#define HOST_STRING(x)		#x
#define HOST_WARN_AT(line, what)	host_warn(__FILE__ ":" HOST_STRING(line) ": " what)

#define WARN_ON_ONCE(cond)								\
({											\
	bool cond_ = (cond);								\
											\
	if (unlikely(cond_))								\
		HOST_WARN_AT(__LINE__, #cond);						\
	cond_;										\
})
#define RCU_LOCKDEP_WARN(cond, what)							\
do {											\
	if (unlikely(cond))								\
		HOST_WARN_AT(__LINE__, what);						\
} while (0)

/* Parameters keep their default. */
#define __read_mostly
#define module_param_named(name, value, type, perm)	struct module_param_##name
#define MODULE_PARM_DESC(name, text)			struct module_param_##name

/* Lists. */
struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name)	{ &(name), &(name) }

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list->prev = list;
}

static inline void list_add(struct list_head *item, struct list_head *head)
{
	item->next = head->next;
	item->prev = head;
	head->next->prev = item;
	head->next = item;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

#define list_for_each_entry_safe(pos, n, head, member)					\
	for (pos = container_of((head)->next, typeof(*pos), member),			\
	     n = container_of(pos->member.next, typeof(*pos), member);			\
	     &pos->member != (head);							\
	     pos = n, n = container_of(n->member.next, typeof(*n), member))

/* Bitmaps. */
#define BITS_PER_LONG		64
#define BIT_WORD(bit)		((bit) / BITS_PER_LONG)
#define BITMAP_FIRST_WORD_MASK(start)	(~0UL << ((start) % BITS_PER_LONG))
#define BITMAP_LAST_WORD_MASK(bits)	(~0UL >> (-(bits) % BITS_PER_LONG))
#define DECLARE_BITMAP(name, bits)	unsigned long name[((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG]

static inline unsigned long __ffs(unsigned long word)
{
	return __builtin_ctzl(word);
}

static inline void bitmap_zero(unsigned long *map, unsigned int bits)
{
	memset(map, 0, (bits + BITS_PER_LONG - 1) / BITS_PER_LONG * sizeof(long));
}

/* Of whole words. */
static inline bool bitmap_equal(const unsigned long *a, const unsigned long *b, unsigned int bits)
{
	return !memcmp(a, b, bits / 8);
}

static inline bool test_bit(unsigned long bit, const unsigned long *map)
{
	return map[BIT_WORD(bit)] >> (bit % BITS_PER_LONG) & 1;
}

static inline void __set_bit(unsigned long bit, unsigned long *map)
{
	map[BIT_WORD(bit)] |= 1UL << (bit % BITS_PER_LONG);
}

static inline unsigned long find_first_bit(const unsigned long *map, unsigned long nr)
{
	unsigned long bit = 0;

	while (bit < nr && !test_bit(bit, map))
		bit++;
	return bit;
}

static inline unsigned long find_last_bit(const unsigned long *map, unsigned long nr)
{
	unsigned long bit = nr;

	while (bit && !test_bit(bit - 1, map))
		bit--;
	return bit ? bit - 1 : nr;
}

/* Memory: physical addresses are the host's own. */
#define PAGE_SHIFT		12
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define PFN_PHYS(pfn)		((phys_addr_t)(pfn) << PAGE_SHIFT)
#define PHYS_PFN(pa)		((unsigned long)((pa) >> PAGE_SHIFT))

static inline void *phys_to_virt(phys_addr_t pa)
{
	return (void *)(uintptr_t)pa;
}

static inline phys_addr_t virt_to_phys(const void *p)
{
	return (uintptr_t)p;
}

#include "rcu.h"
#include "riscv.h"

/* A page table is an allocation of its own, and its struct page follows in the same. */
struct page {
	struct list_head lru;
	struct rcu_head rcu_head;
};

void *host_alloc_table(void);
void __free_page(struct page *page);

/* Roots are allocations of their own. */
void free_pages(unsigned long addr, unsigned int order);

static inline struct page *virt_to_page(const void *table)
{
	return (struct page *)((uintptr_t)table + PAGE_SIZE);
}

#endif /* PGTABLE_WALK_HOST_H */
