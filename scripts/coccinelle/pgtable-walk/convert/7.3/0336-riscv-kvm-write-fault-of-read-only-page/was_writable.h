/* SPDX-License-Identifier: GPL-2.0 */

/* Of a leaf that was mapped writable: if it no longer is, then to log dirty pages. */
#define KVM_GSTAGE_PTE_WAS_WRITABLE	_PAGE_SPECIAL
