// SPDX-License-Identifier: GPL-2.0

static void stage2_destroy(struct kvm_pgtable *pgt)
{
	u64 addr = 0;

	while (kvm_pgtable_stage2_destroy_part(pgt, &addr))
		cond_resched();
	kvm_pgtable_stage2_destroy(pgt);
}
