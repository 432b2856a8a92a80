/* SPDX-License-Identifier: GPL-2.0 */

/* All roots are of the same kind, and map the address of a gfn as it is. */
static inline bool is_mirror_sp(const struct kvm_mmu_page *sp)
{
	return false;
}

static inline gfn_t kvm_gfn_direct_bits(const struct kvm *kvm)
{
	return 0;
}
