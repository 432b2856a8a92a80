/* SPDX-License-Identifier: GPL-2.0 */

typedef unsigned long kvm_pte_t;
