// SPDX-License-Identifier: GPL-2.0

	caps |= secondary_caps();
