// SPDX-License-Identifier: GPL-2.0

	__RISCV_ISA_EXT_DATA(svade, RISCV_ISA_EXT_SVADE),
	__RISCV_ISA_EXT_DATA_VALIDATE(svadu, RISCV_ISA_EXT_SVADU, riscv_ext_svadu_validate),
