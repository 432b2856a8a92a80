/* SPDX-License-Identifier: GPL-2.0 */

#define RISCV_ISA_EXT_SVADE		87
#define RISCV_ISA_EXT_SVADU		88
