/* SPDX-License-Identifier: GPL-2.0 */

	STATS_DESC_COUNTER(VM_GENERIC, remote_tlb_flush_requests),	       \
	STATS_DESC_COUNTER(VM_GENERIC, aged_locked)
