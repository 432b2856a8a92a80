#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# riscv-dtb.sh OUT EXTENSION QEMU [ARGUMENT...]: the device tree of the machine, with an extension more on each hart.
set -e
out=$1 extension=$2
shift 2
"$@" -machine dumpdtb="$out.tmp" >"$out.log" 2>&1 </dev/null || { cat "$out.log" >&2; exit 1; }
for node in $(fdtget -l "$out.tmp" /cpus | sed -n 's,^cpu@,/cpus/&,p'); do
	fdtput -t s "$out.tmp" "$node" riscv,isa "$(fdtget "$out.tmp" "$node" riscv,isa)_$extension"
	# The same as a list, from QEMU 9.0 on.
	if list=$(fdtget "$out.tmp" "$node" riscv,isa-extensions 2>/dev/null); then
		# shellcheck disable=SC2086 # a list of words
		fdtput -t s "$out.tmp" "$node" riscv,isa-extensions $list "$extension"
	fi
done
rm "$out.log"
mv "$out.tmp" "$out"
