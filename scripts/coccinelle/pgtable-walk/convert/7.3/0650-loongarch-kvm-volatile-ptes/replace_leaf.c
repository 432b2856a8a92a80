// SPDX-License-Identifier: GPL-2.0

	} else if (kvm_pte_huge(gpa_pt_read_vpte(ptep))) {
		ptep = gpa_pt_split(vcpu, ptep, gfn);
	}
	gpa_pt_map(kvm, ptep, new_pte);
