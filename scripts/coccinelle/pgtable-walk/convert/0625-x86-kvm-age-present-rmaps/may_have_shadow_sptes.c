// SPDX-License-Identifier: GPL-2.0

static bool kvm_may_have_shadow_mmu_sptes(struct kvm *kvm)
{
	return kvm_memslots_have_rmaps(kvm) &&
	       (!tdp_mmu_enabled || READ_ONCE(kvm->arch.indirect_shadow_pages));
}
