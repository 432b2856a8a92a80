// SPDX-License-Identifier: GPL-2.0

/* Returns what to free once the head is unlocked, if anything. */
static struct pte_list_desc *pte_list_desc_remove_entry(struct kvm *kvm,
							unsigned long *rmap_val,
							struct pte_list_desc *desc, int i)
