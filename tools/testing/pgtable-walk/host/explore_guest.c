// SPDX-License-Identifier: GPL-2.0
/* Page tables, their users and their writers, see explore_guest.h. */
#include "explore_guest.h"

#define SEEN	1024	/* entries that one request reads */

static const struct explore_mmu *mmu;
static struct pgtable_walk_tree tree;

static enum explore_role roles[EXPLORE_THREADS];

static struct page_state {
	bool gone, readonly;
	vpte_t due;	/* set by hardware, and not reported */
} pages[EXPLORE_PAGES];

static struct table_name {
	unsigned int level;
	u64 addr;
} names[EXPLORE_TABLES];

static struct word_name {
	const void *word;
	const char *name;
} words[8];

struct explore_tally explore_tally;

static struct seen {
	const vpte_t *ptep;
	vpte_t pte;
} seen[EXPLORE_THREADS][SEEN];

static unsigned int nr_seen[EXPLORE_THREADS];

static u64 level_size(unsigned int level)
{
	return 1ULL << pgtable_walk_level_shift(mmu->fmt, level);
}

static bool is_leaf(vpte_t pte, unsigned int level)
{
	return mmu->fmt->kind(pte, level) == PGTABLE_WALK_LEAF;
}

void explore_name_table(const vpte_t *table, unsigned int level, u64 addr)
{
	names[explore_table(table)] = (struct table_name) { level, addr };
}

void explore_name_word(const void *word, const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(words) - 1 && words[i].word && words[i].word != word; i++)
		;
	words[i] = (struct word_name) { word, name };
}

/* ---- words ---- */

static u64 entry_addr(const void *word, int table)
{
	const u64 index = ((uintptr_t)word & (table == EXPLORE_TABLES - 1 ? 0x3fff : 0xfff)) / 8;

	return names[table].addr + index * level_size(names[table].level);
}

static const char *say_entry(const void *word)
{
	static char text[80];
	const int table = explore_table(word);
	int i;

	if (table < 0) {
		for (i = 0; i < ARRAY_SIZE(words); i++) {
			if (words[i].word == word)
				return words[i].name;
		}
		return "a word";
	}
	snprintf(text, sizeof(text), "the entry for 0x%llx, level %u, table %d",
		 entry_addr(word, table), names[table].level, table);
	return text;
}

static const char *say_value(const void *word, u64 value)
{
	static char texts[2][80];
	static int next;
	char *text = texts[next++ % 2];
	const int table = explore_table(word);
	const unsigned int level = table < 0 ? 0 : names[table].level;

	snprintf(text, sizeof(*texts), "0x%llx", value);
	if (table < 0)
		return text;
	switch (mmu->fmt->kind(value, level)) {
	case PGTABLE_WALK_NONE:
		return value ? text : "nothing";
	case PGTABLE_WALK_BUSY:
		return "frozen";
	case PGTABLE_WALK_TABLE:
		snprintf(text, sizeof(*texts), "table %d", explore_table(mmu->fmt->child(value)));
		return text;
	case PGTABLE_WALK_LEAF:
		snprintf(text, sizeof(*texts), "page %u%s%s%s", mmu->page(value),
			 value & mmu->accessed ? " A" : "", value & mmu->dirty ? " D" : "",
			 value & mmu->write ? " W" : "");
	}
	return text;
}

static void say_access(const void *word, enum explore_access access, u64 old, u64 new)
{
	switch (access) {
	case EXPLORE_READ:
		explore_say("reads %s: %s", say_entry(word), say_value(word, old));
		break;
	case EXPLORE_STORE:
		explore_say("stores to %s: %s, over %s", say_entry(word), say_value(word, new),
			    say_value(word, old));
		break;
	case EXPLORE_XCHG:
		explore_say("exchanges %s: %s for %s", say_entry(word), say_value(word, old),
			    say_value(word, new));
		break;
	case EXPLORE_CMPXCHG:
		if (old == new)
			explore_say("compares %s, and finds another value: %s", say_entry(word),
				    say_value(word, old));
		else
			explore_say("replaces %s: %s by %s", say_entry(word), say_value(word, old),
				    say_value(word, new));
	}
}

/* ---- what may be done to entries ---- */

static void age_has_read(const vpte_t *ptep, vpte_t pte)
{
	struct seen *s = seen[explore_self];
	unsigned int *nr = &nr_seen[explore_self], i;

	/* What is read again is decided anew. */
	for (i = *nr; i-- > 0;) {
		if (s[i].ptep == ptep) {
			s[i].pte = pte;
			return;
		}
	}
	if (*nr == SEEN)
		abort();
	s[(*nr)++] = (struct seen) { ptep, pte };
}

static void entry_changed(const vpte_t *ptep, vpte_t old, vpte_t new, unsigned int level)
{
	const vpte_t bits = mmu->accessed | mmu->dirty;
	struct page_state *page = is_leaf(old, level) ? &pages[mmu->page(old)] : NULL;

	switch (roles[explore_self]) {
	case EXPLORE_AGER:
		if (!page || new != (old & ~mmu->accessed))
			explore_fail("aging changes %s: %s to %s", say_entry(ptep),
				     say_value(ptep, old), say_value(ptep, new));
		page->due &= ~mmu->accessed;
		explore_tally.aged++;
		return;
	case EXPLORE_VCPU:
		if (!page || new != (old | (new & bits)))
			explore_fail("hardware changes %s: %s to %s", say_entry(ptep),
				     say_value(ptep, old), say_value(ptep, new));
		page->due |= new & ~old;
		return;
	case EXPLORE_OWNER:
		if (page && is_leaf(new, level) && mmu->page(new) == mmu->page(old) &&
		    (new ^ old) & bits)
			explore_fail("A or D is lost, or undone, in %s: %s to %s", say_entry(ptep),
				     say_value(ptep, old), say_value(ptep, new));
	}
}

void explore_access(const void *word, enum explore_access access)
{
	const int table = explore_table(word);

	/* Numbers of pages look like addresses below this one. */
	if ((uintptr_t)word < EXPLORE_PAGES << PAGE_SHIFT)
		explore_fail("what is no table is used as one");
	explore_step(word, access != EXPLORE_READ);
	if (table >= 0 && mmu)
		explore_kernel_check_table(table);
}

void explore_access_done(const void *word, enum explore_access access, u64 old, u64 new)
{
	const int table = explore_table(word);

	if (explore_self < 0 || !mmu)
		return;
	/* Large tables are mostly empty. */
	if (old || new || mmu->fmt->index_bits < 4)
		say_access(word, access, old, new);
	if (table < 0)
		return;
	if (access == EXPLORE_CMPXCHG && old == new)
		explore_tally.lost++;
	if (old != new)
		entry_changed((vpte_t *)word, old, new, names[table].level);
	else if (access == EXPLORE_READ && roles[explore_self] == EXPLORE_AGER)
		age_has_read((vpte_t *)word, old);
}

void explore_role(enum explore_role role)
{
	roles[explore_self] = role;
}

/* ---- vCPUs ---- */

static struct explore_tlb *tlb_find(struct explore_vcpu *vcpu, u64 addr, bool leaf)
{
	struct explore_tlb *e, *best = NULL;

	for (e = vcpu->tlb; e < vcpu->tlb + EXPLORE_TLB; e++) {
		if (e->valid && is_leaf(e->pte, e->level) == leaf && addr >= e->addr &&
		    addr - e->addr < level_size(e->level) && (!best || e->level < best->level))
			best = e;
	}
	return best;
}

static void tlb_fill(struct explore_vcpu *vcpu, u64 addr, unsigned int level, vpte_t pte)
{
	const u64 start = addr & ~(level_size(level) - 1);
	struct explore_tlb *e, *slot = NULL;

	for (e = vcpu->tlb; e < vcpu->tlb + EXPLORE_TLB; e++) {
		if (e->valid && e->addr == start && e->level == level)
			slot = e;
		else if (!e->valid && !slot)
			slot = e;
	}
	if (!slot)
		abort();
	*slot = (struct explore_tlb) { true, start, level, pte };
}

static vpte_t used(vpte_t pte, bool write)
{
	return pte | mmu->accessed | (write ? mmu->dirty : 0);
}

bool explore_vcpu_access(struct explore_vcpu *vcpu, u64 addr, bool write)
{
	unsigned int level = tree.levels - 1, page;
	struct explore_tlb *e;
	vpte_t *table = tree.table, pte;

	explore_step(&vcpu->fenced, true);
	vcpu->busy = true;
	e = tlb_find(vcpu, addr, true);
	if (e && (!write || (e->pte & mmu->write && used(e->pte, true) == e->pte))) {
		pte = e->pte;
		level = e->level;
	} else {
		e = tlb_find(vcpu, addr, false);
		if (e) {
			table = mmu->fmt->child(e->pte);
			level = e->level - 1;
			explore_say("has a pointer to table %d cached", explore_table(table));
		}
		for (;;) {
			u64 index = addr >> pgtable_walk_level_shift(mmu->fmt, level);
			vpte_t *ptep;

			if (level < tree.levels - 1)
				index &= (1ULL << mmu->fmt->index_bits) - 1;
			ptep = &table[index];
			pte = vpte_read(ptep);
			if (mmu->fmt->kind(pte, level) == PGTABLE_WALK_TABLE) {
				tlb_fill(vcpu, addr, level, pte);
				table = mmu->fmt->child(pte);
				level--;
				continue;
			}
			if (!is_leaf(pte, level) || (write && !(pte & mmu->write))) {
				vcpu->busy = false;
				explore_tally.faults++;
				return false;
			}
			if (used(pte, write) == pte ||
			    vpte_try_cmpxchg(ptep, &pte, used(pte, write)))
				break;
			/* Somebody changed it, and it is looked at again. */
		}
		pte = used(pte, write);
		tlb_fill(vcpu, addr, level, pte);
	}

	page = mmu->page(pte) + ((addr & (level_size(level) - 1)) >> mmu->fmt->page_shift);
	explore_step(&pages[page], false);
	explore_tally.uses++;
	explore_say("%s page %u", write ? "writes to" : "reads from", page);
	vcpu->busy = false;
	if (pages[page].gone)
		explore_fail("page %u is used after it was unmapped and fenced", page);
	if (write && pages[page].readonly)
		explore_fail("page %u is written to after it was fenced as read-only", page);
	return true;
}

static bool is_idle(void *vcpu)
{
	return !((struct explore_vcpu *)vcpu)->busy;
}

void explore_fence(struct explore_vcpu *vcpu, u64 start, u64 end)
{
	struct explore_tlb *e;

	explore_step_when(&vcpu->fenced, true, NULL, is_idle, vcpu);
	explore_say("fences leaves from 0x%llx to 0x%llx", start, end);
	for (e = vcpu->tlb; e < vcpu->tlb + EXPLORE_TLB; e++) {
		if (e->valid && is_leaf(e->pte, e->level) && e->addr < end &&
		    e->addr + level_size(e->level) > start)
			e->valid = false;
	}
}

void explore_fence_all(struct explore_vcpu *vcpu)
{
	explore_step_when(&vcpu->fenced, true, NULL, is_idle, vcpu);
	explore_say("fences everything");
	memset(vcpu->tlb, 0, sizeof(vcpu->tlb));
}

/* ---- pages ---- */

void explore_report(vpte_t leaf)
{
	pages[mmu->page(leaf)].due &= ~leaf;
}

void explore_pages_dropped(unsigned int page, unsigned int nr)
{
	for (; nr--; page++)
		pages[page].due = 0;
}

void explore_pages_gone(unsigned int page, unsigned int nr)
{
	for (; nr--; page++) {
		explore_step(&pages[page], true);
		explore_say("has unmapped page %u", page);
		pages[page].gone = true;
	}
}

void explore_pages_back(unsigned int page, unsigned int nr)
{
	for (; nr--; page++) {
		explore_step(&pages[page], true);
		explore_say("is about to map page %u", page);
		pages[page] = (struct page_state) {};
	}
}

static void set_readonly(unsigned int page, unsigned int nr, bool readonly)
{
	for (; nr--; page++) {
		explore_step(&pages[page], true);
		explore_say("has made page %u %s", page, readonly ? "read-only" : "writable");
		pages[page].readonly = readonly;
	}
}

void explore_pages_readonly(unsigned int page, unsigned int nr)
{
	set_readonly(page, nr, true);
}

void explore_pages_writable(unsigned int page, unsigned int nr)
{
	set_readonly(page, nr, false);
}

/* ---- aging ---- */

void explore_age_begin(void)
{
	roles[explore_self] = EXPLORE_AGER;
	nr_seen[explore_self] = 0;
}

void explore_age_end(const struct pgtable_age *age, bool young)
{
	const unsigned int page_shift = mmu->fmt->page_shift;
	unsigned long bits[8] = {};
	bool any = false;
	unsigned int i;
	u64 addr;

	for (i = 0; i < nr_seen[explore_self]; i++) {
		const struct seen *s = &seen[explore_self][i];
		const int table = explore_table(s->ptep);
		const unsigned int level = names[table].level;
		const u64 start = entry_addr(s->ptep, table), end = start + level_size(level);

		if (!is_leaf(s->pte, level) || !(s->pte & mmu->accessed))
			continue;
		for (addr = max(start, age->start); addr < min(end, age->end);
		     addr += 1ULL << page_shift) {
			const u64 bit = (addr - age->origin) >> age->shift;

			if (age->want && !test_bit(bit, age->want))
				continue;
			any = true;
			if (age->shift)
				__set_bit(bit, bits);
		}
	}
	if (any != young)
		explore_fail("aging says %s of what was %s when it looked", young ? "young" : "old",
			     any ? "young" : "old");
	if (age->young && memcmp(bits, age->young, sizeof(bits)))
		explore_fail("aging says 0x%lx are young of what was 0x%lx when it looked",
			     age->young[0], bits[0]);
}

/* ---- the beginning and the end ---- */

void explore_guest_begin(const struct explore_mmu *new_mmu,
			 const struct pgtable_walk_tree *new_tree)
{
	mmu = new_mmu;
	tree = *new_tree;
	memset(pages, 0, sizeof(pages));
	memset(roles, 0, sizeof(roles));
}

static int tables_below(const vpte_t *table, unsigned int level, unsigned int entries)
{
	unsigned int i, n = 0;

	for (i = 0; i < entries; i++) {
		const vpte_t pte = table[i];

		if (!pte)
			continue;
		if (mmu->fmt->kind(pte, level) == PGTABLE_WALK_TABLE) {
			if (explore_table(mmu->fmt->child(pte)) < 0)
				explore_fail("an entry points to no table");
			explore_kernel_check_table(explore_table(mmu->fmt->child(pte)));
			n += 1 + tables_below(mmu->fmt->child(pte), level - 1,
					      1U << mmu->fmt->index_bits);
		} else if (mmu->fmt->kind(pte, level) == PGTABLE_WALK_BUSY) {
			explore_fail("an entry stays frozen");
		} else if (is_leaf(pte, level)) {
			explore_report(pte);
		}
	}
	return n;
}

void explore_guest_end(void)
{
	const unsigned int top = tree.levels - 1;
	const unsigned int shift = pgtable_walk_level_shift(mmu->fmt, top);
	unsigned int i;
	int reached = 0;

	if (!explore_table_ended(explore_table(tree.table)))
		reached = tables_below(tree.table, top, 1U << (tree.addr_bits - shift));
	explore_tally.freed += explore_tables_freed();
	if (reached != explore_tables_left())
		explore_fail("%d tables are reached, but %d are left", reached,
			     explore_tables_left());
	for (i = 0; i < EXPLORE_PAGES; i++) {
		if (pages[i].due)
			explore_fail("%s of page %u is lost",
				     pages[i].due & mmu->dirty ? "D" : "A", i);
	}
}

static u64 digest_table(u64 digest, const vpte_t *table, unsigned int level)
{
	unsigned int i;

	for (i = 0; i < 1U << mmu->fmt->index_bits; i++) {
		digest = (digest ^ table[i]) * 1099511628211ULL;
		if (mmu->fmt->kind(table[i], level) == PGTABLE_WALK_TABLE)
			digest = digest_table(digest, mmu->fmt->child(table[i]), level - 1);
	}
	return digest;
}

/* Of entries, in trees whose root is as large as other tables. */
u64 explore_guest_digest(void)
{
	return digest_table(14695981039346656037ULL, tree.table, tree.levels - 1);
}

void explore_expect_tally(struct kunit *test)
{
	const struct explore_tally *t = &explore_tally;

	kunit_info(test, "%lu times aged, %lu races lost, %lu uses, %lu faults, %lu tables freed\n",
		   t->aged, t->lost, t->uses, t->faults, t->freed);
	KUNIT_EXPECT_TRUE(test, t->aged && t->lost && t->uses && t->faults && t->freed);
}
