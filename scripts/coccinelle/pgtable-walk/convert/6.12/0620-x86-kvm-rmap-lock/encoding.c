// SPDX-License-Identifier: GPL-2.0

/*
 * About rmap_head encoding:
 *
 * If the bit zero of kvm_rmap_get() is clear, then it points to the only spte
 * in this rmap chain. Otherwise, (kvm_rmap_get() & ~1) points to a struct
 * pte_list_desc containing more mappings.
 *
 * Bit one is the lock of the list, see rmap_lock.h.
 */
