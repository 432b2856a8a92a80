// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Don't skip mapped pages behind a hole
///
/// Where nothing is mapped, unmapping and write-protection add the size that
/// an entry of that level maps to the current address. If the address is not
/// aligned to that size, the next step lands in the middle of what the next
/// entry maps, and everything in between is left out: pages stay mapped after
/// they were freed, or stay writable although dirty logging relies on a fault.
/// Step to the next entry instead.
// File: arch/riscv/kvm/mmu.c
// Hunks: gstage_unmap_range 1
// Hunks: gstage_wp_range 1
// Applied: - !addr \+= page_size;

@@
identifier f = { gstage_unmap_range, gstage_wp_range };
identifier addr, page_size;
@@
 f(...)
 {
 	<...
-	addr += page_size;
+	addr = ALIGN_DOWN(addr, page_size) + page_size;
 	...>
 }
