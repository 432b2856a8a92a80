/* SPDX-License-Identifier: GPL-2.0 */

/**
 * kvm_pgtable_stage2_destroy_part() - Free some tables of an unused guest stage-2 page-table.
 * @pgt:	Page-table structure initialised by kvm_pgtable_stage2_init*().
 * @addr:	Where to begin, 0 at first; where to go on, afterwards.
 *
 * Looks at as many entries as a table has, and frees those tables that it is done with.
 * The page-table is assumed to be unreachable by any walkers, of hardware or software.
 *
 * Return: true if there is more to free; when there is not, the root is left for
 * kvm_pgtable_stage2_destroy().
 */
bool kvm_pgtable_stage2_destroy_part(struct kvm_pgtable *pgt, u64 *addr);
