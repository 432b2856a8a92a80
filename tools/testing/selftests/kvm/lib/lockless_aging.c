// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging, and the kernel's files about it.
 */
#include <pthread.h>
#include <time.h>
#include <sys/swap.h>

#include "lockless_aging.h"

unsigned int la_page_shift;

static void __attribute__((constructor)) la_init(void)
{
	la_page_shift = ilog2(getpagesize());
}

int __la_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text));
	ret = ret < 0 ? -errno : 0;
	close(fd);
	return ret;
}

void la_write(const char *path, const char *text)
{
	int ret = __la_write(path, text);

	TEST_ASSERT(!ret, "Cannot write '%s' to %s: %s", text, path, strerror(-ret));
}

static void la_write_u64(const char *path, uint64_t val)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", val);
	la_write(path, text);
}

/* Returns false when the file is missing: the kernel lacks that interface. */
bool la_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t ret;

	if (fd < 0)
		return false;
	/* Some files give a page at a time. */
	do {
		ret = read(fd, text + len, size - 1 - len);
		TEST_ASSERT(ret >= 0, "Cannot read %s: %s", path, strerror(errno));
		len += ret;
	} while (ret);
	text[len] = '\0';
	close(fd);
	return true;
}

/* NULL, or the name of what the running kernel lacks for driving aging. */
const char *la_missing(void)
{
	if (access("/dev/kvm", R_OK | W_OK))
		return "/dev/kvm";
	if (access(LA_SWITCH, W_OK))
		return LA_SWITCH " (CONFIG_KVM_GENERIC_AGING)";
	if (access(LA_STATS, W_OK))
		return LA_STATS " (debugfs mounted, CONFIG_PGTABLE_WALK)";
	if (access(LA_AGE, W_OK))
		return LA_AGE " (CONFIG_MMU_NOTIFIER_AGE_DEBUG)";
	return NULL;
}

bool la_get_lockless(void)
{
	char text[8];

	TEST_ASSERT(la_read(LA_SWITCH, text, sizeof(text)), "Cannot read " LA_SWITCH);
	return text[0] == 'Y';
}

void la_set_lockless(bool on)
{
	la_write(LA_SWITCH, on ? "1" : "0");
}

static bool lockless_before;

static void restore_lockless(void)
{
	la_set_lockless(lockless_before);
}

/* For tests that may not come back. */
void la_restore_lockless_at_exit(void)
{
	if (access(LA_SWITCH, W_OK))
		return;
	lockless_before = la_get_lockless();
	atexit(restore_lockless);
}

bool la_has_stalls(void)
{
	return !access(LA_STALL_NS, W_OK) && !access(LA_STALL_ONE_IN, W_OK);
}

/* Widens the race windows of a lockless walker; without the knobs a no-op. */
void la_set_stalls(uint64_t ns, uint64_t one_in)
{
	if (!la_has_stalls())
		return;
	la_write_u64(LA_STALL_ONE_IN, one_in);
	la_write_u64(LA_STALL_NS, ns);
}

/* The value of a line "name value". */
uint64_t la_stat(const char *text, const char *name)
{
	const char *line = text;
	size_t len = strlen(name);

	while (line && *line) {
		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtoull(line + len, NULL, 10);
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	TEST_FAIL("No line '%s' in: %s", name, text);
}

/* What /proc/vmstat had when the counts were zeroed, for it can't be. */
static struct la_stats la_stats_base;

struct la_stats la_stats_read(void)
{
	char walks[1024], locked[32], vmstat[1 << 14];

	TEST_ASSERT(la_read(LA_STATS, walks, sizeof(walks)), "Cannot read " LA_STATS);
	TEST_ASSERT(la_read(LA_LOCKED, locked, sizeof(locked)), "Cannot read " LA_LOCKED);
	TEST_ASSERT(la_read("/proc/vmstat", vmstat, sizeof(vmstat)), "Cannot read vmstat");
	return (struct la_stats) {
		.walks		= la_stat(walks, "walks"),
		.visited	= la_stat(walks, "visited"),
		.young		= la_stat(walks, "young"),
		.lost		= la_stat(walks, "lost"),
		.busy		= la_stat(walks, "busy"),
		.freed		= la_stat(walks, "freed"),
		.mmu_lock	= strtoull(locked, NULL, 10),
		.batches	= la_stat(vmstat, "mmu_notifier_age_range") -
				  la_stats_base.batches,
		.refused	= la_stat(vmstat, "mmu_notifier_age_refused") -
				  la_stats_base.refused,
	};
}

void la_stats_zero(void)
{
	la_write(LA_STATS, "0");
	la_write(LA_LOCKED, "0");
	la_stats_base = (struct la_stats) {};
	la_stats_base = la_stats_read();
}

/* The file ages the mm of the process that opens it. */
int la_age_open(void)
{
	int fd = open(LA_AGE, O_RDWR);

	TEST_ASSERT(fd >= 0, "Cannot open " LA_AGE ": %s", strerror(errno));
	return fd;
}

/*
 * Returns 0 or -errno. A step of 0 leaves the step out of the command, an @every of 0
 * how many of a batch's parts are wanted.
 */
static int __la_age(int fd, const char *op, const void *start, size_t bytes, size_t step,
		    unsigned int every)
{
	unsigned long first = (unsigned long)start;
	char cmd[128];
	int len;

	len = snprintf(cmd, sizeof(cmd), "%s 0x%lx 0x%lx", op, first, first + bytes);
	if (step)
		len += snprintf(cmd + len, sizeof(cmd) - len, " 0x%lx", step);
	if (every)
		len += snprintf(cmd + len, sizeof(cmd) - len, " %u", every);
	return write(fd, cmd, len) == len ? 0 : -errno;
}

/* A batch, "batch-clear" or "batch-test", of which each @every-th part is wanted. */
struct la_aged la_age_batch(int fd, const char *op, const void *start, size_t bytes, size_t step,
			    unsigned int every)
{
	struct la_aged aged;
	char text[96];
	ssize_t len;
	int ret;

	ret = __la_age(fd, op, start, bytes, step, every);
	TEST_ASSERT(!ret, "age: '%s' of %zu bytes at %p: %s", op, bytes, start, strerror(-ret));

	len = pread(fd, text, sizeof(text) - 1, 0);
	TEST_ASSERT(len > 0, "age: cannot read the result: %s", strerror(errno));
	text[len] = '\0';
	len = sscanf(text, "%lu %lu %lu", &aged.calls, &aged.young, &aged.nsec);
	TEST_ASSERT(len == 3, "age: unexpected result '%s'", text);
	return aged;
}

struct la_aged la_age(int fd, const char *op, const void *start, size_t bytes, size_t step)
{
	return la_age_batch(fd, op, start, bytes, step, 0);
}

/* How many pages of the range are young; they stay so. */
uint64_t la_test(int fd, const void *start, size_t bytes)
{
	return la_age(fd, "test", start, bytes, 0).young;
}

/* Clears page by page and returns how many were young. */
uint64_t la_clear_pages(int fd, const void *start, size_t bytes)
{
	return la_age(fd, "clear", start, bytes, LA_PAGE_SIZE).young;
}

/* Clears in one call and returns whether any page was young. */
bool la_clear_range(int fd, const void *start, size_t bytes)
{
	return la_age(fd, "clear", start, bytes, 0).young;
}

/*
 * A generator for the host: the framework's is meant for the guest, and threads
 * need one each.
 */
uint32_t la_random(uint64_t *state)
{
	*state = *state * 6364136223846793005UL + 1442695040888963407UL;
	return *state >> 33;
}

uint64_t la_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return timespec_to_ns(ts);
}

/* Make a block device a place to swap to, whatever is on it. */
void la_swap_on(const char *device)
{
	struct {
		char boot[1024];
		uint32_t version, last_page, nr_bad;
	} *header;
	char *page = calloc(1, LA_PAGE_SIZE);
	int fd = open(device, O_RDWR);
	off_t bytes = lseek(fd, 0, SEEK_END);

	TEST_ASSERT(page && bytes > 0, "Cannot use %s: %s", device, strerror(errno));
	header = (void *)page;
	header->version = 1;
	header->last_page = (bytes >> LA_PAGE_SHIFT) - 1;
	memcpy(page + LA_PAGE_SIZE - 10, "SWAPSPACE2", 10);
	TEST_ASSERT(pwrite(fd, page, LA_PAGE_SIZE, 0) == LA_PAGE_SIZE && !fsync(fd),
		    "Cannot write to %s: %s", device, strerror(errno));
	close(fd);
	free(page);
	TEST_ASSERT(!swapon(device, 0), "swapon %s: %s", device, strerror(errno));
}
