// SPDX-License-Identifier: GPL-2.0

	/* As much as a process may have: the CPU, or page tables, have no more address bits. */
	kvm->arch.gpa_size = TASK_SIZE64;
	gpa_pt_publish_root(kvm);
