// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the registered KUnit suites, or the cases of the name that is the argument, and
 * reports in KTAP.
 */
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <kunit/test.h>

struct kunit_alloc {
	struct kunit_alloc *next;
	void *memory;
};

static struct kunit_suite *suites, **last_suite = &suites;

void kunit_register(struct kunit_suite *suite)
{
	*last_suite = suite;
	last_suite = &suite->next;
}

void *kunit_kzalloc(struct kunit *test, size_t size, int gfp)
{
	struct kunit_alloc *alloc = malloc(sizeof(*alloc));

	if (!alloc || posix_memalign(&alloc->memory, size & -size, size))
		abort();
	memset(alloc->memory, 0, size);
	alloc->next = test->allocs;
	test->allocs = alloc;
	return alloc->memory;
}

void kunit_abort(struct kunit *test)
{
	longjmp(test->abort, 1);
}

void kunit_fail(struct kunit *test, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	/* One broken loop would fill the screen. */
	if (test->failed)
		return;
	test->failed = true;

	va_start(args, fmt);
	printf("    # %s:%d: expected ", file, line);
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
}

/* A program may have options of its own, each with a value. */
#pragma weak kunit_option
bool kunit_option(const char *option, const char *value);

/* A test that doesn't come back still gets its line. */
static char obituary[256];

static void say_obituary(void)
{
	if (write(STDOUT_FILENO, obituary, strlen(obituary)) < 0)
		_exit(2);
}

static void died(int sig)
{
	say_obituary();
	_exit(1);
}

/* ASan and TSan call it before they end the process; UBSan is told to abort. */
#pragma weak __sanitizer_set_death_callback
void __sanitizer_set_death_callback(void (*callback)(void));

/* Seconds that a case may take, on a machine that does much else. */
static unsigned int patience = 300;

static bool run_case(const struct kunit_suite *suite, const struct kunit_case *test_case, int nr)
{
	static struct kunit test;
	struct kunit_alloc *next;

	memset(&test, 0, sizeof(test));
	snprintf(obituary, sizeof(obituary), "    not ok %d %s # crashed or hung\nnot ok %s\n", nr,
		 test_case->name, suite->name);
	alarm(patience);
	if (!setjmp(test.abort)) {
		if (suite->init && suite->init(&test))
			kunit_fail(&test, suite->name, 0, "init to work");
		else
			test_case->run_case(&test);
	}
	if (host_warnings)
		kunit_fail(&test, suite->name, 0, "no warning, but: %s", host_last_warning);
	host_warnings = 0;

	alarm(0);
	obituary[0] = '\0';
	for (; test.allocs; test.allocs = next) {
		next = test.allocs->next;
		free(test.allocs->memory);
		free(test.allocs);
	}

	printf("    %sok %d %s", test.failed ? "not " : "", nr, test_case->name);
	printf(test.skip ? " # SKIP %s\n" : "\n", test.skip);
	return !test.failed;
}

int main(int argc, char *argv[])
{
	const struct kunit_suite *suite;
	const char *only = NULL;
	int nr = 0, failed = 0, arg;

	for (arg = 1; arg < argc; arg++) {
		if (strncmp(argv[arg], "--", 2)) {
			only = argv[arg];
		} else if (!strcmp(argv[arg], "--patience") && arg + 1 < argc) {
			patience = atoi(argv[++arg]);
		} else if (!kunit_option || arg + 1 == argc ||
			   !kunit_option(argv[arg], argv[arg + 1])) {
			fprintf(stderr, "%s: not an option with a value: %s\n", argv[0], argv[arg]);
			return 2;
		} else {
			arg++;
		}
	}

	signal(SIGALRM, died);
	signal(SIGABRT, died);
	signal(SIGXCPU, died);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(say_obituary);
	else
		signal(SIGSEGV, died);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (suite = suites; suite; suite = suite->next)
		nr++;
	printf("KTAP version 1\n1..%d\n", nr);

	for (suite = suites, nr = 0; suite; suite = suite->next) {
		const struct kunit_case *test_case = suite->test_cases;
		bool ok = true;
		int i;

		for (i = 0; test_case[i].run_case; i++)
			;
		printf("    KTAP version 1\n    # Subtest: %s\n    1..%d\n", suite->name, i);
		for (i = 0; test_case[i].run_case; i++) {
			if (!only || !strcmp(only, test_case[i].name))
				ok &= run_case(suite, &test_case[i], i + 1);
		}
		printf("%sok %d %s\n", ok ? "" : "not ", ++nr, suite->name);
		failed += !ok;
	}
	return failed != 0;
}
