// SPDX-License-Identifier: GPL-2.0
/* Does the explorer run what it says, and does it find what there is to find? */
#include <kunit/test.h>

static u64 shared, own[EXPLORE_THREADS];
static spinlock_t locks[2];

static void begin(void)
{
	shared = 0;
	memset(own, 0, sizeof(own));
	memset(locks, 0, sizeof(locks));
}

static void end(void)
{
}

/* ---- numbers that are known ---- */

static void write_shared(void *steps)
{
	uintptr_t n;

	for (n = (uintptr_t)steps; n; n--)
		WRITE_ONCE(shared, 0);
}

static void write_own(void *steps)
{
	uintptr_t n;

	for (n = (uintptr_t)steps; n; n--)
		WRITE_ONCE(own[explore_self], 0);
}

static void read_shared(void *steps)
{
	uintptr_t n;

	for (n = (uintptr_t)steps; n; n--)
		READ_ONCE(shared);
}

/* The last of one's own steps is the only one that others can see. */
static void write_own_and_shared(void *steps)
{
	write_own(steps);
	write_shared((void *)1);
}

static void test_explore_counts(struct kunit *test)
{
	static const struct {
		void (*run)(void *steps);
		uintptr_t steps[3];
		int bound;
		unsigned long every, reduced;
	} known[] = {
		/* Binomial and multinomial numbers. */
		{ write_shared, { 3, 4 }, 0, 35, 35 },
		{ write_shared, { 5, 5 }, 0, 252, 252 },
		{ write_shared, { 8, 8 }, 0, 12870, 12870 },
		{ write_shared, { 2, 2, 2 }, 0, 90, 90 },
		{ write_shared, { 3, 3, 3 }, 0, 1680, 1680 },
		/* What commutes does so in one way. */
		{ write_own, { 3, 4 }, 0, 35, 1 },
		{ write_own, { 2, 2, 2 }, 0, 90, 1 },
		{ read_shared, { 3, 4 }, 0, 35, 1 },
		{ write_own_and_shared, { 2, 3 }, 0, 35, 2 },
		{ write_own_and_shared, { 1, 1, 1 }, 0, 90, 6 },
		/* Nobody is preempted, or one of them once at one of two places. */
		{ write_shared, { 3, 3 }, 1, 6, 6 },
	};
	struct explore_scenario scenario = { .what = "counting", .begin = begin, .end = end };
	struct explore_how how;
	struct explore_result result;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		for (j = 0; j < 3; j++)
			scenario.threads[j] = (struct explore_thread) {
				"thread", known[i].steps[j] ? known[i].run : NULL,
				(void *)known[i].steps[j]
			};
		how = (struct explore_how) { .quiet = true, .every = true };
		how.bound = known[i].bound;
		result = explore(test, &scenario, &how);
		KUNIT_EXPECT_FALSE(test, result.failed);
		KUNIT_EXPECT_EQ(test, result.runs, known[i].every);
		KUNIT_EXPECT_EQ(test, result.cut, 0UL);
		how.every = false;
		result = explore(test, &scenario, &how);
		KUNIT_EXPECT_FALSE(test, result.failed);
		KUNIT_EXPECT_EQ(test, result.runs, known[i].reduced);
	}
}

/* ---- bugs that are known ---- */

static void add_one(void *unused)
{
	const u64 old = READ_ONCE(shared);

	WRITE_ONCE(shared, old + 1);
}

static void add_one_locked(void *unused)
{
	spin_lock(&locks[0]);
	add_one(NULL);
	spin_unlock(&locks[0]);
}

static void add_one_cmpxchg(void *unused)
{
	u64 old = READ_ONCE(shared);

	while (!try_cmpxchg(&shared, &old, old + 1))
		;
}

static void expect_sum(void)
{
	if (shared != 2)
		explore_fail("a sum is lost");
}

static void lock_both(void *first)
{
	const int i = !!first;

	spin_lock(&locks[i]);
	spin_lock(&locks[!i]);
	spin_unlock(&locks[!i]);
	spin_unlock(&locks[i]);
}

static void expect_failure(struct kunit *test, struct explore_result result, const char *why)
{
	KUNIT_EXPECT_EQ(test, result.failed, !!why);
	if (why && result.failed)
		KUNIT_EXPECT_TRUE(test, strstr(result.why, why));
}

static void test_explore_finds_bugs(struct kunit *test)
{
	static const struct explore_scenario plain = {
		"plain sum", begin, expect_sum, { { "one", add_one }, { "two", add_one } }
	}, locked = {
		"locked sum", begin, expect_sum,
		{ { "one", add_one_locked }, { "two", add_one_locked } }
	}, half = {
		"half locked", begin, expect_sum, { { "one", add_one }, { "two", add_one_locked } }
	}, cmpxchg = {
		"cmpxchg sum", begin, expect_sum,
		{ { "one", add_one_cmpxchg }, { "two", add_one_cmpxchg } }
	}, deadlock = {
		"deadlock", begin, end, { { "one", lock_both, NULL }, { "two", lock_both, locks } }
	};
	static const struct explore_how quiet = { .quiet = true },
					bound = { .quiet = true, .bound = 1 };

	expect_failure(test, explore(test, &plain, &quiet), "a sum is lost");
	expect_failure(test, explore(test, &plain, &bound), "a sum is lost");
	expect_failure(test, explore(test, &half, &quiet), "a sum is lost");
	expect_failure(test, explore(test, &locked, &quiet), NULL);
	expect_failure(test, explore(test, &cmpxchg, &quiet), NULL);
	expect_failure(test, explore(test, &deadlock, &quiet), "all threads that are left wait");
	expect_failure(test, explore_random(test, &plain, &quiet, 100), "a sum is lost");
	expect_failure(test, explore_random(test, &locked, &quiet, 100), NULL);
}

/* ---- RCU ---- */

static void *table;

static void begin_table(void)
{
	table = host_alloc_table();
	shared = (uintptr_t)table;
}

static void look_at(const void *found)
{
	explore_step(found, false);
	explore_kernel_check_table(explore_table(found));
}

static void read_table(void *twice)
{
	const void *found;

	rcu_read_lock();
	found = (void *)(uintptr_t)READ_ONCE(shared);
	if (found)
		look_at(found);
	rcu_read_unlock();
	if (twice && found) {
		rcu_read_lock();
		look_at(found);
		rcu_read_unlock();
	}
}

static void unlink_and_free(void *how)
{
	const char *word = how;

	WRITE_ONCE(shared, 0);
	if (!strcmp(word, "wait"))
		synchronize_rcu();
	if (!strcmp(word, "twice"))
		__free_page(virt_to_page(table));
	__free_page(virt_to_page(table));
}

static void test_explore_rcu(struct kunit *test)
{
	static const struct explore_scenario right = {
		"grace period", begin_table, end,
		{ { "reader", read_table, NULL }, { "owner", unlink_and_free, "wait" } }
	}, late = {
		"pointer kept", begin_table, end,
		{ { "reader", read_table, "twice" }, { "owner", unlink_and_free, "wait" } }
	}, none = {
		"no grace period", begin_table, end,
		{ { "reader", read_table, NULL }, { "owner", unlink_and_free, "no" } }
	}, twice = {
		"freed twice", begin_table, end, { { "owner", unlink_and_free, "twice" } }
	};
	static const struct explore_how quiet = { .quiet = true };

	expect_failure(test, explore(test, &right, &quiet), NULL);
	expect_failure(test, explore(test, &late, &quiet), "may be free");
	expect_failure(test, explore(test, &none, &quiet), "may be free");
	expect_failure(test, explore(test, &twice, &quiet), "freed twice");
}

static struct kunit_case explore_cases[] = {
	KUNIT_CASE(test_explore_counts),
	KUNIT_CASE(test_explore_finds_bugs),
	KUNIT_CASE(test_explore_rcu),
	{}
};

static struct kunit_suite explore_suite = {
	.name = "pgtable_walk_explore",
	.test_cases = explore_cases,
};

kunit_test_suites(&explore_suite);
