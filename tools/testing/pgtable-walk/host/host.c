// SPDX-License-Identifier: GPL-2.0
/*
 * What the shims of host.h and rcu.h can't do inline.
 */
#include <pthread.h>
#include <sched.h>

#include "host.h"

unsigned long host_warnings;
const char *host_last_warning;

void *host_alloc_table(void)
{
	void *table = aligned_alloc(2 * PAGE_SIZE, 2 * PAGE_SIZE);

	if (!table)
		abort();
	return memset(table, 0, PAGE_SIZE);
}

void __free_page(struct page *page)
{
	free((char *)page - PAGE_SIZE);
}

void free_pages(unsigned long addr, unsigned int order)
{
	free((void *)addr);
}

__thread struct rcu_reader rcu_self;
unsigned long rcu_epoch = 1;

static pthread_mutex_t rcu_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rcu_reader *rcu_readers;
static struct rcu_head *rcu_callbacks;

static pthread_key_t rcu_exit_key;
static pthread_once_t rcu_once = PTHREAD_ONCE_INIT;

static void rcu_forget_reader(void *reader)
{
	struct rcu_reader **p;

	pthread_mutex_lock(&rcu_lock);
	for (p = &rcu_readers; *p != reader; p = &(*p)->next)
		;
	*p = (*p)->next;
	pthread_mutex_unlock(&rcu_lock);
}

static void rcu_init(void)
{
	pthread_key_create(&rcu_exit_key, rcu_forget_reader);
}

void rcu_register_reader(void)
{
	pthread_once(&rcu_once, rcu_init);
	pthread_setspecific(rcu_exit_key, &rcu_self);

	pthread_mutex_lock(&rcu_lock);
	rcu_self.known = true;
	rcu_self.next = rcu_readers;
	rcu_readers = &rcu_self;
	pthread_mutex_unlock(&rcu_lock);
}

void synchronize_rcu(void)
{
	struct rcu_reader *reader;
	unsigned long epoch, began;

	epoch = __atomic_add_fetch(&rcu_epoch, 1, __ATOMIC_SEQ_CST);

	pthread_mutex_lock(&rcu_lock);
	for (reader = rcu_readers; reader; reader = reader->next) {
		for (;;) {
			began = __atomic_load_n(&reader->epoch, __ATOMIC_SEQ_CST);
			if (!began || began >= epoch)
				break;
			sched_yield();
		}
	}
	pthread_mutex_unlock(&rcu_lock);
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	pthread_mutex_lock(&rcu_lock);
	head->next = rcu_callbacks;
	rcu_callbacks = head;
	pthread_mutex_unlock(&rcu_lock);
}

void rcu_barrier(void)
{
	struct rcu_head *head, *next;

	pthread_mutex_lock(&rcu_lock);
	head = rcu_callbacks;
	rcu_callbacks = NULL;
	pthread_mutex_unlock(&rcu_lock);

	synchronize_rcu();
	for (; head; head = next) {
		next = head->next;
		head->func(head);
	}
}
