#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# initramfs.sh OUT STRIP INIT PLAN TESTS [KERNEL MODULE...]: pack init, the plan and the programs that it names, found
# below TESTS, the modules that were built below KERNEL, those that they need first, and a list of them in this order.
# Of a program 'run' all its directory is packed. If OUT is a .tar.gz, it is one for machines that are up, where 'run'
# is what init is here.
set -e
out=$1 strip=$2 init=$3 plan=$4 tests=$5 kernel=$6
shift $(($# < 6 ? 5 : 6))
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
	case $test in
	*/run)
		cp -a "$(dirname "$tests/$test")/." "$(dirname "$root/tests/$test")"
		continue
		;;
	esac
	"$strip" -o "$root/tests/$test" "$tests/$test"
done

case $out in
*.tar.gz)
	mv "$root/init" "$root/run"
	tar -C "$root" --owner=0 --group=0 --sort=name --transform "s,^\.,$(basename "$out" .tar.gz)," -cf "$out.tmp" .
	gzip -n <"$out.tmp" >"$out"
	rm -rf "$root" "$out.tmp"
	exit
	;;
esac

add_module() {
	set -- "$1" "$(sed -n "s|o\$|ko|; \|/$1\.ko\$|p" "$kernel/modules.order")"
	if [ ! -f "$kernel/$2" ]; then
		echo "there is no module $1 in $kernel; is it =m in configs/?" >&2
		exit 1
	fi
	for needed in $(tr '\0' '\n' <"$kernel/$2" | sed -n 's/^depends=//p' | tr , ' '); do
		add_module "$needed"
	done
	if ! grep -qx "$1" "$root/modules/list"; then
		"$strip" --strip-debug -o "$root/modules/$1.ko" "$kernel/$2"
		echo "$1" >>"$root/modules/list"
	fi
}
mkdir "$root/modules"
: >"$root/modules/list"
for module; do
	add_module "$module"
done
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$out"
rm -rf "$root"
