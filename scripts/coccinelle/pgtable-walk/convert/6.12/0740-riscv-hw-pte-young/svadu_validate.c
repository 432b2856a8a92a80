// SPDX-License-Identifier: GPL-2.0

/*
 * With Svade, hardware faults until firmware is asked to have it set A and D, and nobody
 * here asks. Svade has the lower number: whether it is there is known by now.
 */
static int riscv_ext_svadu_validate(const struct riscv_isa_ext_data *data,
				    const unsigned long *isa_bitmap)
{
	if (__riscv_isa_extension_available(isa_bitmap, RISCV_ISA_EXT_SVADE))
		return -EOPNOTSUPP;

	return 0;
}
