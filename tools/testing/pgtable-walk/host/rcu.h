/* SPDX-License-Identifier: GPL-2.0 */
/*
 * RCU by epochs: a reader notes the epoch it began in, and a grace period is over once
 * no reader is left that began in an older one.
 */
#ifndef PGTABLE_WALK_HOST_RCU_H
#define PGTABLE_WALK_HOST_RCU_H

#ifndef HOST_EXPLORE

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

struct rcu_reader {
	unsigned long epoch;	/* 0: not reading */
	int nesting;		/* the thread's own */
	bool known;
	struct rcu_reader *next;
};

extern __thread struct rcu_reader rcu_self;
extern unsigned long rcu_epoch;

void rcu_register_reader(void);
void synchronize_rcu(void);
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
/* Runs every callback that was queued before, after a grace period. */
void rcu_barrier(void);

static inline void rcu_read_lock(void)
{
	if (rcu_self.nesting++)
		return;
	if (unlikely(!rcu_self.known))
		rcu_register_reader();
	/* Nothing that the section reads may come before this store. */
	__atomic_store_n(&rcu_self.epoch, __atomic_load_n(&rcu_epoch, __ATOMIC_ACQUIRE),
			 __ATOMIC_SEQ_CST);
}

static inline void rcu_read_unlock(void)
{
	if (!--rcu_self.nesting)
		__atomic_store_n(&rcu_self.epoch, 0, __ATOMIC_RELEASE);
}

static inline bool rcu_read_lock_held(void)
{
	return rcu_self.nesting > 0;
}

#endif /* HOST_EXPLORE */

#endif /* PGTABLE_WALK_HOST_RCU_H */
