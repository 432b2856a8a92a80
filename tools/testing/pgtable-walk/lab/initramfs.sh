#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# initramfs.sh OUT STRIP INIT PLAN TESTS: pack init, the plan and the programs that it names, found below TESTS.
set -e
out=$1 strip=$2 init=$3 plan=$4 tests=$5
root=$out.root
rm -rf "$root"
mkdir -p "$root/tests"
"$strip" -o "$root/init" "$init"
cp "$plan" "$root/plan"
awk '!/^[ \t]*(#|write |$)/ { print $4 }' "$plan" | sort -u | while read -r test; do
	if [ ! -x "$tests/$test" ]; then
		echo "$plan: there is no $test in $tests; is it in the Makefile of the KVM selftests?" >&2
		exit 1
	fi
	mkdir -p "$(dirname "$root/tests/$test")"
	"$strip" -o "$root/tests/$test" "$tests/$test"
done
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$out"
rm -rf "$root"
