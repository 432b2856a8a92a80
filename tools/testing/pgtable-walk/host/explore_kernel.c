// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel that interleaved threads run in, see explore.h: tables, RCU, locks.
 *
 * RCU is as bad as it may be: a grace period ends with the last section that was there when it
 * began.  So a table may be used from call_rcu() on by readers in such a section, until
 * they leave it, and by nobody else.
 */
#include <kunit/test.h>
#include <linux/pgtable_age.h>

unsigned long host_warnings;
const char *host_last_warning;

static char memory[EXPLORE_TABLES - 1][2 * PAGE_SIZE] __attribute__((__aligned__(4 * PAGE_SIZE)));
static char root_memory[4 * PAGE_SIZE] __attribute__((__aligned__(4 * PAGE_SIZE)));

static struct table {
	bool ended, freed;
	u8 readers;	/* that may still use it once it has ended */
} tables[EXPLORE_TABLES];

static int nr_tables;

/* A word that grace periods write, and readers read. */
static u64 grace_periods;
static int nesting[EXPLORE_THREADS];
static u8 readers, waits_for[EXPLORE_THREADS];
static struct rcu_head *callbacks;

int explore_table(const void *p)
{
	const uintptr_t offset = (uintptr_t)p - (uintptr_t)memory;

	if ((uintptr_t)p - (uintptr_t)root_memory < sizeof(root_memory))
		return EXPLORE_TABLES - 1;
	return offset < sizeof(memory) ? (int)(offset / sizeof(memory[0])) : -1;
}

/* Addresses are the same in each run. */
void *host_alloc_table(void)
{
	if (nr_tables == EXPLORE_TABLES - 1)
		abort();
	return memset(memory[nr_tables++], 0, PAGE_SIZE);
}

void *explore_root(void)
{
	return memset(root_memory, 0, sizeof(root_memory));
}

static void end_table(int nr, bool freed)
{
	struct table *table = &tables[nr];

	if (table->freed || (table->ended && !freed))
		explore_fail("table %d is freed twice", nr);
	if (!table->ended)
		table->readers = freed ? 0 : readers;
	table->ended = true;
	table->freed = freed;
}

void __free_page(struct page *page)
{
	const void *p = (char *)page - PAGE_SIZE;

	explore_step_when(NULL, false, p, NULL, NULL);
	explore_say("frees table %d", explore_table(p));
	end_table(explore_table(p), true);
}

void free_pages(unsigned long addr, unsigned int order)
{
	explore_step_when(NULL, false, (void *)addr, NULL, NULL);
	explore_say("frees the root table");
	end_table(explore_table((void *)addr), true);
}

void explore_kernel_check_table(int nr)
{
	const struct table *table = &tables[nr];

	if (table->ended && !(explore_self >= 0 && table->readers & BIT(explore_self)))
		explore_fail("table %d is used although it may be free", nr);
}

bool explore_table_ended(int nr)
{
	return tables[nr].ended;
}

/* How many tables are neither freed nor about to be. */
int explore_tables_left(void)
{
	int i, n = 0;

	for (i = 0; i < nr_tables; i++)
		n += !tables[i].ended;
	return n;
}

int explore_tables_freed(void)
{
	int i, n = 0;

	for (i = 0; i < nr_tables; i++)
		n += tables[i].freed;
	return n;
}

void rcu_read_lock(void)
{
	if (explore_self < 0 || nesting[explore_self]++)
		return;
	explore_step(&grace_periods, false);
	explore_say("enters an RCU read section");
	readers |= BIT(explore_self);
}

void rcu_read_unlock(void)
{
	int i;

	if (explore_self < 0 || --nesting[explore_self])
		return;
	explore_step(&grace_periods, false);
	explore_say("leaves its RCU read section");
	readers &= ~BIT(explore_self);
	for (i = 0; i < EXPLORE_TABLES; i++)
		tables[i].readers &= ~BIT(explore_self);
	for (i = 0; i < EXPLORE_THREADS; i++)
		waits_for[i] &= ~BIT(explore_self);
}

bool rcu_read_lock_held(void)
{
	return explore_self < 0 || nesting[explore_self];
}

static bool nobody_waited_for(void *arg)
{
	return !*(u8 *)arg;
}

void synchronize_rcu(void)
{
	if (explore_self < 0)
		return;
	explore_step(&grace_periods, true);
	explore_say("begins to wait for a grace period");
	waits_for[explore_self] = readers;
	explore_step_when(NULL, false, NULL, nobody_waited_for, &waits_for[explore_self]);
	explore_say("has waited for a grace period");
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	const void *p = (char *)container_of(head, struct page, rcu_head) - PAGE_SIZE;

	explore_step_when(&grace_periods, true, p, NULL, NULL);
	explore_say("has table %d freed after a grace period", explore_table(p));
	end_table(explore_table(p), false);
	head->func = func;
	head->next = callbacks;
	callbacks = head;
}

static bool lock_is_free(void *lock)
{
	return !((spinlock_t *)lock)->owner;
}

void spin_lock(spinlock_t *lock)
{
	explore_step_when(lock, true, NULL, lock_is_free, lock);
	explore_say("takes the lock");
	lock->owner = explore_self + 1;
}

void spin_unlock(spinlock_t *lock)
{
	explore_step(lock, true);
	explore_say("drops the lock");
	lock->owner = 0;
}

bool lockdep_is_held(spinlock_t *lock)
{
	return lock->owner == explore_self + 1;
}

void explore_kernel_begin(void)
{
	memset(tables, 0, sizeof(tables));
	memset(nesting, 0, sizeof(nesting));
	memset(waits_for, 0, sizeof(waits_for));
	nr_tables = 0;
	readers = 0;
	callbacks = NULL;
}

void explore_kernel_end(void)
{
	struct rcu_head *next;

	for (; callbacks; callbacks = next) {
		next = callbacks->next;
		callbacks->func(callbacks);
	}
}

void pgtable_walk_count(enum pgtable_walk_counter counter, unsigned int n)
{
}

void pgtable_walk_account_age(const struct pgtable_age *age)
{
}
