/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit for the host: what the page-table walker's suites use of it.
 */
#ifndef PGTABLE_WALK_HOST_KUNIT_TEST_H
#define PGTABLE_WALK_HOST_KUNIT_TEST_H

#include <setjmp.h>

#include "host.h"

struct kunit_alloc;

struct kunit {
	void *priv;
	bool failed;
	const char *skip;
	jmp_buf abort;
	struct kunit_alloc *allocs;
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
	const char *module_name;
};

struct kunit_suite {
	const char *name;
	int (*init)(struct kunit *test);
	const struct kunit_case *test_cases;
	struct kunit_suite *next;
};

#define KBUILD_MODNAME		"host"
#define KUNIT_CASE(test_name)	{ .run_case = test_name, .name = #test_name }

void kunit_register(struct kunit_suite *suite);

#define kunit_test_suites(...)								\
static void __attribute__((__constructor__)) kunit_register_all(void)			\
{											\
	struct kunit_suite *suites[] = { __VA_ARGS__ };					\
	size_t i;									\
											\
	for (i = 0; i < ARRAY_SIZE(suites); i++)					\
		kunit_register(suites[i]);						\
}											\
extern int host_nothing

#define GFP_KERNEL	0
/* Zeroed, and aligned to its size, which is a power of two. */
void *kunit_kzalloc(struct kunit *test, size_t size, int gfp);
void __attribute__((__noreturn__)) kunit_abort(struct kunit *test);
void __attribute__((__format__(__printf__, 4, 5)))
kunit_fail(struct kunit *test, const char *file, int line, const char *fmt, ...);

#define kunit_info(test, fmt, ...)	printf("    # " fmt, ##__VA_ARGS__)
#define kunit_skip(test, why)								\
do {											\
	(test)->skip = (why);								\
	kunit_abort(test);								\
} while (0)

#define HOST_KUNIT_CMP(test, a, op, b, fatal, fmt, ...)					\
do {											\
	typeof(a) a_ = (a);								\
	typeof(b) b_ = (b);								\
											\
	if (!(a_ op b_)) {								\
		kunit_fail(test, __FILE__, __LINE__,					\
			   "%s " #op " %s, but 0x%llx and 0x%llx " fmt, #a, #b,		\
			   (u64)(uintptr_t)a_, (u64)(uintptr_t)b_, ##__VA_ARGS__);	\
		if (fatal)								\
			kunit_abort(test);						\
	}										\
} while (0)

#define KUNIT_EXPECT_EQ(test, a, b)		HOST_KUNIT_CMP(test, a, ==, b, false, "")
#define KUNIT_EXPECT_NE(test, a, b)		HOST_KUNIT_CMP(test, a, !=, b, false, "")
#define KUNIT_EXPECT_PTR_EQ(test, a, b)		HOST_KUNIT_CMP(test, a, ==, b, false, "")
#define KUNIT_EXPECT_TRUE(test, a)		HOST_KUNIT_CMP(test, !!(a), ==, true, false, "")
#define KUNIT_EXPECT_FALSE(test, a)		HOST_KUNIT_CMP(test, !!(a), ==, false, false, "")
#define KUNIT_ASSERT_EQ(test, a, b)		HOST_KUNIT_CMP(test, a, ==, b, true, "")
#define KUNIT_ASSERT_LT(test, a, b)		HOST_KUNIT_CMP(test, a, <, b, true, "")
#define KUNIT_ASSERT_NOT_NULL(test, a)		HOST_KUNIT_CMP(test, a, !=, NULL, true, "")
#define KUNIT_EXPECT_EQ_MSG(test, a, b, fmt, ...)					\
	HOST_KUNIT_CMP(test, a, ==, b, false, fmt, ##__VA_ARGS__)
#define KUNIT_ASSERT_EQ_MSG(test, a, b, fmt, ...)					\
	HOST_KUNIT_CMP(test, a, ==, b, true, fmt, ##__VA_ARGS__)

#endif /* PGTABLE_WALK_HOST_KUNIT_TEST_H */
