// SPDX-License-Identifier: GPL-2.0

					empty = pte_list_desc_remove_entry(kvm, &val, desc, i);
					goto unlock;
