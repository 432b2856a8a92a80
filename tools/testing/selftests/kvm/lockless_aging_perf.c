// SPDX-License-Identifier: GPL-2.0-only
/*
 * What aging a guest costs with and without mmu_lock, measured in one boot.
 *
 * The guest has hot memory, which it touches between two aging passes, and cold
 * memory, which it does not. A pass asks about all of it page by page, as MGLRU
 * does. Then one vCPU faults memory in while another thread ages the rest, and
 * the guest takes the time of each fault.
 *
 * Rounds with the switch off and on alternate, so that a drift of the machine's
 * speed meets both.
 */
#include "lockless_aging.h"

#define FRESH_SLOT	(LA_SLOT + 1)
#define FRESH_GPA	LA_TABLE_GPA(8)

enum { OFF, ON, NR_MODES };

/* Faults are also measured with nobody aging. */
enum { NO_AGER = NR_MODES, NR_FAULT_MODES };

struct samples {
	uint64_t *val;
	uint64_t nr;
	uint64_t max_nr;
};

struct pass_result {
	struct samples visited;
	struct samples young;
	struct samples locks;
	struct samples nsec;
};

struct fault_result {
	double mean;
	double p99;
	double max;
};

static uint64_t hot_pages = 2 * LA_CHUNK_PAGES;
static uint64_t cold_pages = 6 * LA_CHUNK_PAGES;
static uint64_t fresh_pages = LA_CHUNK_PAGES;
static int rounds = 5;

static struct la_vm v;
static char *mem, *fresh;
static size_t mem_bytes, fresh_bytes;
static uint64_t lat_gva;
static double ticks_per_us;

static struct pass_result passes[NR_MODES];
static struct samples faults[NR_FAULT_MODES];
static bool stop_ager;

static void samples_init(struct samples *s, uint64_t max_nr)
{
	s->val = calloc(max_nr, sizeof(*s->val));
	TEST_ASSERT(s->val, "No memory for %lu samples", max_nr);
	s->max_nr = max_nr;
}

static void samples_add(struct samples *s, uint64_t val)
{
	TEST_ASSERT(s->nr < s->max_nr, "More samples than planned");
	s->val[s->nr++] = val;
}

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The sample that @percent of all samples do not exceed. */
static uint64_t percentile(struct samples *s, unsigned int percent)
{
	qsort(s->val, s->nr, sizeof(*s->val), cmp_u64);
	return s->val[(s->nr - 1) * percent / 100];
}

static uint64_t median(struct samples *s)
{
	return percentile(s, 50);
}

/* The guest's counter against the host's clock. */
static void calibrate(void)
{
	uint64_t start_ns, start;

	start = la_vcpu_do(&v, 0, LA_OP_NOP, 0, 0, 0)->cycles;
	start_ns = la_now_ns();
	usleep(300000);
	ticks_per_us = la_vcpu_do(&v, 0, LA_OP_NOP, 0, 0, 0)->cycles - start;
	ticks_per_us = ticks_per_us * 1000 / (la_now_ns() - start_ns);
	TEST_ASSERT(ticks_per_us > 0, "The guest's cycle counter stands still");
}

static void set_up(void)
{
	uint64_t pages = hot_pages + cold_pages;
	int i;

	mem_bytes = pages << LA_PAGE_SHIFT;
	mem = la_vm_create_mem(&v, 1, mem_bytes);
	fresh_bytes = fresh_pages << LA_PAGE_SHIFT;
	fresh = la_alloc(fresh_bytes);
	la_add_slot(&v, FRESH_SLOT, 0, FRESH_GPA, FRESH_GPA, fresh, fresh_bytes);

	lat_gva = vm_vaddr_alloc(v.vm, fresh_pages * 8, LA_GPA / 2);

	for (i = 0; i < NR_MODES; i++) {
		samples_init(&passes[i].visited, rounds);
		samples_init(&passes[i].young, rounds);
		samples_init(&passes[i].locks, rounds);
		samples_init(&passes[i].nsec, rounds);
	}
	for (i = 0; i < NR_FAULT_MODES; i++)
		samples_init(&faults[i], rounds * fresh_pages);

	/* Populate, and map the pages that latencies go to. */
	la_touch(&v, LA_OP_WRITE, LA_GPA, pages);
	la_touch(&v, LA_OP_WRITE, FRESH_GPA, fresh_pages);
	la_touch(&v, LA_OP_WRITE, lat_gva, (fresh_pages * 8 + LA_PAGE_SIZE - 1) >> LA_PAGE_SHIFT);
	la_clear_pages(v.age, mem, mem_bytes);
	calibrate();
}

static void measure_pass(int mode)
{
	struct pass_result *res = &passes[mode];
	struct la_stats stats;
	struct la_aged aged;

	la_set_lockless(mode == ON);
	la_flush_tlb(&v);
	la_touch(&v, LA_OP_WRITE, LA_GPA, hot_pages);

	la_stats_zero();
	aged = la_age(v.age, "clear", mem, mem_bytes, LA_PAGE_SIZE);
	stats = la_stats_read();

	samples_add(&res->visited, stats.visited);
	samples_add(&res->young, aged.young);
	samples_add(&res->locks, stats.mmu_lock);
	samples_add(&res->nsec, aged.nsec);
}

static void *ager(void *arg)
{
	int fd = la_age_open();

	while (!READ_ONCE(stop_ager))
		la_age(fd, "clear", mem, mem_bytes, LA_PAGE_SIZE);
	close(fd);
	return NULL;
}

static void measure_faults(int mode)
{
	pthread_t thread;
	uint64_t *lat, i;

	TEST_ASSERT(!madvise(fresh, fresh_bytes, MADV_DONTNEED), "MADV_DONTNEED: %s",
		    strerror(errno));
	if (mode != NO_AGER) {
		la_set_lockless(mode == ON);
		WRITE_ONCE(stop_ager, false);
		TEST_ASSERT(!pthread_create(&thread, NULL, ager, NULL), "pthread_create");
		usleep(10000);
	}

	v.cmds[0].out = lat_gva;
	la_vcpu_do(&v, 0, LA_OP_LATENCY, FRESH_GPA, fresh_pages, 0);

	if (mode != NO_AGER) {
		WRITE_ONCE(stop_ager, true);
		pthread_join(thread, NULL);
	}
	lat = addr_gva2hva(v.vm, lat_gva);
	for (i = 0; i < fresh_pages; i++)
		samples_add(&faults[mode], lat[i]);
}

static struct fault_result fault_result(struct samples *s)
{
	struct fault_result res;
	double sum = 0;
	uint64_t i;

	for (i = 0; i < s->nr; i++)
		sum += s->val[i];
	res.mean = sum / s->nr / ticks_per_us;
	res.p99 = percentile(s, 99) / ticks_per_us;
	res.max = percentile(s, 100) / ticks_per_us;
	return res;
}

static void print_row(const char *name, double off, double on, int digits)
{
	char ratio[16] = "-";

	if (off > 0)
		snprintf(ratio, sizeof(ratio), "%.2f", on / off);
	printf("%-40s %12.*f %12.*f %8s\n", name, digits, off, digits, on, ratio);
}

#define JSON_PASS "{\"visited\": %lu, \"young\": %lu, \"mmu_lock\": %lu, \"ns\": %lu}"
#define JSON_FAULT "{\"mean_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f}"

static void report(void)
{
	const uint64_t pages = hot_pages + cold_pages;
	uint64_t visited[NR_MODES], young[NR_MODES], locks[NR_MODES], nsec[NR_MODES];
	struct fault_result wait[NR_FAULT_MODES];
	int i;

	for (i = 0; i < NR_MODES; i++) {
		visited[i] = median(&passes[i].visited);
		young[i] = median(&passes[i].young);
		locks[i] = median(&passes[i].locks);
		nsec[i] = median(&passes[i].nsec);
	}
	for (i = 0; i < NR_FAULT_MODES; i++)
		wait[i] = fault_result(&faults[i]);

	printf("-----BEGIN REPORT\n");
	printf("Guest memory: %lu MiB hot, %lu MiB cold, in pages of %lu KiB (%lu).\n",
	       hot_pages * LA_PAGE_SIZE / SZ_1M, cold_pages * LA_PAGE_SIZE / SZ_1M,
	       LA_PAGE_SIZE / SZ_1K, pages);
	printf("Medians of %d rounds each way; faults: %lu each way. Under emulation only\n"
	       "ratios mean something.\n\n", rounds, faults[0].nr);
	printf("%-40s %12s %12s %8s\n", "", "switch off", "switch on", "on/off");
	print_row("pages visited a pass", visited[OFF], visited[ON], 0);
	print_row("found young", young[OFF], young[ON], 0);
	print_row("mmu_lock acquisitions by aging", locks[OFF], locks[ON], 0);
	print_row("time a pass, us", nsec[OFF] / 1e3, nsec[ON] / 1e3, 1);
	print_row("time a page, ns", (double)nsec[OFF] / pages, (double)nsec[ON] / pages, 0);
	print_row("vCPU fault wait, mean, us", wait[OFF].mean, wait[ON].mean, 1);
	print_row("vCPU fault wait, p99, us", wait[OFF].p99, wait[ON].p99, 1);
	print_row("vCPU fault wait, max, us", wait[OFF].max, wait[ON].max, 1);
	printf("\nThe same wait while nobody ages: mean %.1f, p99 %.1f, max %.1f us\n",
	       wait[NO_AGER].mean, wait[NO_AGER].p99, wait[NO_AGER].max);

	printf("JSON {\"pages\": %lu, \"hot\": %lu, \"rounds\": %d, \"faults\": %lu, ",
	       pages, hot_pages, rounds, faults[0].nr);
	printf("\"off\": " JSON_PASS ", \"on\": " JSON_PASS ", ",
	       visited[OFF], young[OFF], locks[OFF], nsec[OFF],
	       visited[ON], young[ON], locks[ON], nsec[ON]);
	printf("\"fault_off\": " JSON_FAULT ", \"fault_on\": " JSON_FAULT
	       ", \"fault_idle\": " JSON_FAULT "}\n",
	       wait[OFF].mean, wait[OFF].p99, wait[OFF].max,
	       wait[ON].mean, wait[ON].p99, wait[ON].max,
	       wait[NO_AGER].mean, wait[NO_AGER].p99, wait[NO_AGER].max);
	printf("-----END REPORT\n");
}

/*
 * Every touched page must be found, in every round. A little more may be: hardware
 * may set accessed bits for what it only speculated on, such as a prefetch behind
 * the hot memory's end.
 */
static bool young_is_hot(const struct samples *young)
{
	uint64_t i;

	for (i = 0; i < young->nr; i++)
		if (young->val[i] < hot_pages || young->val[i] > hot_pages + 8 + hot_pages / 100)
			return false;
	return true;
}

static uint64_t smallest(struct samples *s)
{
	return percentile(s, 0);
}

static uint64_t largest(struct samples *s)
{
	return percentile(s, 100);
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-m hot,cold] [-f fresh] [-r rounds]\n"
	       " -m: MiB of guest memory, hot and cold (default: %lu,%lu)\n"
	       " -f: MiB that a vCPU faults in a round (default: %lu)\n"
	       " -r: rounds with the switch off, and as many with it on (default: 5)\n",
	       name, 2 * LA_CHUNK_SIZE / SZ_1M, 6 * LA_CHUNK_SIZE / SZ_1M,
	       LA_CHUNK_SIZE / SZ_1M);
}

int main(int argc, char *argv[])
{
	const char *missing = la_missing();
	unsigned int hot, cold;
	bool lockless;
	int opt, i;

	while ((opt = getopt(argc, argv, "hm:f:r:")) != -1) {
		switch (opt) {
		case 'm':
			if (sscanf(optarg, "%u,%u", &hot, &cold) != 2 || !hot || !cold) {
				fprintf(stderr, "-m %s: give two sizes above 0, such as 4,12\n",
					optarg);
				return KSFT_FAIL;
			}
			hot_pages = (size_t)hot * SZ_1M >> LA_PAGE_SHIFT;
			cold_pages = (size_t)cold * SZ_1M >> LA_PAGE_SHIFT;
			break;
		case 'f':
			fresh_pages = (size_t)atoi_positive("MiB", optarg) * SZ_1M >> LA_PAGE_SHIFT;
			break;
		case 'r':
			rounds = atoi_positive("Rounds", optarg);
			break;
		default:
			help(argv[0]);
			return opt == 'h' ? KSFT_PASS : KSFT_FAIL;
		}
	}

	ksft_print_header();
	__TEST_REQUIRE(!missing, "needs %s", missing);
	ksft_set_plan(4);
	lockless = la_get_lockless();

	set_up();
	for (i = 0; i < rounds; i++) {
		measure_pass(OFF);
		measure_pass(ON);
	}
	for (i = 0; i < rounds; i++) {
		measure_faults(NO_AGER);
		measure_faults(OFF);
		measure_faults(ON);
	}
	la_set_lockless(lockless);
	report();

	ksft_test_result(young_is_hot(&passes[OFF].young), "off_finds_the_hot_pages\n");
	ksft_test_result(young_is_hot(&passes[ON].young), "on_finds_the_hot_pages\n");
	ksft_test_result(smallest(&passes[OFF].locks) >= hot_pages + cold_pages,
			 "off_takes_mmu_lock_for_each_page\n");
	ksft_test_result(!largest(&passes[ON].locks), "on_takes_no_mmu_lock\n");

	la_vm_free(&v);
	ksft_finished();
}
