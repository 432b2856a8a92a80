// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Fence before guest memory is read by HLV
///
/// After an exit KVM reads the guest's instructions with HLVX and HLV.
/// Hardware then walks the G-stage, or uses what it has cached of it, outside
/// of guest mode. A vCPU in that state only receives a request to fence, and
/// the sender does not wait for it. So far no table was ever freed, and a
/// stale leaf was the worst case. Once tables are freed, a stale pointer to a
/// table may lead to memory with another use.
///
/// In the section that has interrupts off, make senders wait, as x86 does for
/// walks of its shadow pages, and handle a pending fence request first.
///
/// A vCPU may have consumed a request on another CPU than the one where it
/// cached something. Fence when it is loaded on another CPU, so that the fence
/// comes before a read, too, and not only before the guest is entered.
// Options: --macro-file-builtins spatch-hlv.h
// File: arch/riscv/kvm/vcpu.c
// Hunks: kvm_arch_vcpu_load 1
// Applied: kvm_arch_vcpu_load \bkvm_riscv_local_tlb_sanitize\b
// File: arch/riscv/kvm/vcpu_exit.c
// Hunks: - 1
// Hunks: kvm_riscv_vcpu_unpriv_read 2
// Applied: - "guest_read\.h"
// Applied: kvm_riscv_vcpu_unpriv_read \bkvm_riscv_guest_read_begin\b
// Applied: kvm_riscv_vcpu_unpriv_read \bkvm_riscv_guest_read_end\b

@reads@
@@
 kvm_riscv_vcpu_unpriv_read(...) { ... }

@trace depends on reads@
@@
+#include "guest_read.h"
 #include "trace.h"

@depends on !trace@
@@
 #include <asm/insn-def.h>
+
+#include "guest_read.h"

@@
identifier vcpu, cpu;
@@
 kvm_arch_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
 {
 	...
 	vcpu->cpu = cpu;
+
+	/* Other vCPUs may have left translations here, and fenced elsewhere. */
+	kvm_riscv_local_tlb_sanitize(vcpu);
+	vcpu->arch.last_exit_cpu = cpu;
 	...
 }

@@
identifier vcpu, flags;
@@
 kvm_riscv_vcpu_unpriv_read(struct kvm_vcpu *vcpu, ...)
 {
 	<+...
(
 	local_irq_save(flags);
+	kvm_riscv_guest_read_begin(vcpu);
|
+	kvm_riscv_guest_read_end(vcpu);
 	local_irq_restore(flags);
)
 	...+>
 }
