/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who owns the stage 2 of guests: the kernel.  That is so with protected KVM as well.
 */
#ifndef _ARM64_KVM_STAGE2_OWNER_H
#define _ARM64_KVM_STAGE2_OWNER_H

#include <linux/pgtable_age.h>
#include <asm/kvm_host.h>

static inline bool stage2_owned_by_el2(void)
{
	return false;
}

static inline void stage2_age_by_el2(struct kvm *kvm, struct pgtable_age *age) { }

#endif /* _ARM64_KVM_STAGE2_OWNER_H */
