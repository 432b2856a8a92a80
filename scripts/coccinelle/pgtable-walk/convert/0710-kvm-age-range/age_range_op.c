// SPDX-License-Identifier: GPL-2.0

	.age_range		= kvm_mmu_notifier_age_range,
