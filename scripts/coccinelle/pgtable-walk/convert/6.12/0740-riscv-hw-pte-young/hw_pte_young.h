/* SPDX-License-Identifier: GPL-2.0 */

#define arch_has_hw_pte_young arch_has_hw_pte_young
static inline bool arch_has_hw_pte_young(void)
{
	return riscv_has_extension_unlikely(RISCV_ISA_EXT_SVADU);
}
