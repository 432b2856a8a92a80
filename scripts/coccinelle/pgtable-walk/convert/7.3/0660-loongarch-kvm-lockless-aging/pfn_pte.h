/* SPDX-License-Identifier: GPL-2.0 */

#define kvm_pfn_pte(pfn, prot)	(((pfn) << PFN_PTE_SHIFT) | pgprot_val(prot))
