/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Accessors for stage-2 entries, shared by hyp/pgtable.c, in the kernel and at EL2, and
 * the aging walk.
 *
 * Bits that change while mmu_lock is held:
 *
 * ===  =============  ==================================================
 * bit  of             changed by
 * ===  =============  ==================================================
 * AF   a valid leaf   hardware sets it (VTCR_EL2.HA); the aging walk clears it
 * ===  =============  ==================================================
 *
 * Nothing else: hardware leaves S2AP alone, for VTCR_EL2.HD is never set, and all
 * software but the aging walk holds mmu_lock.  A writer that holds it can rely on all of
 * an entry but AF, and must not undo changes of AF.
 */
#ifndef __ARM64_KVM_STAGE2_PTE_H__
#define __ARM64_KVM_STAGE2_PTE_H__

#include <linux/pgtable_walk_pte.h>
#include <asm/kvm_pgtable.h>
#include <asm/pgtable-hwdef.h>

#define KVM_PTE_S2_VOLATILE	KVM_PTE_LEAF_ATTR_LO_S2_AF

static __always_inline bool stage2_pte_leaf(kvm_pte_t pte, s8 level)
{
	const kvm_pte_t type = level == KVM_PGTABLE_LAST_LEVEL ? PTE_TYPE_PAGE : PTE_VALID;

	return (pte & PTE_TYPE_MASK) == type;
}

/*
 * The bits in which an entry may differ from a snapshot of it and still be the same.
 * Only a leaf has any: in other entries the bit means something else.  It may even be
 * all of KVM_INVALID_PTE_LOCKED, so that an entry which others froze differs from an
 * empty one in this bit alone.
 */
static __always_inline kvm_pte_t stage2_pte_volatile(kvm_pte_t pte, s8 level)
{
	return stage2_pte_leaf(pte, level) ? KVM_PTE_S2_VOLATILE : 0;
}

/* For visitors: the bits in which @new differs from the entry, volatile ones left out. */
static __always_inline kvm_pte_t stage2_pte_changes(const struct kvm_pgtable_visit_ctx *ctx,
						    kvm_pte_t new)
{
	return (ctx->old ^ new) & ~stage2_pte_volatile(ctx->old, ctx->level);
}

/*
 * For visitors: change bits of an entry; what others do to volatile bits stays.
 * *@old is the value that was replaced.  Fails, in shared walks only, if anything
 * else than volatile bits has changed since the snapshot.
 */
static __always_inline bool stage2_try_update_pte(const struct kvm_pgtable_visit_ctx *ctx,
						  kvm_pte_t *old, kvm_pte_t clear, kvm_pte_t set)
{
	bool done;

	*old = ctx->old;
	done = vpte_update(ctx->ptep, old, clear, set,
			   stage2_pte_volatile(ctx->old, ctx->level));
	WARN_ON_ONCE(!done && !kvm_pgtable_walk_shared(ctx));
	return done;
}

#endif /* __ARM64_KVM_STAGE2_PTE_H__ */
