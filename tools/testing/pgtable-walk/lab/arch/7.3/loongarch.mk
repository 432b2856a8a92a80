# SPDX-License-Identifier: GPL-2.0
# Unit tests only: QEMU does not emulate LoongArch's virtualization, and Debian 12 has no
# gcc and no libc for it. Its clang builds kernels.
loongarch_KBUILD   := LLVM=-19 CC='$(LAB)/cc.sh clang-19'
loongarch_PACKAGES := clang-19:clang-19 ld.lld-19:lld-19 llvm-ar-19:llvm-19 \
	qemu-system-loongarch64:qemu-system-misc
loongarch_IMAGE    := vmlinux
