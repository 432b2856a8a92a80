# SPDX-License-Identifier: GPL-2.0
# Unit tests only: QEMU does not emulate LoongArch's virtualization, and Debian 12 has no
# gcc and no libc for it. Its clang builds kernels.
loongarch_KBUILD   := LLVM=-19 CC='$(LAB)/cc.sh clang-19'
loongarch_PACKAGES := clang-19:clang-19 ld.lld-19:lld-19 llvm-ar-19:llvm-19 \
	qemu-system-loongarch64:qemu-system-misc
loongarch_IMAGE    := vmlinux
loongarch_CMDLINE  := console=ttyS0 earlycon
loongarch_KUNIT    := pgtable_walk_gpa_pt_own pgtable_walk_gpa_pt_vm
# It has to start a kernel without firmware: 10.0 does, and 7.2 does not.
loongarch_QEMU     ?= qemu-system-loongarch64 -M virt -cpu la464

# On demand, as Debian 12's QEMU can't: the unit tests, at boot.
.PHONY: loongarch/kunit
loongarch/kunit: loongarch/ours-debug
	@$(LAB)/run-qemu.py --name kernel-loongarch-kunit --build $(BUILD) \
		$(call judge_ours-debug,loongarch) -- $(loongarch_QEMU) $(BOARD) \
		-kernel $(BUILD)/loongarch/ours-debug/vmlinux \
		-append '$(loongarch_CMDLINE) $(PATIENCE) kunit_shutdown=reboot panic=-1 panic_on_warn=1 printk.devkmsg=on'
