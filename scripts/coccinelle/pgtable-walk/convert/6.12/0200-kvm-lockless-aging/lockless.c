// SPDX-License-Identifier: GPL-2.0

		.lockless	= kvm_age_lockless(kvm),
