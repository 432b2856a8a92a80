// SPDX-License-Identifier: GPL-2.0

	/* Keeps changes that hardware or the aging walk makes to the access flag. */
