// SPDX-License-Identifier: GPL-2.0
/*
 * Races: riscv KVM's own aging walk against its own walks under mmu_lock, with a
 * vCPU that sets accessed and dirty bits.  ASan sees tables that are freed too early,
 * TSan sees accesses without order or atomicity, and a shadow of the page tables sees
 * entries that come back, or bits that do.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <kunit/test.h>
#include <linux/kvm_age.h>

#include "../../../../arch/riscv/kvm/gstage_walk.h"
#include "../../../../arch/riscv/kvm/guest_read.h"
#include "../../../../virt/kvm/lockless_aging.h"

/* ---- what the code under test needs ---- */

static unsigned long counters[PGTABLE_WALK_NR_COUNTERS];
static bool stall;

void pgtable_walk_count(enum pgtable_walk_counter counter, unsigned int n)
{
	__atomic_fetch_add(&counters[counter], n, __ATOMIC_RELAXED);
}

void pgtable_walk_account_age(const struct pgtable_age *age)
{
	const struct pgtable_walk_stats *stats = &age->stats;

	pgtable_walk_count(PGTABLE_WALKS, 1);
	pgtable_walk_count(PGTABLE_WALK_VISITED, stats->visited);
	pgtable_walk_count(PGTABLE_WALK_YOUNG, stats->young);
	pgtable_walk_count(PGTABLE_WALK_LOST, stats->lost);
}

static __thread u32 random_state;

static u32 random_below(u32 limit)
{
	if (!random_state)
		random_state = 20240524;
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % limit;
}

/* Lets others run in a race window. */
void pgtable_walk_stall(void)
{
	if (__atomic_load_n(&stall, __ATOMIC_RELAXED) && !random_below(16))
		sched_yield();
}

/* Who wants the CPU, or the lock: every now and then somebody, always, or never. */
static enum { NOW_AND_THEN, ALWAYS, NEVER } cpu_wanted, lock_wanted = NEVER;
static unsigned long yields, lock_yields;
/* Somebody else maps a page when the lock is dropped for the n-th time. */
static unsigned long refill_at;
static void refill(void);

bool need_resched(void)
{
	return cpu_wanted == ALWAYS || (cpu_wanted == NOW_AND_THEN && !random_below(8));
}

bool spin_needbreak(spinlock_t *lock)
{
	return lock_wanted == ALWAYS;
}

void cond_resched(void)
{
	__atomic_fetch_add(&yields, 1, __ATOMIC_RELAXED);
}

void cond_resched_lock(spinlock_t *lock)
{
	__atomic_fetch_add(&lock_yields, 1, __ATOMIC_RELAXED);
	spin_unlock(lock);
	spin_lock(lock);
	if (lock_yields == refill_at)
		refill();
}

/* ---- the guest: a few pages in each of a few tables, huge pages there, too ---- */

#define LEVELS		3
#define ROOT_SIZE	(4 * PAGE_SIZE)
#define TABLES		4
#define PAGES		16	/* in each table */
#define HUGE_SIZE	(PAGE_SIZE << 9)
#define PROT		(_PAGE_PRESENT | _PAGE_USER | _PAGE_READ | _PAGE_WRITE)
#define ROUNDS		20000

static struct kvm kvm = { .mmu_lock.mutex = PTHREAD_MUTEX_INITIALIZER };
static bool stop;

/* What entries hold apart from A and D; the mutator's own. */
static vpte_t shadow[TABLES][PAGES];

/* Each leaf maps a page of its own, which may be used until it was unmapped and fenced. */
static bool page_gone[8 * ROUNDS];
static unsigned long next_pfn;

static u64 page_addr(unsigned int table, unsigned int page)
{
	return table * HUGE_SIZE + page * PAGE_SIZE;
}

static void new_root(void)
{
	kvm.arch.pgd = aligned_alloc(ROOT_SIZE, ROOT_SIZE);
	if (!kvm.arch.pgd)
		abort();
	memset(kvm.arch.pgd, 0, ROOT_SIZE);
	kvm.arch.vmid.vmid++;
	gstage_publish_root(&kvm, LEVELS);
}

/* The entry for an address, at the lowest level that there is one. */
static pte_t *find_entry(const struct pgtable_walk_tree *tree, u64 addr, unsigned int *level)
{
	pte_t *ptep;
	vpte_t *table = tree->table;

	for (*level = LEVELS - 1;; --*level) {
		ptep = (pte_t *)&table[(addr >> (12 + 9 * *level)) % 512];
		const vpte_t pte = vpte_read(gstage_vpte(ptep));

		if (gstage_kind(pte, *level) != PGTABLE_WALK_TABLE)
			return ptep;
		table = gstage_child(pte);
	}
}

static struct pgtable_walk_tree locked_tree(void)
{
	return pgtable_root_deref(&kvm.arch.gstage_root, lockdep_is_held(&kvm.mmu_lock));
}

/* ---- vCPUs, with a TLB each ---- */

#define VCPUS		2
#define TLB_LEAVES	32
#define TLB_TABLES	8
#define MAX_FENCES	64

struct tlb_entry {
	bool valid;
	u64 addr;		/* first one */
	unsigned int level;	/* of the table that holds the entry */
	vpte_t pte;
};

struct fence {
	u64 addr;
	u64 size;
	unsigned int order;
};

struct host_vcpu {
	struct kvm_vcpu vcpu;
	/* The hart's own. */
	unsigned long hgatp_vmid;
	vpte_t *root;
	unsigned long tlb_vmid;
	struct tlb_entry leaves[TLB_LEAVES];
	struct tlb_entry tables[TLB_TABLES];
	/* How often interrupts were on: whoever waits for an IPI waits for a change. */
	unsigned long interruptible;
	bool parked;

	pthread_mutex_t lock;	/* protects: */
	struct fence fences[MAX_FENCES];
	unsigned int nr_fences;
};

static struct host_vcpu vcpus[VCPUS] = {
	{ .vcpu.kvm = &kvm, .lock = PTHREAD_MUTEX_INITIALIZER },
	{ .vcpu.kvm = &kvm, .lock = PTHREAD_MUTEX_INITIALIZER },
};

static __thread struct host_vcpu *this_vcpu;
static unsigned long vmid_version;
static unsigned long fences_all, fences_range, stale_uses, guest_reads;
static __thread unsigned long local_fences;
static bool park;

unsigned long host_csr_read(unsigned int csr)
{
	return this_vcpu->hgatp_vmid << HGATP_VMID_SHIFT;
}

bool kvm_riscv_gstage_vmid_ver_changed(struct kvm_vmid *vmid)
{
	return READ_ONCE(vmid->vmid_version) != READ_ONCE(vmid_version);
}

/* HFENCE.GVMA without an address: all of the VMID, pointers to tables included. */
void kvm_riscv_local_hfence_gvma_vmid_all(unsigned long vmid)
{
	local_fences++;
	if (vmid != this_vcpu->tlb_vmid)
		return;
	memset(this_vcpu->leaves, 0, sizeof(this_vcpu->leaves));
	memset(this_vcpu->tables, 0, sizeof(this_vcpu->tables));
}

static u64 entry_size(unsigned int level)
{
	return 1ULL << (12 + 9 * level);
}

/* HFENCE.GVMA with an address: the leaf that maps it, and nothing else. */
static void local_fence_gpa(u64 addr)
{
	struct tlb_entry *e;

	for (e = this_vcpu->leaves; e < this_vcpu->leaves + TLB_LEAVES; e++) {
		if (e->valid && addr >= e->addr && addr - e->addr < entry_size(e->level))
			e->valid = false;
	}
}

/* What kvm_make_all_cpus_request() does: who is outside is not waited for. */
static void request(struct host_vcpu *v, int req)
{
	unsigned long before = __atomic_load_n(&v->interruptible, __ATOMIC_SEQ_CST);

	__atomic_fetch_or(&v->vcpu.requests, 1UL << req, __ATOMIC_SEQ_CST);
	smp_mb();
	if (v == this_vcpu)
		return;
	while (__atomic_load_n(&v->vcpu.mode, __ATOMIC_SEQ_CST) != OUTSIDE_GUEST_MODE &&
	       __atomic_load_n(&v->interruptible, __ATOMIC_SEQ_CST) == before)
		sched_yield();
}

void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	int i;

	fences_all++;
	for (i = 0; i < VCPUS; i++)
		request(&vcpus[i], KVM_REQ_HFENCE_GVMA_VMID_ALL);
}

void kvm_riscv_hfence_gvma_vmid_gpa(struct kvm *kvm, unsigned long hbase, unsigned long hmask,
				    gpa_t gpa, gpa_t gpsz, unsigned long order)
{
	int i;

	WARN_ON_ONCE(hbase != -1UL);
	fences_range++;
	for (i = 0; i < VCPUS; i++) {
		struct host_vcpu *v = &vcpus[i];
		bool room;

		pthread_mutex_lock(&v->lock);
		room = v->nr_fences < MAX_FENCES;
		if (room)
			v->fences[v->nr_fences++] = (struct fence) { gpa, gpsz, order };
		pthread_mutex_unlock(&v->lock);
		request(v, room ? KVM_REQ_HFENCE : KVM_REQ_HFENCE_GVMA_VMID_ALL);
	}
}

/* What kvm_riscv_check_vcpu_requests() does before the guest is entered. */
static void check_requests(void)
{
	struct host_vcpu *v = this_vcpu;
	unsigned long requests = __atomic_exchange_n(&v->vcpu.requests, 0, __ATOMIC_SEQ_CST);
	unsigned int i;
	u64 addr;

	if (requests & 1UL << KVM_REQ_HFENCE_GVMA_VMID_ALL)
		kvm_riscv_local_hfence_gvma_vmid_all(v->hgatp_vmid);
	if (!(requests & 1UL << KVM_REQ_HFENCE))
		return;

	pthread_mutex_lock(&v->lock);
	for (i = 0; i < v->nr_fences; i++) {
		const struct fence *f = &v->fences[i];

		if (f->size >> f->order > 512) {
			kvm_riscv_local_hfence_gvma_vmid_all(v->hgatp_vmid);
			continue;
		}
		for (addr = f->addr; addr < f->addr + f->size; addr += 1ULL << f->order)
			local_fence_gpa(addr);
	}
	v->nr_fences = 0;
	pthread_mutex_unlock(&v->lock);
}

static struct tlb_entry *tlb_find(struct tlb_entry *tlb, int nr, u64 addr)
{
	struct tlb_entry *e, *best = NULL;

	for (e = tlb; e < tlb + nr; e++) {
		if (e->valid && addr >= e->addr && addr - e->addr < entry_size(e->level) &&
		    (!best || e->level < best->level))
			best = e;
	}
	return best;
}

static void tlb_fill(struct tlb_entry *tlb, int nr, u64 addr, unsigned int level, vpte_t pte)
{
	tlb[random_below(nr)] = (struct tlb_entry) {
		true, addr & ~(entry_size(level) - 1), level, pte
	};
}

/*
 * An access of the guest, or one by HLV.  Hardware starts from the lowest table that it
 * remembers, knows no RCU, updates an entry atomically, and only if it is still what it
 * translated.
 */
static void guest_access(u64 addr)
{
	struct host_vcpu *v = this_vcpu;
	struct tlb_entry *e = tlb_find(v->leaves, TLB_LEAVES, addr);
	unsigned int level = LEVELS - 1;
	vpte_t *table = v->root, pte;

	if (!e) {
		e = tlb_find(v->tables, TLB_TABLES, addr);
		if (e) {
			table = gstage_child(e->pte);
			level = e->level - 1;
		}
		for (;; level--) {
			vpte_t *ptep = &table[(addr >> (12 + 9 * level)) % 512];

			pte = vpte_read(ptep);
			if (gstage_kind(pte, level) == PGTABLE_WALK_NONE)
				return;
			if (gstage_kind(pte, level) == PGTABLE_WALK_LEAF) {
				const vpte_t used = pte | _PAGE_ACCESSED |
						    (pte & _PAGE_WRITE ? _PAGE_DIRTY : 0);

				if (!vpte_try_cmpxchg(ptep, &pte, used))
					return;
				break;
			}
			tlb_fill(v->tables, TLB_TABLES, addr, level, pte);
			table = gstage_child(pte);
		}
		tlb_fill(v->leaves, TLB_LEAVES, addr, level, pte);
	} else {
		pte = e->pte;
	}

	if (__atomic_load_n(&page_gone[(pte & _PAGE_PFN_MASK) >> _PAGE_PFN_SHIFT],
			    __ATOMIC_ACQUIRE))
		__atomic_fetch_add(&stale_uses, 1, __ATOMIC_RELAXED);
}

/* On the hart that the caller is. */
static void load_vcpu(struct host_vcpu *v)
{
	this_vcpu = v;
	v->root = kvm.arch.pgd;
	v->hgatp_vmid = gstage_hgatp_vmid(&v->vcpu);
	if (v->tlb_vmid == v->hgatp_vmid)
		return;
	/* Entries of another VMID don't matter, and are not kept. */
	v->tlb_vmid = v->hgatp_vmid;
	memset(v->leaves, 0, sizeof(v->leaves));
	memset(v->tables, 0, sizeof(v->tables));
}

static void interrupts_on(struct host_vcpu *v)
{
	__atomic_fetch_add(&v->interruptible, 1, __ATOMIC_SEQ_CST);
}

static void run_guest(struct host_vcpu *v)
{
	unsigned int n;

	check_requests();
	__atomic_store_n(&v->vcpu.mode, IN_GUEST_MODE, __ATOMIC_SEQ_CST);
	smp_mb();
	for (n = random_below(64); n && !READ_ONCE(v->vcpu.requests); n--) {
		guest_access(page_addr(random_below(TABLES), random_below(PAGES)));
		pgtable_walk_stall();
	}
	__atomic_store_n(&v->vcpu.mode, OUTSIDE_GUEST_MODE, __ATOMIC_RELEASE);
	interrupts_on(v);
}

static void read_guest(struct host_vcpu *v)
{
	kvm_riscv_guest_read_begin(&v->vcpu);
	pgtable_walk_stall();
	guest_access(page_addr(random_below(TABLES), random_below(PAGES)));
	pgtable_walk_stall();
	kvm_riscv_guest_read_end(&v->vcpu);
	interrupts_on(v);
	__atomic_fetch_add(&guest_reads, 1, __ATOMIC_RELAXED);
}

static void *vcpu(void *arg)
{
	struct host_vcpu *v = arg;

	random_state = 1 + (v - vcpus);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(&park, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&v->parked, true, __ATOMIC_RELEASE);
			sched_yield();
			continue;
		}
		if (__atomic_exchange_n(&v->parked, false, __ATOMIC_SEQ_CST))
			continue;
		load_vcpu(v);
		if (random_below(2))
			run_guest(v);
		else
			read_guest(v);
	}
	__atomic_store_n(&v->parked, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A VM ends when no vCPU runs any more. */
static void park_vcpus(void)
{
	int i;

	__atomic_store_n(&park, true, __ATOMIC_SEQ_CST);
	for (i = 0; i < VCPUS; i++) {
		while (!__atomic_load_n(&vcpus[i].parked, __ATOMIC_ACQUIRE))
			sched_yield();
	}
}

static void unpark_vcpus(void)
{
	__atomic_store_n(&park, false, __ATOMIC_RELEASE);
}

/* ---- the aging thread ---- */

static const struct kvm_memory_slot slot = { .npages = TABLES * HUGE_SIZE / PAGE_SIZE };

static void age_batch(u64 page)
{
	unsigned long want[8], young[8] = {};
	struct mmu_notifier_age age = {
		.start = page << PAGE_SHIFT,
		.nr = 1 + random_below(512),
		.shift = random_below(2) ? PAGE_SHIFT : 21,
		.clear = random_below(4),
		.want = random_below(4) ? want : NULL,
		.young = random_below(4) ? young : NULL,
	};
	struct kvm_gfn_range range = {
		.slot = &slot,
		.start = page,
		.end = min(mmu_notifier_age_end(&age) >> PAGE_SHIFT, page + slot.npages),
		.arg.age = &age,
		.lockless = true,
	};
	int i;

	for (i = 0; i < 8; i++)
		want[i] = (u64)random_below(~0U) << 32 | random_below(~0U);
	kvm_age_gfn_batch(&kvm, &range);
	for (i = 0; i < 8; i++)
		WARN_ON_ONCE(age.want && young[i] & ~want[i]);
}

static void *ager(void *arg)
{
	random_state = (uintptr_t)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		const u64 page = page_addr(random_below(TABLES), random_below(PAGES)) / PAGE_SIZE;
		struct kvm_gfn_range range = {
			.start = page,
			.end = page + 1 + random_below(2 * HUGE_SIZE / PAGE_SIZE),
			.lockless = true,
		};

		switch (random_below(8)) {
		case 0:
			kvm_test_age_gfn(&kvm, &range);
			break;
		case 1 ... 3:
			age_batch(page);
			break;
		default:
			kvm_age_gfn(&kvm, &range);
		}
	}
	return NULL;
}

static void *reclaim_rcu(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		rcu_barrier();
		usleep(50);
	}
	return NULL;
}

/* ---- the mutator ---- */

static void set_shadow(u64 start, u64 end, vpte_t clear, vpte_t set)
{
	unsigned int i, j;

	for (i = 0; i < TABLES; i++) {
		for (j = 0; j < PAGES; j++) {
			vpte_t *pte = &shadow[i][j];

			if (page_addr(i, j) < start || page_addr(i, j) >= end || !(*pte | set))
				continue;
			/* Nothing of what was mapped may be used from here on. */
			if (*pte && !~clear)
				__atomic_store_n(&page_gone[(*pte & _PAGE_PFN_MASK) >>
							    _PAGE_PFN_SHIFT],
						 true, __ATOMIC_RELEASE);
			*pte = (*pte & ~clear) | set;
		}
	}
}

static void map(u64 addr, unsigned int level)
{
	const u64 size = 1ULL << (12 + 9 * level), start = addr & ~(size - 1);
	const u64 huge = addr & ~(HUGE_SIZE - 1);
	struct pgtable_walk_tree tree = locked_tree();
	pte_t pte;
	unsigned int found;
	pte_t *ptep = find_entry(&tree, addr, &found);

	/* A table or a huge leaf in the way. */
	if (found < level ||
	    (found > level && gstage_entry_kind(ptep, found) == PGTABLE_WALK_LEAF)) {
		gstage_unmap_entry(&kvm, max(level, found), addr);
		set_shadow(huge, huge + HUGE_SIZE, ~0ULL, 0);
		ptep = find_entry(&tree, addr, &found);
	}
	for (; found > level; ptep = find_entry(&tree, addr, &found))
		gstage_link_table(ptep, pfn_pte(PHYS_PFN(virt_to_phys(host_alloc_table())),
						PAGE_TABLE));

	if (next_pfn == ARRAY_SIZE(page_gone))
		abort();
	pte = pfn_pte(next_pfn++, __pgprot(PROT | _PAGE_ACCESSED));
	gstage_xchg_pte(ptep, pte);
	/* As gstage_set_pte() does. */
	kvm_riscv_hfence_gvma_vmid_gpa(&kvm, -1UL, 0, start, size, 12 + 9 * level);
	set_shadow(start, start + size, ~0ULL, pte_val(pte) & ~GSTAGE_VOLATILE_BITS);
}

static void allow_write(u64 addr)
{
	struct pgtable_walk_tree tree = locked_tree();
	unsigned int level;
	vpte_t *ptep = gstage_vpte(find_entry(&tree, addr, &level)), old = vpte_read(ptep);
	const u64 size = 1ULL << (12 + 9 * level), start = addr & ~(size - 1);

	if (gstage_kind(old, level) != PGTABLE_WALK_LEAF)
		return;
	pgtable_walk_stall();
	WARN_ON_ONCE(!vpte_update(ptep, &old, 0, _PAGE_WRITE, GSTAGE_VOLATILE_BITS));
	set_shadow(start, start + size, 0, _PAGE_WRITE);
}

/* A huge leaf goes, or becomes read-only, as a whole. */
static void widen_to_leaves(u64 *start, u64 *end)
{
	struct pgtable_walk_tree tree = locked_tree();
	unsigned int level;

	find_entry(&tree, *start, &level);
	if (level)
		*start &= ~(HUGE_SIZE - 1);
	find_entry(&tree, *end - 1, &level);
	if (level)
		*end = (*end + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
}

/* Both of the notifier's release and the VM's last reference do this, at once. */
static void *end_vm_once(void *unused)
{
	kvm_riscv_gstage_free_pgd(&kvm);
	return NULL;
}

static void end_vm(void)
{
	pthread_t other;

	if (pthread_create(&other, NULL, end_vm_once, NULL))
		abort();
	end_vm_once(NULL);
	pthread_join(other, NULL);
}

static void new_vm(void)
{
	spin_unlock(&kvm.mmu_lock);
	park_vcpus();
	end_vm();
	spin_lock(&kvm.mmu_lock);
	set_shadow(0, ~0ULL, ~0ULL, 0);
	new_root();
	unpark_vcpus();
}

static void check_shadow(struct kunit *test)
{
	struct pgtable_walk_tree tree = locked_tree();
	unsigned int i, j, level;

	for (i = 0; i < TABLES; i++) {
		for (j = 0; j < PAGES; j++) {
			pte_t *ptep = find_entry(&tree, page_addr(i, j), &level);

			KUNIT_EXPECT_EQ_MSG(test, vpte_read(gstage_vpte(ptep)) &
					    ~GSTAGE_VOLATILE_BITS, shadow[i][j],
					    "page %u of table %u", j, i);
		}
	}
}

static void mutate(struct kunit *test)
{
	u64 start = page_addr(random_below(TABLES), random_below(PAGES)), end;

	spin_lock(&kvm.mmu_lock);
	end = start + PAGE_SIZE * (1 + random_below(random_below(4) ? PAGES : 1024));
	switch (random_below(32)) {
	case 0:
		new_vm();
		break;
	case 1 ... 4:
		widen_to_leaves(&start, &end);
		gstage_unmap(&kvm, start, end, random_below(2));
		set_shadow(start, end, ~0ULL, 0);
		break;
	case 5:
		widen_to_leaves(&start, &end);
		gstage_wrprotect(&kvm, start, end, random_below(2));
		kvm_flush_remote_tlbs(&kvm);
		set_shadow(start, end, _PAGE_WRITE, 0);
		break;
	case 6 ... 9:
		allow_write(start);
		break;
	case 10 ... 12:
		map(start, 1);
		break;
	default:
		map(start, 0);
	}
	check_shadow(test);
	spin_unlock(&kvm.mmu_lock);
	/* Free what vCPUs may remember before another fence makes them forget it. */
	if (!random_below(4))
		rcu_barrier();
	KUNIT_EXPECT_EQ(test, __atomic_load_n(&stale_uses, __ATOMIC_RELAXED), 0UL);
}

static void test_ager_against_mmu(struct kunit *test)
{
	void *(*const run[])(void *arg) = { vcpu, vcpu, ager, ager, reclaim_rcu };
	pthread_t threads[ARRAY_SIZE(run)];
	size_t i;

	memset(counters, 0, sizeof(counters));
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	__atomic_store_n(&stall, true, __ATOMIC_RELAXED);
	new_root();
	for (i = 0; i < ARRAY_SIZE(run); i++)
		KUNIT_ASSERT_EQ(test, pthread_create(&threads[i], NULL, run[i],
						     i < VCPUS ? (void *)&vcpus[i] : (void *)(i + 1)),
				0);

	for (i = 0; i < ROUNDS && !test->failed; i++)
		mutate(test);

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&stall, false, __ATOMIC_RELAXED);

	end_vm();
	set_shadow(0, ~0ULL, ~0ULL, 0);
	rcu_barrier();

	kunit_info(test, "%lu walks, %lu leaves, %lu young, %lu lost, %lu tables freed\n",
		   counters[PGTABLE_WALKS], counters[PGTABLE_WALK_VISITED],
		   counters[PGTABLE_WALK_YOUNG], counters[PGTABLE_WALK_LOST],
		   counters[PGTABLE_WALK_FREED]);
	kunit_info(test, "%lu fences of all, %lu of ranges, %lu reads while outside\n", fences_all,
		   fences_range, guest_reads);
	/* Or else there was nothing to see. */
	KUNIT_EXPECT_NE(test, counters[PGTABLE_WALK_YOUNG], 0UL);
	KUNIT_EXPECT_NE(test, counters[PGTABLE_WALK_LOST], 0UL);
	KUNIT_EXPECT_NE(test, counters[PGTABLE_WALK_FREED], 0UL);
	KUNIT_EXPECT_EQ(test, host_warnings, 0UL);
}

/* ---- one thing after the other: fences, yields, and the end of tables ---- */

static void begin_alone(void)
{
	cpu_wanted = NEVER;
	lock_wanted = NEVER;
	yields = 0;
	lock_yields = 0;
	fences_all = 0;
	fences_range = 0;
	stale_uses = 0;
	memset(counters, 0, sizeof(counters));
	new_root();
	load_vcpu(&vcpus[0]);
	vcpus[0].vcpu.requests = 0;
	vcpus[1].vcpu.requests = 0;
	vcpus[0].nr_fences = 0;
	vcpus[1].nr_fences = 0;
	spin_lock(&kvm.mmu_lock);
}

static void end_alone(void)
{
	spin_unlock(&kvm.mmu_lock);
	kvm_riscv_gstage_free_pgd(&kvm);
	set_shadow(0, ~0ULL, ~0ULL, 0);
	rcu_barrier();
	this_vcpu = NULL;
	cpu_wanted = NOW_AND_THEN;
	lock_wanted = NEVER;
}

static bool tlb_has(u64 addr)
{
	return tlb_find(vcpus[0].leaves, TLB_LEAVES, addr);
}

/* Leaves at @n addresses, all of them in the TLB. */
static void map_and_use(const u64 *addrs, unsigned int level, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		map(addrs[i], level);
	check_requests();
	for (i = 0; i < n; i++) {
		while (!tlb_has(addrs[i]))
			guest_access(addrs[i]);
	}
	/* Filling the TLB for one may have cost another its place. */
	for (i = 0; i < n; i++)
		guest_access(addrs[i]);
	fences_all = 0;
	fences_range = 0;
}

/* Two of a table, its first and its last; what lies outside stays cached. */
static void test_fence_of_a_range(struct kunit *test)
{
	const u64 addrs[] = { PAGE_SIZE, 2 * PAGE_SIZE, 9 * PAGE_SIZE, 12 * PAGE_SIZE };
	unsigned int i, tries;

	for (tries = 0; tries < 20; tries++) {
		begin_alone();
		map_and_use(addrs, 0, ARRAY_SIZE(addrs));
		gstage_unmap(&kvm, addrs[1], addrs[2] + 1, false);
		KUNIT_EXPECT_EQ(test, fences_all, 0UL);
		KUNIT_EXPECT_EQ(test, fences_range, 1UL);
		check_requests();
		for (i = 1; i <= 2; i++)
			KUNIT_EXPECT_FALSE(test, tlb_has(addrs[i]));
		end_alone();
	}
}

/* Huge leaves and pages: the steps are those of the pages. */
static void test_fence_of_mixed_levels(struct kunit *test)
{
	const u64 huge[] = { 0, 2 * HUGE_SIZE };
	const u64 pages[] = { HUGE_SIZE, HUGE_SIZE + 3 * PAGE_SIZE };
	unsigned int i, tries;

	for (tries = 0; tries < 20; tries++) {
		begin_alone();
		map_and_use(huge, 1, 2);
		map_and_use(pages, 0, 2);
		/* Not all of the table goes, so there is no fence of the VMID. */
		gstage_unmap(&kvm, 0, HUGE_SIZE + 5 * PAGE_SIZE, false);
		check_requests();
		KUNIT_EXPECT_FALSE(test, tlb_has(0));
		for (i = 0; i < 2; i++)
			KUNIT_EXPECT_FALSE(test, tlb_has(pages[i]));
		gstage_unmap(&kvm, 2 * HUGE_SIZE, 2 * HUGE_SIZE + 1, false);
		check_requests();
		KUNIT_EXPECT_FALSE(test, tlb_has(2 * HUGE_SIZE));
		KUNIT_EXPECT_EQ(test, fences_all, 0UL);
		KUNIT_EXPECT_EQ(test, fences_range, 2UL);
		end_alone();
	}
}

/* A table takes a fence that reaches pointers to it, even if it maps nothing. */
static void test_fence_of_a_table(struct kunit *test)
{
	const u64 addr = 0;

	begin_alone();
	map_and_use(&addr, 0, 1);
	gstage_unmap(&kvm, 0, PAGE_SIZE, false);
	check_requests();
	while (!tlb_find(vcpus[0].tables, TLB_TABLES, addr))
		guest_access(addr);
	fences_range = 0;
	gstage_unmap(&kvm, 0, HUGE_SIZE, false);
	KUNIT_EXPECT_EQ(test, fences_all, 1UL);
	check_requests();
	/* The table above it is still there, the one with the page is not. */
	KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], 0UL);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], 1UL);
	guest_access(addr);
	end_alone();
}

/* As many tables as the guest has, one page each, or none. */
static void map_tables(bool keep_pages)
{
	unsigned int i;

	for (i = 0; i < TABLES; i++)
		map(page_addr(i, 0), 0);
	if (keep_pages)
		return;
	for (i = 0; i < TABLES; i++)
		gstage_unmap(&kvm, page_addr(i, 0), page_addr(i, 1), false);
	yields = 0;
	lock_yields = 0;
}

static void check_unmap_yields(struct kunit *test, bool pages, bool may_block)
{
	/* Pages, where there are any, and tables. */
	const unsigned long stops = pages ? 2 * TABLES : TABLES;

	map_tables(pages);
	gstage_unmap(&kvm, 0, TABLES * HUGE_SIZE, may_block);
	set_shadow(0, ~0ULL, ~0ULL, 0);
	check_shadow(test);
	if (may_block)
		/* Where a page is a table's last, one stop does for both; at the end, none. */
		KUNIT_EXPECT_TRUE(test, lock_yields + 1 >= stops);
	else
		KUNIT_EXPECT_EQ(test, lock_yields, 0UL);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], (unsigned long)TABLES);
}

static void test_unmap_yields(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		begin_alone();
		/* Somebody waits for the CPU, or for the lock. */
		cpu_wanted = i & 1 ? ALWAYS : NEVER;
		lock_wanted = i & 1 ? NEVER : ALWAYS;
		check_unmap_yields(test, i & 2, i & 4);
		end_alone();
	}
}

static void refill(void)
{
	map(page_addr(0, 0), 0);
}

/*
 * Behind the walk's back, a page is mapped again where it has been: into a table that is
 * still there, and into one that has to be linked anew.  It stays mapped, and no table
 * is lost.
 */
static void test_unmap_keeps_what_was_refilled(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		begin_alone();
		map(page_addr(0, 0), 0);
		map(page_addr(1, 0), 0);
		cpu_wanted = ALWAYS;
		/* Behind the page, or behind its table. */
		refill_at = i + 1;
		set_shadow(0, ~0ULL, ~0ULL, 0);
		gstage_unmap(&kvm, 0, PUD_SIZE, true);
		refill_at = 0;
		KUNIT_EXPECT_NE(test, shadow[0][0], 0ULL);
		check_shadow(test);
		rcu_barrier();
		KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], i + 1UL);

		/* The same without anybody in between. */
		gstage_unmap(&kvm, 0, PUD_SIZE, true);
		set_shadow(0, ~0ULL, ~0ULL, 0);
		check_shadow(test);
		rcu_barrier();
		KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], i + 3UL);
		end_alone();
	}
}

static void test_wrprotect_yields(struct kunit *test)
{
	begin_alone();
	map_tables(true);
	cpu_wanted = ALWAYS;
	gstage_wrprotect(&kvm, 0, TABLES * HUGE_SIZE, true);
	KUNIT_EXPECT_TRUE(test, lock_yields + 1 >= 2 * TABLES);
	lock_yields = 0;
	gstage_wrprotect(&kvm, 0, TABLES * HUGE_SIZE, false);
	KUNIT_EXPECT_EQ(test, lock_yields, 0UL);
	set_shadow(0, ~0ULL, _PAGE_WRITE, 0);
	check_shadow(test);
	/* The caller's. */
	KUNIT_EXPECT_EQ(test, fences_all, 0UL);
	end_alone();
}

/* With mmu_lock free, and without a callback for each table. */
static void test_teardown_yields(struct kunit *test)
{
	int i;

	for (i = 0; i < 2; i++) {
		begin_alone();
		map_tables(i);
		cpu_wanted = ALWAYS;
		spin_unlock(&kvm.mmu_lock);
		kvm_riscv_gstage_free_pgd(&kvm);
		spin_lock(&kvm.mmu_lock);
		/* The tables of pages, and the one above them. */
		KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], TABLES + 1UL);
		KUNIT_EXPECT_TRUE(test, yields >= TABLES + 1UL);
		KUNIT_EXPECT_PTR_EQ(test, kvm.arch.pgd, NULL);
		end_alone();
	}
}

/* ---- reads of guest memory while outside of the guest ---- */

static unsigned long local_fences_since(void)
{
	unsigned long n = local_fences;

	local_fences = 0;
	return n;
}

static void test_guest_read(struct kunit *test)
{
	struct kvm_vcpu *v = &vcpus[0].vcpu;

	begin_alone();
	local_fences_since();

	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, v->mode, READING_SHADOW_PAGE_TABLES);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_EQ(test, v->mode, OUTSIDE_GUEST_MODE);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 0UL);

	/* Fences that were asked for come first, and are still asked for afterwards. */
	kvm_flush_remote_tlbs(&kvm);
	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_HFENCE_GVMA_VMID_ALL, v));
	check_requests();
	kvm_riscv_hfence_gvma_vmid_gpa(&kvm, -1UL, 0, 0, PAGE_SIZE, PAGE_SHIFT);
	local_fences_since();
	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	kvm_riscv_guest_read_end(v);
	check_requests();
	local_fences_since();

	/* VMIDs ran out, and this one may be another VM's. */
	vmid_version++;
	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	/* The VM has a new one, which the hart does not know yet. */
	kvm.arch.vmid.vmid_version = vmid_version;
	kvm.arch.vmid.vmid++;
	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	load_vcpu(&vcpus[0]);
	kvm_riscv_guest_read_begin(v);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 0UL);
	end_alone();
}

/* A VMID that may be another VM's is not loaded, and not left at that. */
static void test_hgatp_vmid(struct kunit *test)
{
	struct kvm_vcpu *v = &vcpus[0].vcpu;

	begin_alone();
	KUNIT_EXPECT_EQ(test, gstage_hgatp_vmid(v), kvm.arch.vmid.vmid);
	KUNIT_EXPECT_FALSE(test, kvm_test_request(KVM_REQ_UPDATE_HGATP, v));

	vmid_version++;
	KUNIT_EXPECT_EQ(test, gstage_hgatp_vmid(v), 0UL);
	KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_UPDATE_HGATP, v));
	kvm.arch.vmid.vmid_version = vmid_version;
	KUNIT_EXPECT_EQ(test, gstage_hgatp_vmid(v), kvm.arch.vmid.vmid);
	end_alone();
}

/* ---- what a memslot has room for ---- */

static void test_leaf_size(struct kunit *test)
{
	struct kvm_memory_slot s = {
		.base_gfn = 2 * PUD_SIZE >> PAGE_SHIFT,
		.npages = 2 * PUD_SIZE >> PAGE_SHIFT,
		.userspace_addr = 16 * PUD_SIZE,
	};
	const gpa_t gpa = 2 * PUD_SIZE;

	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + 12345, PUD_SIZE), PUD_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + 12345, PMD_SIZE), PMD_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + 12345, PAGE_SIZE), PAGE_SIZE);

	/* Addresses that agree modulo one size, and not modulo another. */
	s.userspace_addr += 5 * PMD_SIZE;
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa, PUD_SIZE), PMD_SIZE);
	s.userspace_addr += PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa, PUD_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa, PMD_SIZE), PAGE_SIZE);

	/* A slot that begins and ends within huge pages. */
	s.userspace_addr = 16 * PUD_SIZE + PAGE_SIZE;
	s.base_gfn += 1;
	s.npages = 2 * PMD_SIZE >> PAGE_SHIFT;
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + PAGE_SIZE, PMD_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + PMD_SIZE, PMD_SIZE), PMD_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + PMD_SIZE, PUD_SIZE), PMD_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + 2 * PMD_SIZE, PMD_SIZE), PAGE_SIZE);
}

/* ---- the end of a root, by two at once ---- */

static void *retire_root(void *unused)
{
	return pgtable_root_retire(&kvm.arch.gstage_root).table;
}

static void test_retire_races(struct kunit *test)
{
	pthread_t thread;
	void *mine, *other;
	int i;

	__atomic_store_n(&stall, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2000 && !test->failed; i++) {
		new_root();
		KUNIT_ASSERT_EQ(test, pthread_create(&thread, NULL, retire_root, NULL), 0);
		mine = retire_root(NULL);
		pthread_join(thread, &other);
		KUNIT_EXPECT_TRUE(test, !mine != !other);
		KUNIT_EXPECT_PTR_EQ(test, mine ?: other, kvm.arch.pgd);
		free(kvm.arch.pgd);
	}
	__atomic_store_n(&stall, false, __ATOMIC_RELAXED);
}

/* ---- vpte_update() against somebody who changes a volatile bit ---- */

static vpte_t flipped;

/* The only one to change A: for a while, it is nothing but what was written last. */
static bool accessed_stays(vpte_t accessed)
{
	unsigned int n;

	for (n = random_below(64); n; n--) {
		if ((vpte_read(&flipped) & _PAGE_ACCESSED) != accessed)
			return false;
		pgtable_walk_stall();
	}
	return true;
}

static void *flip_accessed(void *arg)
{
	unsigned long wrong = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__atomic_fetch_or(&flipped, _PAGE_ACCESSED, __ATOMIC_SEQ_CST);
		wrong += !accessed_stays(_PAGE_ACCESSED);
		__atomic_fetch_and(&flipped, ~_PAGE_ACCESSED, __ATOMIC_SEQ_CST);
		wrong += !accessed_stays(0);
	}
	return (void *)wrong;
}

static void test_vpte_update_against_flips(struct kunit *test)
{
	const vpte_t with = PROT, without = PROT & ~_PAGE_WRITE;
	pthread_t thread;
	void *wrong;
	int i;

	flipped = with;
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	__atomic_store_n(&stall, true, __ATOMIC_RELAXED);
	KUNIT_ASSERT_EQ(test, pthread_create(&thread, NULL, flip_accessed, NULL), 0);

	for (i = 0; i < 200000 && !test->failed; i++) {
		vpte_t old = vpte_read(&flipped);

		/* Also on one CPU: a flip before the update, and one in it. */
		pgtable_walk_stall();
		KUNIT_EXPECT_TRUE(test, vpte_update(&flipped, &old, _PAGE_WRITE, 0,
						    _PAGE_ACCESSED));
		KUNIT_EXPECT_EQ(test, old & ~_PAGE_ACCESSED, with);
		KUNIT_EXPECT_EQ(test, vpte_read(&flipped) & ~_PAGE_ACCESSED, without);
		KUNIT_EXPECT_TRUE(test, vpte_update(&flipped, &old, 0, _PAGE_WRITE,
						    _PAGE_ACCESSED | _PAGE_WRITE));
		KUNIT_EXPECT_EQ(test, old & ~_PAGE_ACCESSED, without);
		KUNIT_EXPECT_EQ(test, vpte_read(&flipped) & ~_PAGE_ACCESSED, with);
	}

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, &wrong);
	__atomic_store_n(&stall, false, __ATOMIC_RELAXED);
	KUNIT_EXPECT_PTR_EQ(test, wrong, NULL);
}

/* ---- assertions ---- */

static unsigned long warnings(void)
{
	unsigned long n = host_warnings;

	host_warnings = 0;
	return n;
}

static void test_rcu_assertions(struct kunit *test)
{
	static const struct pgtable_walk_ops ops = {};
	struct pgtable_walk walk = { .end = 1 };
	struct pgtable_walk_tree tree;

	new_root();
	tree = pgtable_root_deref(&kvm.arch.gstage_root, true);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);
	pgtable_root_deref(&kvm.arch.gstage_root, false);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	pgtable_walk_range(&gstage_format, PGTABLE_WALK_SHARED, &ops, &tree, &walk);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	pgtable_walk_range(&gstage_format, PGTABLE_WALK_EXCLUSIVE, &ops, &tree, &walk);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);

	rcu_read_lock();
	pgtable_root_deref(&kvm.arch.gstage_root, false);
	pgtable_walk_range(&gstage_format, PGTABLE_WALK_SHARED, &ops, &tree, &walk);
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);

	free(pgtable_root_retire(&kvm.arch.gstage_root).table);
}

/* Lockless aging must not hold mmu_lock, and any other must. */
static void test_lock_assertions(struct kunit *test)
{
	struct kvm_gfn_range range = { .end = 1 };

	kvm_age_gfn(&kvm, &range);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	range.lockless = true;
	kvm_age_gfn(&kvm, &range);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);

	spin_lock(&kvm.mmu_lock);
	kvm_age_gfn(&kvm, &range);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	range.lockless = false;
	kvm_age_gfn(&kvm, &range);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);
	spin_unlock(&kvm.mmu_lock);
}

/* A root that can't be described is not published. */
static void test_publish_assertions(struct kunit *test)
{
	struct pgtable_root root = {};
	struct pgtable_walk_tree tree = { (vpte_t *)0x1000, 3, 64 };

	pgtable_root_publish(&root, &tree);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	KUNIT_EXPECT_EQ(test, root.word, 0UL);
	tree.addr_bits = 41;
	pgtable_root_publish(&root, &tree);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);
	KUNIT_EXPECT_NE(test, root.word, 0UL);
}

static struct kunit_case stress_cases[] = {
	KUNIT_CASE(test_rcu_assertions),
	KUNIT_CASE(test_lock_assertions),
	KUNIT_CASE(test_publish_assertions),
	KUNIT_CASE(test_leaf_size),
	KUNIT_CASE(test_guest_read),
	KUNIT_CASE(test_hgatp_vmid),
	KUNIT_CASE(test_fence_of_a_range),
	KUNIT_CASE(test_fence_of_mixed_levels),
	KUNIT_CASE(test_fence_of_a_table),
	KUNIT_CASE(test_unmap_yields),
	KUNIT_CASE(test_unmap_keeps_what_was_refilled),
	KUNIT_CASE(test_wrprotect_yields),
	KUNIT_CASE(test_teardown_yields),
	KUNIT_CASE(test_retire_races),
	KUNIT_CASE(test_vpte_update_against_flips),
	KUNIT_CASE(test_ager_against_mmu),
	{}
};

static struct kunit_suite stress = {
	.name = "pgtable_walk_stress",
	.test_cases = stress_cases,
};

kunit_test_suites(&stress);
