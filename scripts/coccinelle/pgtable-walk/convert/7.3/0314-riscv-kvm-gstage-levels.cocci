// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Publish the G-stage root again when its levels change
///
/// A VM starts with as many levels as hardware has, and may then ask for
/// fewer. Its root is published with the number of levels in it: do that
/// again. The VM has no memory slots then, and never had a vCPU, so nothing is
/// mapped, and no walk comes to its tables.
// File: arch/riscv/kvm/vm.c
// Hunks: - 1
// Applied: - "gstage_walk\.h"

@@
@@
 #include <asm/kvm_mmu.h>
+
+#include "gstage_walk.h"
