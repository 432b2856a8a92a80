// SPDX-License-Identifier: GPL-2.0

	/* Keeps changes that hardware or the ager makes to the access flag. */
