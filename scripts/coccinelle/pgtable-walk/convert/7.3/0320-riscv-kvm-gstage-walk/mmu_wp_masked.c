// SPDX-License-Identifier: GPL-2.0

static void mmu_wp_masked(struct kvm *kvm, gfn_t base_gfn, unsigned long mask)
{
	unsigned int first, end;

	for_each_set_bitrange(first, end, &mask, BITS_PER_LONG)
		gstage_wrprotect(kvm, gfn_to_gpa(base_gfn + first), gfn_to_gpa(base_gfn + end),
				 false);
}
