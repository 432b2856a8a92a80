// SPDX-License-Identifier: GPL-2.0

	gpa_pt_publish_root(kvm);
