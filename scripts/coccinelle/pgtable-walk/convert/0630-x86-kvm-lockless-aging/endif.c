// SPDX-License-Identifier: GPL-2.0

#endif /* CONFIG_KVM_MMU_LOCKLESS_AGING */
