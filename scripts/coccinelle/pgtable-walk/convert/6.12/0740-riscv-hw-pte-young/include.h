/* SPDX-License-Identifier: GPL-2.0 */

#include <asm/cpufeature.h>

#ifdef CONFIG_RISCV_ISA_SVNAPOT
