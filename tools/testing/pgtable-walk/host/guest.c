// SPDX-License-Identifier: GPL-2.0
/* A guest of riscv KVM on this machine, see guest.h. */
#include <pthread.h>
#include <sched.h>

#include "guest.h"

/* ---- what the code under test needs of the kernel ---- */

unsigned long counters[PGTABLE_WALK_NR_COUNTERS];
bool stall;

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

__thread u32 random_state;

u32 random_below(u32 limit)
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

enum wanted cpu_wanted, lock_wanted = NEVER;
unsigned long yields, lock_yields;
unsigned long refill_at;

static void refill(void)
{
	map(page_addr(0, 0), 0);
}

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

/* ---- page tables ---- */

struct kvm kvm = { .mmu_lock.mutex = PTHREAD_MUTEX_INITIALIZER };

vpte_t shadow[TABLES][PAGES];

/* Each leaf maps a page of its own, which may be used until it was unmapped and fenced. */
static bool page_gone[8 * ROUNDS];
static unsigned long next_pfn;

u64 page_addr(unsigned int table, unsigned int page)
{
	return table * HUGE_SIZE + page * PAGE_SIZE;
}

void new_root(void)
{
	kvm.arch.pgd = aligned_alloc(ROOT_SIZE, ROOT_SIZE);
	if (!kvm.arch.pgd)
		abort();
	memset(kvm.arch.pgd, 0, ROOT_SIZE);
	kvm.arch.vmid.vmid++;
	gstage_publish_root(&kvm, LEVELS);
}

/* The entry for an address, at the lowest level that there is one. */
pte_t *find_entry(const struct pgtable_walk_tree *tree, u64 addr, unsigned int *level)
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

struct pgtable_walk_tree locked_tree(void)
{
	return pgtable_root_deref(&kvm.arch.gstage_root, lockdep_is_held(&kvm.mmu_lock));
}

/* ---- vCPUs, with a TLB each ---- */

struct host_vcpu vcpus[VCPUS] = {
	{ .vcpu.kvm = &kvm, .lock = PTHREAD_MUTEX_INITIALIZER },
	{ .vcpu.kvm = &kvm, .lock = PTHREAD_MUTEX_INITIALIZER },
};

__thread struct host_vcpu *this_vcpu;
unsigned long vmid_version;
unsigned long fences_all, fences_range, stale_uses;
__thread unsigned long local_fences;

unsigned long host_csr_read(unsigned int csr)
{
	/* The mode and the root's page are there too. */
	return 8UL << 60 | this_vcpu->hgatp_vmid << HGATP_VMID_SHIFT |
	       (unsigned long)this_vcpu->root >> PAGE_SHIFT;
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
		request(&vcpus[i], KVM_REQ_TLB_FLUSH);
}

void gstage_fence(struct kvm *kvm, gpa_t start, gpa_t size, unsigned int order)
{
	int i;

	fences_range++;
	for (i = 0; i < VCPUS; i++) {
		struct host_vcpu *v = &vcpus[i];
		bool room;

		pthread_mutex_lock(&v->lock);
		room = v->nr_fences < MAX_FENCES;
		if (room)
			v->fences[v->nr_fences++] = (struct fence) { start, size, order };
		pthread_mutex_unlock(&v->lock);
		request(v, room ? KVM_REQ_HFENCE : KVM_REQ_TLB_FLUSH);
	}
}

/* What kvm_riscv_check_vcpu_requests() does before the guest is entered. */
void check_requests(void)
{
	struct host_vcpu *v = this_vcpu;
	unsigned long requests = __atomic_exchange_n(&v->vcpu.requests, 0, __ATOMIC_SEQ_CST);
	unsigned int i;
	u64 addr;

	if (requests & 1UL << KVM_REQ_TLB_FLUSH)
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

struct tlb_entry *tlb_find(struct tlb_entry *tlb, int nr, u64 addr)
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
void guest_access(u64 addr)
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
void load_vcpu(struct host_vcpu *v)
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

/* ---- what is mapped ---- */

void set_shadow(u64 start, u64 end, vpte_t clear, vpte_t set)
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

void map(u64 addr, unsigned int level)
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
	gstage_fence(&kvm, start, size, 12 + 9 * level);
	set_shadow(start, start + size, ~0ULL, pte_val(pte) & ~GSTAGE_VOLATILE_BITS);
}

void check_shadow(struct kunit *test)
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
