/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _RISCV_KVM_GUEST_READ_H
#define _RISCV_KVM_GUEST_READ_H

#include <linux/kvm_host.h>

void kvm_riscv_guest_read_begin(struct kvm_vcpu *vcpu);
void kvm_riscv_guest_read_end(struct kvm_vcpu *vcpu);

#endif /* _RISCV_KVM_GUEST_READ_H */
