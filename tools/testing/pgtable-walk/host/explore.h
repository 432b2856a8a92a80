/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interleavings of a few threads, all that there are or random ones.
 *
 * The library and its users are compiled with -DHOST_EXPLORE, and each access to memory that
 * others may see is then a step: reads and writes of entries and roots, locks, RCU, fences of
 * TLBs, frees.  Threads are fibers of one CPU, and run one step at a time, as the scheduler
 * in explore.c says.
 *
 * Which interleavings are run:
 *
 *  - All of them, depth first, by running the threads from the start for each.  Of those that
 *    differ only in the order of steps that commute, one is run (sleep sets).  A word that one
 *    thread alone uses, or that all only read, is no reason to switch; which words these are
 *    is learned, and the search begins anew when another is found to be shared.
 *  - With a bound, those with at most so many preemptions.
 *  - By explore_random(), as many as are wanted, each from a seed: by priorities that change a
 *    few times (PCT), or by chance at each step or now and then.
 *
 * Steps happen one after the other: memory is sequentially consistent here.  What depends on
 * barriers is for the litmus tests.
 *
 * A failure prints what each step did, and what to run to see it again.
 */
#ifndef PGTABLE_WALK_HOST_EXPLORE_H
#define PGTABLE_WALK_HOST_EXPLORE_H

#define EXPLORE_THREADS		6
#define EXPLORE_TABLES		64

/* What a step may do to a word; explore_access_done() says it in words. */
enum explore_access {
	EXPLORE_READ,
	EXPLORE_STORE,
	EXPLORE_XCHG,
	EXPLORE_CMPXCHG,
};

struct explore_thread {
	const char *name;
	void (*run)(void *arg);
	void *arg;
};

/**
 * struct explore_scenario - threads to interleave
 * @what: in a word or two
 * @begin: makes all that they share, the same each time
 * @end: looks at it when all threads have ended
 * @threads: up to EXPLORE_THREADS, the last one followed by an empty one
 */
struct explore_scenario {
	const char *what;
	void (*begin)(void);
	void (*end)(void);
	struct explore_thread threads[EXPLORE_THREADS + 1];
};

/**
 * struct explore_result - what was run
 * @runs: interleavings that were run to their end
 * @cut: those that were not, as a sleep set says that another one does for them
 * @outcomes: different digests of memory at the end, if they were asked for
 * @outcomes_sum: of these digests
 * @failed: a run failed, and the search stopped there
 * @why: in what way; until the next search
 */
struct explore_result {
	unsigned long runs;
	unsigned long cut;
	unsigned long outcomes;
	u64 outcomes_sum;
	bool failed;
	const char *why;
};

/**
 * struct explore_how - how to explore; if all is zero, everything, as said above
 * @every: run every order of all steps, also of those that commute
 * @bound: how often threads may be preempted, or 0 for any number
 * @quiet: print neither counts nor failures
 * @digest: what to tell one outcome from another by, or NULL
 */
struct explore_how {
	bool every;
	int bound;
	bool quiet;
	u64 (*digest)(void);
};

struct kunit;

struct explore_result explore(struct kunit *test, const struct explore_scenario *scenario,
			      const struct explore_how *how);
struct explore_result explore_random(struct kunit *test, const struct explore_scenario *scenario,
				     const struct explore_how *how, unsigned long seeds);

/* How many seeds, if nothing else is said by --schedules. */
extern unsigned long explore_schedules;

/* ---- for what is explored ---- */

/* Which of the scenario's threads this is; negative in @begin and @end. */
extern int explore_self;

void __attribute__((__format__(__printf__, 1, 2))) explore_fail(const char *fmt, ...);
/* What a step did, if somebody looks on. */
void __attribute__((__format__(__printf__, 1, 2))) explore_say(const char *fmt, ...);
/* A choice of the thread, not of the scheduler: below @limit. */
u32 explore_choice(u32 limit);

/* The next step is one on @word; returns when it is its turn. */
void explore_step(const void *word, bool writes);
/* The same, and not before @ready; @ends: a table that nobody may use after it, or NULL. */
void explore_step_when(const void *word, bool writes, const void *ends,
		       bool (*ready)(void *arg), void *arg);

/* The number of the table that memory is in, or a negative number. */
int explore_table(const void *p);

/* ---- accesses, see READ_ONCE() and others in host.h ---- */

void explore_access(const void *word, enum explore_access access);
void explore_access_done(const void *word, enum explore_access access, u64 old, u64 new);

#define EXPLORE_LOAD(p)									\
({											\
	typeof(*(p)) const *const explored_ = (p);				\
	typeof(*(p)) const explored_value_ =						\
		(explore_access(explored_, EXPLORE_READ), *explored_);			\
											\
	explore_access_done(explored_, EXPLORE_READ, explored_value_, explored_value_);	\
	explored_value_;								\
})

#define EXPLORE_REPLACE(p, val, access)							\
({											\
	typeof(*(p)) *explored_ = (p);						\
	const typeof(*(p)) explored_new_ = (val);					\
	typeof(*(p)) explored_old_;							\
											\
	explore_access(explored_, access);						\
	explored_old_ = *explored_;							\
	*explored_ = explored_new_;							\
	explore_access_done(explored_, access, explored_old_, explored_new_);		\
	explored_old_;									\
})

#define EXPLORE_TRY_CMPXCHG(p, old, val)						\
({											\
	typeof(*(p)) *explored_ = (p);						\
	typeof(*(p)) *explored_expected_ = (old);					\
	const typeof(*(p)) explored_new_ = (val);					\
	typeof(*(p)) explored_old_;							\
	bool explored_won_;								\
											\
	explore_access(explored_, EXPLORE_CMPXCHG);					\
	explored_old_ = *explored_;							\
	explored_won_ = explored_old_ == *explored_expected_;				\
	if (explored_won_)								\
		*explored_ = explored_new_;						\
	*explored_expected_ = explored_old_;						\
	explore_access_done(explored_, EXPLORE_CMPXCHG, explored_old_, *explored_);	\
	explored_won_;									\
})

/* ---- the rest of the kernel, see explore_kernel.c ---- */

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};

void rcu_read_lock(void);
void rcu_read_unlock(void);
bool rcu_read_lock_held(void);
void synchronize_rcu(void);
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

typedef struct {
	int owner;	/* thread + 1, or 0 */
} spinlock_t;

void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
bool lockdep_is_held(spinlock_t *lock);

/* Before each run, and behind it. */
void explore_kernel_begin(void);
void explore_kernel_end(void);
/* Fails if the table may be free by now. */
void explore_kernel_check_table(int table);
bool explore_table_ended(int table);
/* How many are neither freed nor about to be. */
int explore_tables_left(void);
int explore_tables_freed(void);
/* The root, which is larger than other tables; there is one. */
void *explore_root(void);

#endif /* PGTABLE_WALK_HOST_EXPLORE_H */
