// SPDX-License-Identifier: GPL-2.0
/* Interleavings of a few threads, see explore.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <kunit/test.h>

#define STACK		(256 << 10)
#define MAX_STEPS	100000
#define MAX_WORDS	(1 << 14)

#define for_each_bit(n, mask)								\
	for (n = 0; (mask) >> (n); n++)							\
		if ((mask) & BIT(n))

int explore_self = -1;
unsigned long explore_schedules = 10000;

/* ---- threads ---- */

struct step {
	const void *word;
	bool writes;
	int table;	/* that the word is in */
	int ends;	/* the table that nobody may use after it */
	bool (*ready)(void *arg);
	void *arg;
};

static struct fiber {
	ucontext_t first;
	jmp_buf start, resume;
	bool made, begun, done;
	struct step step;	/* the next one, which waits for its turn */
	u64 random;
} fibers[EXPLORE_THREADS];

static const struct explore_scenario *scenario;
static const struct explore_how *how;
static int nr_threads, starting;
static ucontext_t boot;
static jmp_buf run_over;

static enum { ALL, RANDOM, REPLAY } mode;
static bool talk, running;
static char failure[512];
static unsigned int steps;

/* ---- which words are shared ---- */

static struct word {
	const void *word;
	u8 users, writers;
	bool shared;
} words[MAX_WORDS];

static unsigned int nr_words;
static u8 table_enders[EXPLORE_TABLES];
static bool learned;

static struct word *find_word(const void *word)
{
	unsigned int i = ((uintptr_t)word >> 3) * 0x9e3779b1U % MAX_WORDS;

	while (words[i].word && words[i].word != word)
		i = (i + 1) % MAX_WORDS;
	if (!words[i].word) {
		if (++nr_words == MAX_WORDS)
			abort();
		words[i].word = word;
	}
	return &words[i];
}

static bool several(unsigned int threads)
{
	return threads & (threads - 1);
}

/* Is the order of this step and of those of others of any consequence? */
static bool matters(const struct step *step)
{
	const unsigned int self = BIT(explore_self);
	bool result = step->ready;

	if (step->ends >= 0) {
		learned |= !(table_enders[step->ends] & self);
		table_enders[step->ends] |= self;
		result = true;
	}
	if (step->word) {
		struct word *word = find_word(step->word);

		word->users |= self;
		if (step->writes)
			word->writers |= self;
		if (!word->shared && word->writers && several(word->users)) {
			word->shared = true;
			learned = true;
		}
		result |= word->shared;
	}
	if (step->table >= 0)
		result |= table_enders[step->table] & ~self;
	return result;
}

static bool conflict(const struct step *a, const struct step *b)
{
	if (a->word && a->word == b->word && (a->writes || b->writes))
		return true;
	return (a->ends >= 0 && (a->ends == b->table || a->ends == b->ends)) ||
	       (b->ends >= 0 && b->ends == a->table);
}

/* ---- what was done, and what to do again ---- */

struct turns {
	int thread;
	unsigned int steps;
};

static struct turns record[MAX_STEPS], replay[MAX_STEPS];
static unsigned int nr_record, nr_replay, replayed;
static u64 seed;
static const char *of_option, *replay_option, *seed_option;

static void record_step(void)
{
	steps++;
	if (nr_record && record[nr_record - 1].thread == explore_self)
		record[nr_record - 1].steps++;
	else
		record[nr_record++] = (struct turns) { explore_self, 1 };
}

static u64 next_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u32 explore_choice(u32 limit)
{
	return next_random(&fibers[explore_self].random) % limit;
}

/* kunit.c hands on options that are not its own. */
bool kunit_option(const char *option, const char *value)
{
	if (!strcmp(option, "--of"))
		of_option = value;
	else if (!strcmp(option, "--replay"))
		replay_option = value;
	else if (!strcmp(option, "--schedules"))
		explore_schedules = strtoul(value, NULL, 10);
	else if (!strcmp(option, "--seed"))
		seed_option = value;
	else
		return false;
	return true;
}

static bool parse_replay(const char *list)
{
	int thread, n;
	unsigned int count;

	for (nr_replay = 0; nr_replay < MAX_STEPS; list += *list == ',') {
		if (!*list)
			return nr_replay;
		if (sscanf(list, "%d:%u%n", &thread, &count, &n) != 2 || thread < 0 ||
		    thread >= nr_threads || !count || (list[n] && list[n] != ','))
			return false;
		replay[nr_replay++] = (struct turns) { thread, count };
		list += n;
	}
	return false;
}

/* ---- the scheduler: whose turn is it? ---- */

/* Where the search can turn another way. */
static struct frame {
	u8 enabled, sleep, done;
	signed char chosen, before;
	int preempted;
} frames[MAX_STEPS];

static unsigned int depth, prefix, sleeping;

/* Of schedules by chance. */
static enum { PRIORITIES, ANY, SOMETIMES } chance;
static u64 chance_state;
static int priorities[EXPLORE_THREADS], lowest;
static unsigned int changes[4], longest = 1;

static void __attribute__((__noreturn__)) over(int result)
{
	_longjmp(run_over, result);
}

enum { RUN_ENDED = 1, RUN_CUT, RUN_FAILED };

void explore_fail(const char *fmt, ...)
{
	va_list args;
	int len;

	if (!failure[0]) {
		len = snprintf(failure, sizeof(failure), "%s: ", explore_self < 0 ? "at the end" :
			       scenario->threads[explore_self].name);
		va_start(args, fmt);
		vsnprintf(failure + len, sizeof(failure) - len, fmt, args);
		va_end(args);
	}
	if (running)
		over(RUN_FAILED);
}

void explore_say(const char *fmt, ...)
{
	va_list args;

	if (!talk)
		return;
	printf("    # %4u. %s: ", steps, explore_self < 0 ? "begin" :
	       scenario->threads[explore_self].name);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

static bool preempts(const struct frame *f, int thread)
{
	return f->before >= 0 && thread != f->before && f->enabled & BIT(f->before);
}

/* Those that may take their turn here, and whose turn would show something new. */
static unsigned int candidates(const struct frame *f)
{
	unsigned int mask = f->enabled & ~f->sleep & ~f->done, allowed = 0;
	int i;

	if (!how->bound || f->preempted < how->bound)
		return mask;
	for_each_bit(i, mask) {
		if (!preempts(f, i))
			allowed |= BIT(i);
	}
	return allowed;
}

static int choose_next(unsigned int enabled)
{
	struct frame *f = &frames[depth];
	unsigned int mask;
	int i;

	if (depth == MAX_STEPS)
		abort();
	if (depth == prefix) {
		*f = (struct frame) {
			.enabled = enabled,
			.sleep = sleeping,
			.before = explore_self,
		};
		if (depth)
			f->preempted = f[-1].preempted + preempts(&f[-1], f[-1].chosen);
		mask = candidates(f);
		if (!mask)
			over(RUN_CUT);
		f->chosen = explore_self >= 0 && mask & BIT(explore_self) ? explore_self :
								     __builtin_ctz(mask);
		prefix++;
	}

	/* Another order of what commutes with the step was, or will be, run elsewhere. */
	sleeping = 0;
	if (!how->every && !how->bound) {
		mask = (f->sleep | f->done) & ~BIT(f->chosen);
		for_each_bit(i, mask) {
			if (!conflict(&fibers[i].step, &fibers[f->chosen].step))
				sleeping |= BIT(i);
		}
	}
	depth++;
	return f->chosen;
}

/* Is there another interleaving? */
static bool turn_back(void)
{
	for (; prefix; prefix--) {
		struct frame *f = &frames[prefix - 1];
		unsigned int mask;

		f->done |= BIT(f->chosen);
		mask = candidates(f);
		if (mask) {
			f->chosen = __builtin_ctz(mask);
			return true;
		}
	}
	return false;
}

static int choose_again(unsigned int enabled)
{
	struct turns *turns = &replay[replayed];

	if (replayed == nr_replay)
		return __builtin_ctz(enabled);
	if (!(enabled & BIT(turns->thread)))
		explore_fail("the list does not fit: it is not the turn of thread %d",
			     turns->thread);
	if (!--turns->steps)
		replayed++;
	return turns->thread;
}

static int choose_by_chance(unsigned int enabled)
{
	int i, best = -1;

	if (chance == PRIORITIES) {
		for (i = 0; i < ARRAY_SIZE(changes); i++) {
			if (steps == changes[i] && explore_self >= 0)
				priorities[explore_self] = --lowest;
		}
		for_each_bit(i, enabled) {
			if (best < 0 || priorities[i] > priorities[best])
				best = i;
		}
		return best;
	}

	if (chance == SOMETIMES && explore_self >= 0 && enabled & BIT(explore_self) &&
	    next_random(&chance_state) % 8)
		return explore_self;
	do {
		best = next_random(&chance_state) % nr_threads;
	} while (!(enabled & BIT(best)));
	return best;
}

static void take_chances(void)
{
	int i, j;

	chance_state = seed;
	chance = seed % 3;
	lowest = 0;
	for (i = 0; i < nr_threads; i++) {
		j = next_random(&chance_state) % (i + 1);
		priorities[i] = priorities[j];
		priorities[j] = i + 1;
	}
	for (i = 0; i < ARRAY_SIZE(changes); i++)
		changes[i] = next_random(&chance_state) % longest;
}

static int choose(void)
{
	unsigned int enabled = 0, left = 0;
	int i;

	for (i = 0; i < nr_threads; i++) {
		const struct step *step = &fibers[i].step;

		if (fibers[i].done)
			continue;
		left |= BIT(i);
		if (!step->ready || step->ready(step->arg))
			enabled |= BIT(i);
	}
	if (!left)
		over(RUN_ENDED);
	if (!enabled)
		explore_fail("all threads that are left wait");
	if (mode == ALL)
		return choose_next(enabled);
	return mode == REPLAY ? choose_again(enabled) : choose_by_chance(enabled);
}

static void __attribute__((__noreturn__)) go_on(int thread)
{
	explore_self = thread;
	_longjmp(fibers[thread].resume, 1);
}

static void __attribute__((__noreturn__)) start_next(void);

/* The next step of this thread is known.  Returns when it has its turn. */
static void wait_for_turn(void)
{
	struct fiber *self = &fibers[explore_self];
	const int me = explore_self;
	int next;

	if (!self->begun) {
		self->begun = true;
		if (!_setjmp(self->resume))
			start_next();
		return;
	}
	next = choose();
	if (next != me && !_setjmp(self->resume))
		go_on(next);
}

static void fiber_main(void)
{
	if (!_setjmp(fibers[explore_self].start))
		swapcontext(&fibers[explore_self].first, &boot);

	scenario->threads[explore_self].run(scenario->threads[explore_self].arg);

	fibers[explore_self].done = true;
	if (!fibers[explore_self].begun)
		start_next();
	go_on(choose());
}

/* Each thread runs up to its first step, and then it is the scheduler's turn. */
static void start_next(void)
{
	explore_self = -1;
	if (++starting < nr_threads) {
		explore_self = starting;
		_longjmp(fibers[starting].start, 1);
	}
	go_on(choose());
}

static noinline void make_fiber(struct fiber *f)
{
	f->made = true;
	getcontext(&f->first);
	f->first.uc_stack.ss_sp = malloc(STACK);
	f->first.uc_stack.ss_size = STACK;
	if (!f->first.uc_stack.ss_sp)
		abort();
	makecontext(&f->first, fiber_main, 0);
	explore_self = f - fibers;
	swapcontext(&boot, &f->first);
	explore_self = -1;
}

/* ---- steps ---- */

void explore_step_when(const void *word, bool writes, const void *ends,
		       bool (*ready)(void *arg), void *arg)
{
	struct step *step;

	if (explore_self < 0) {
		if (ready && !ready(arg))
			explore_fail("there is nobody to wait for");
		return;
	}
	if (steps == MAX_STEPS - 1)
		explore_fail("no end after %u steps", steps);

	step = &fibers[explore_self].step;
	*step = (struct step) {
		.word = word,
		.writes = writes,
		.table = explore_table(word),
		.ends = ends ? explore_table(ends) : -1,
		.ready = ready,
		.arg = arg,
	};
	if (mode != ALL || matters(step) || how->every)
		wait_for_turn();
	record_step();
}

void explore_step(const void *word, bool writes)
{
	explore_step_when(word, writes, NULL, NULL, NULL);
}

/* ---- one run, and many ---- */

/* What setjmp() would clobber is kept out of its function. */
static int run_threads(void)
{
	int result = _setjmp(run_over);

	if (!result) {
		running = true;
		start_next();
	}
	running = false;
	explore_self = -1;
	return result;
}

static int run_once(void)
{
	int i, result;

	failure[0] = '\0';
	steps = 0;
	nr_record = 0;
	depth = 0;
	sleeping = 0;
	replayed = 0;
	starting = -1;
	for (i = 0; i < nr_threads; i++) {
		fibers[i].begun = false;
		fibers[i].done = false;
		memset(&fibers[i].step, 0, sizeof(fibers[i].step));
		fibers[i].random = seed ^ (i + 1) * 0x2545f4914f6cdd1dULL;
	}

	explore_kernel_begin();
	scenario->begin();
	result = run_threads();
	if (result == RUN_ENDED) {
		explore_kernel_end();
		scenario->end();
	}
	if (host_warnings && !failure[0])
		explore_fail("warning: %s", host_last_warning);
	host_warnings = 0;
	if (result != RUN_CUT && failure[0])
		return RUN_FAILED;
	return result;
}

static void set_scenario(const struct explore_scenario *what, const struct explore_how *options)
{
	static const struct explore_how usual;
	int i;

	scenario = what;
	how = options ?: &usual;
	for (nr_threads = 0; scenario->threads[nr_threads].run; nr_threads++)
		;
	for (i = 0; i < nr_threads; i++) {
		if (!fibers[i].made)
			make_fiber(&fibers[i]);
	}
}

/* What happened, in words, by doing it again. */
static void tell(struct kunit *test)
{
	printf("    # %s: this run does:\n", scenario->what);
	talk = true;
	run_once();
	talk = false;
	printf("    # %s\n", failure[0] ? failure : "and nothing fails");
	if (failure[0])
		kunit_fail(test, scenario->what, 0, "no interleaving to end so: %s", failure);
}

#define COMMAND	"make -C tools/testing/pgtable-walk/host BUILD=$PWD/build/host check-explore"

static void tell_list(struct kunit *test)
{
	unsigned int i;

	memcpy(replay, record, sizeof(*record) * nr_record);
	nr_replay = nr_record;
	printf("    # to see it again: " COMMAND " REPLAY=\"--of '%s' --replay ", scenario->what);
	for (i = 0; i < nr_record; i++)
		printf("%s%d:%u", i ? "," : "", record[i].thread, record[i].steps);
	printf("\"\n");
	mode = REPLAY;
	tell(test);
	if (!test->failed)
		kunit_fail(test, scenario->what, 0, "the same end when it is run again");
}

struct outcome {
	u64 digest;
	bool known;
};

static struct outcome outcomes[1 << 16];

static void note_outcome(struct explore_result *result)
{
	const u64 digest = how->digest();
	unsigned int i = digest % ARRAY_SIZE(outcomes);

	for (; outcomes[i].known; i = (i + 1) % ARRAY_SIZE(outcomes)) {
		if (outcomes[i].digest == digest)
			return;
	}
	outcomes[i] = (struct outcome) { digest, true };
	result->outcomes_sum += digest;
	if (++result->outcomes == ARRAY_SIZE(outcomes) / 2)
		abort();
}

/* All interleavings, as far as what is known to be shared can tell. */
static struct explore_result search(void)
{
	struct explore_result result = {};

	if (how->digest)
		memset(outcomes, 0, sizeof(outcomes));
	prefix = 0;
	learned = false;
	do {
		switch (run_once()) {
		case RUN_ENDED:
			result.runs++;
			if (how->digest)
				note_outcome(&result);
			break;
		case RUN_CUT:
			result.cut++;
			break;
		default:
			result.failed = true;
			result.why = failure;
			return result;
		}
	} while (!learned && turn_back());
	return result;
}

struct explore_result explore(struct kunit *test, const struct explore_scenario *what,
			      const struct explore_how *options)
{
	struct explore_result result = {};

	set_scenario(what, options);
	if (of_option && !how->quiet && strcmp(of_option, scenario->what))
		return result;
	if (replay_option && !how->quiet) {
		if (!parse_replay(replay_option)) {
			kunit_fail(test, scenario->what, 0, "a list as THREAD:STEPS,...");
			return result;
		}
		mode = REPLAY;
		seed = 0;
		tell(test);
		return result;
	}

	mode = ALL;
	seed = 0;
	memset(words, 0, sizeof(words));
	memset(table_enders, 0, sizeof(table_enders));
	nr_words = 0;
	do {
		result = search();
	} while (learned && !result.failed);

	if (how->quiet)
		return result;
	if (how->every)
		kunit_info(test, "%s: every order of every step of %d threads: %lu\n",
			   scenario->what, nr_threads, result.runs);
	else if (how->bound)
		kunit_info(test, "%s: all of up to %d preemptions of %d threads: %lu\n",
			   scenario->what, how->bound, nr_threads, result.runs);
	else
		kunit_info(test, "%s: all interleavings of %d threads: %lu, %lu more cut short\n",
			   scenario->what, nr_threads, result.runs, result.cut);
	if (result.failed)
		tell_list(test);
	return result;
}

struct explore_result explore_random(struct kunit *test, const struct explore_scenario *what,
				     const struct explore_how *options, unsigned long seeds)
{
	struct explore_result result = {};
	const char *only_seed;
	char *rest = "";

	set_scenario(what, options);
	only_seed = how->quiet ? NULL : seed_option;
	if (of_option && !how->quiet && strcmp(of_option, scenario->what))
		return result;
	mode = RANDOM;
	/* How long a run is; what a seed does must not depend on those before it. */
	seed = 0;
	take_chances();
	run_once();
	longest = max(steps, 1U);
	for (seed = 1; seed <= seeds; seed++) {
		alarm(300);
		if (only_seed) {
			seed = strtoull(only_seed, &rest, 10);
			seeds = 0;
		}
		take_chances();
		result.runs++;
		if (run_once() != RUN_ENDED || only_seed) {
			result.failed = true;
			result.why = failure;
			if (how->quiet)
				return result;
			printf("    # to see it again: " COMMAND " ");
			printf("REPLAY=\"--of '%s' --seed %llu\"\n", scenario->what, seed);
			take_chances();
			tell(test);
			if (!test->failed && !only_seed)
				kunit_fail(test, scenario->what, 0, "the same end when it is run again");
			return result;
		}
	}
	if (!how->quiet)
		kunit_info(test, "%s: %lu random interleavings of %d threads\n", scenario->what,
			   result.runs, nr_threads);
	return result;
}
