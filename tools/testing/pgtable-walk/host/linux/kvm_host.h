/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KVM, as far as riscv's walks of the G-stage need it.
 */
#ifndef PGTABLE_WALK_HOST_KVM_HOST_H
#define PGTABLE_WALK_HOST_KVM_HOST_H

#include <pthread.h>

#include <linux/mmu_notifier_age.h>
#include <linux/pgtable_root.h>

#ifndef HOST_EXPLORE
/* A lock that knows its owner. */
typedef struct {
	pthread_mutex_t mutex;
	pthread_t owner;
	bool held;
} spinlock_t;

static inline void spin_lock(spinlock_t *lock)
{
	pthread_mutex_lock(&lock->mutex);
	__atomic_store_n(&lock->owner, pthread_self(), __ATOMIC_RELAXED);
	__atomic_store_n(&lock->held, true, __ATOMIC_RELAXED);
}

static inline void spin_unlock(spinlock_t *lock)
{
	__atomic_store_n(&lock->held, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock->mutex);
}

static inline bool lockdep_is_held(spinlock_t *lock)
{
	return __atomic_load_n(&lock->held, __ATOMIC_RELAXED) &&
	       pthread_equal(__atomic_load_n(&lock->owner, __ATOMIC_RELAXED), pthread_self());
}
#endif

#define lockdep_assert_held_write(lock)		((void)WARN_ON_ONCE(!lockdep_is_held(lock)))
#define lockdep_assert_not_held(lock)		((void)WARN_ON_ONCE(lockdep_is_held(lock)))

#define lockdep_assert_irqs_disabled()	do { } while (0)

/* A test says when walks have to yield, and sees whether they do. */
bool need_resched(void);
bool spin_needbreak(spinlock_t *lock);
void cond_resched(void);
void cond_resched_lock(spinlock_t *lock);

struct kvm_vmid {
	unsigned long vmid_version;
	unsigned long vmid;
};

struct kvm {
	spinlock_t mmu_lock;
	struct {
		struct {
			u64 aged_locked;
		} generic;
	} stat;
	struct {
		void *pgd;
		phys_addr_t pgd_phys;
		struct kvm_vmid vmid;
		struct pgtable_root gstage_root;
	} arch;
};

enum {
	OUTSIDE_GUEST_MODE,
	IN_GUEST_MODE,
	EXITING_GUEST_MODE,
	READING_SHADOW_PAGE_TABLES,
};

#define KVM_REQ_TLB_FLUSH		0
#define KVM_REQ_HFENCE			1
#define KVM_REQ_UPDATE_HGATP		2

struct kvm_vcpu {
	struct kvm *kvm;
	int mode;
	unsigned long requests;
};

static inline void kvm_make_request(int req, struct kvm_vcpu *vcpu)
{
	__atomic_fetch_or(&vcpu->requests, 1UL << req, __ATOMIC_RELEASE);
}

static inline bool kvm_test_request(int req, struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) >> req & 1;
}

struct kvm_memory_slot {
	u64 base_gfn;
	unsigned long npages;
	unsigned long userspace_addr;
};

struct kvm_gfn_range {
	const struct kvm_memory_slot *slot;
	u64 start;
	u64 end;
	union {
		const struct mmu_notifier_age *age;
	} arg;
	bool lockless;
};

static inline unsigned long __gfn_to_hva_memslot(const struct kvm_memory_slot *slot, u64 gfn)
{
	return slot->userspace_addr + ((gfn - slot->base_gfn) << PAGE_SHIFT);
}

static inline gpa_t gfn_to_gpa(u64 gfn)
{
	return gfn << PAGE_SHIFT;
}

void kvm_flush_remote_tlbs(struct kvm *kvm);
void kvm_riscv_local_hfence_gvma_vmid_all(unsigned long vmid);
bool kvm_riscv_gstage_vmid_ver_changed(struct kvm_vmid *vmid);
bool kvm_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range);
bool kvm_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range);

#endif /* PGTABLE_WALK_HOST_KVM_HOST_H */
