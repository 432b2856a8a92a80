// SPDX-License-Identifier: GPL-2.0

	/* What hardware or an ager does to the access flag meanwhile stays. */
