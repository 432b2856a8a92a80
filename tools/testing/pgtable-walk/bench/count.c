// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU that counts what the guest kernel does at places which bench.py names.
 *
 * Arguments: sites=FILE, out=FILE. A line of sites is "ADDRESS WHAT [NAME]", where WHAT is
 *	begin, end	of what is measured; the second end of one begin is the longer one
 *	print		append what was counted to the file, a JSON object
 *	hit NAME	count it
 *	take NAME	a section begins here: count it, and the instructions of this CPU until
 *	drop NAME	... it ends here. The outermost of nested sections of a name counts
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

/* From QEMU 9.0 on, 1 is too old. */
#ifndef API
#define API 1
#endif
int qemu_plugin_version = API;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MAX_CPUS	8
#define MAX_NAMES	16

enum what { BEGIN, END, PRINT, HIT, TAKE, DROP };

static const char * const words[] = { "begin", "end", "print", "hit", "take", "drop" };

struct site {
	uint64_t address;
	enum what what;
	int name;
};

struct count {
	uint64_t hits;
	uint64_t held;		/* instructions, */
	uint64_t longest;	/* those of one section, */
	double squares;		/* and the sum of their squares */
	uint64_t deepest;	/* sections of one CPU at once */
};

static struct site *sites;
static size_t nr_sites;
static char names[MAX_NAMES][32];
static int nr_names;
static FILE *out;

/* A CPU writes to its own only. */
static struct cpu {
	uint64_t executed;	/* to the end of this block of instructions */
	struct count counts[MAX_NAMES];
	uint64_t since[MAX_NAMES];
	uint64_t depth[MAX_NAMES];
} cpus[MAX_CPUS];

static struct count base[MAX_NAMES], window[MAX_NAMES];
static uint64_t base_executed, window_executed;

static uint64_t total(int name, struct count *sum)
{
	uint64_t executed = 0;
	int i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < MAX_CPUS; i++) {
		const struct count *c = &cpus[i].counts[name];

		executed += cpus[i].executed;
		sum->hits += c->hits;
		sum->held += c->held;
		sum->squares += c->squares;
		if (c->longest > sum->longest)
			sum->longest = c->longest;
		if (c->deepest > sum->deepest)
			sum->deepest = c->deepest;
	}
	return executed;
}

static void begin_window(void)
{
	int i, cpu;

	for (i = 0; i < nr_names; i++) {
		for (cpu = 0; cpu < MAX_CPUS; cpu++) {
			cpus[cpu].counts[i].longest = 0;
			cpus[cpu].counts[i].deepest = cpus[cpu].depth[i];
		}
		base_executed = total(i, &base[i]);
	}
}

static void end_window(void)
{
	int i;

	for (i = 0; i < nr_names; i++) {
		window_executed = total(i, &window[i]) - base_executed;
		window[i].hits -= base[i].hits;
		window[i].held -= base[i].held;
		window[i].squares -= base[i].squares;
	}
}

static void print_window(void)
{
	int i;

	fprintf(out, "{\"executed\": %lu", window_executed);
	for (i = 0; i < nr_names; i++) {
		const struct count *c = &window[i];

		fprintf(out, ", \"%s\": {\"hits\": %lu, \"held\": %lu, \"longest\": %lu", names[i],
			c->hits, c->held, c->longest);
		fprintf(out, ", \"squares\": %.0f, \"deepest\": %lu}", c->squares, c->deepest);
	}
	fprintf(out, "}\n");
	fflush(out);
	memset(window, 0, sizeof(window));
	window_executed = 0;
}

/* Data of a site: its number, and how many instructions of its block are still to come. */
#define DATA(site, left)	((void *)((uintptr_t)(site) << 16 | (left)))

static void at_site(unsigned int nr, void *data)
{
	const struct site *site = &sites[(uintptr_t)data >> 16];
	struct cpu *cpu = &cpus[nr % MAX_CPUS];
	uint64_t now = cpu->executed - ((uintptr_t)data & 0xffff);
	struct count *c = &cpu->counts[site->name];

	switch (site->what) {
	case BEGIN:
		begin_window();
		break;
	case END:
		end_window();
		break;
	case PRINT:
		print_window();
		break;
	case HIT:
		c->hits++;
		break;
	case TAKE:
		if (!cpu->depth[site->name]++)
			cpu->since[site->name] = now;
		if (cpu->depth[site->name] > c->deepest)
			c->deepest = cpu->depth[site->name];
		break;
	case DROP:
		if (!cpu->depth[site->name] || --cpu->depth[site->name])
			break;
		now -= cpu->since[site->name];
		c->hits++;
		c->held += now;
		c->squares += (double)now * now;
		if (now > c->longest)
			c->longest = now;
		break;
	}
}

static void at_block(unsigned int nr, void *data)
{
	cpus[nr % MAX_CPUS].executed += (uintptr_t)data;
}

/* The first site that is not before this address. */
static size_t find_site(uint64_t address)
{
	size_t low = 0, high = nr_sites, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (sites[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t nr = qemu_plugin_tb_n_insns(tb), i, site;
	struct qemu_plugin_insn *insn;
	uint64_t address;

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, at_block, 0, (void *)nr);
	for (i = 0; i < nr; i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		address = qemu_plugin_insn_vaddr(insn);
		for (site = find_site(address); site < nr_sites && sites[site].address == address;
		     site++)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, at_site, 0,
							       DATA(site, nr - i));
	}
}

static int name_index(const char *name)
{
	int i;

	for (i = 0; i < nr_names; i++)
		if (!strcmp(names[i], name))
			return i;
	if (nr_names == MAX_NAMES)
		return -1;
	snprintf(names[nr_names], sizeof(names[0]), "%s", name);
	return nr_names++;
}

static bool read_sites(FILE *in)
{
	char line[128], what[16], name[32];
	struct site site;
	size_t word;

	while (fgets(line, sizeof(line), in)) {
		*name = '\0';
		if (sscanf(line, "%lx %15s %31s", &site.address, what, name) < 2)
			return false;
		for (word = 0; strcmp(words[word], what);)
			if (++word == ARRAY_SIZE(words))
				return false;
		site.what = word;
		site.name = *name ? name_index(name) : 0;
		if (site.name < 0 || (nr_sites && sites[nr_sites - 1].address > site.address))
			return false;
		sites = realloc(sites, (nr_sites + 1) * sizeof(*sites));
		if (!sites)
			return false;
		sites[nr_sites++] = site;
	}
	return nr_sites;
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	FILE *in = NULL;
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "sites=", 6))
			in = fopen(argv[i] + 6, "r");
		else if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
	}
	if (!in || !out || !read_sites(in)) {
		fprintf(stderr, "count: sites= or out= cannot be used\n");
		return -1;
	}
	fclose(in);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
