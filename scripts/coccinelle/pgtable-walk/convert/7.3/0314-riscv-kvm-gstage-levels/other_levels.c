// SPDX-License-Identifier: GPL-2.0

		if (!r)
			gstage_publish_root(kvm, new_levels);
