// SPDX-License-Identifier: GPL-2.0

	/* W may be taken without mmu_lock, and then nothing says that the guest wrote. */
	if (is_writable_pte(spte) && spte_rwx_volatile(spte))
		kvm_set_pfn_dirty(pfn);
