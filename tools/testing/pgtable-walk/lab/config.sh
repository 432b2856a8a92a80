#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# config.sh DIR FRAGMENT... -- MAKE...: make DIR/.config from nothing but the fragments (a later one wins), with the
# kernel's make command MAKE, and check that every line of them took effect.
set -e
dir=$1
shift
mkdir -p "$dir"
: >"$dir/requested.config"
while [ "$1" != -- ]; do
	cat "$1" >>"$dir/requested.config"
	shift
done
shift
"$@" KCONFIG_ALLCONFIG="$dir/requested.config" allnoconfig

awk -v config="$dir/.config" '
	BEGIN { while ((getline line < config) > 0) if (line ~ /^CONFIG_/) { split(line, l, "="); is[l[1]] = line } }
	/^CONFIG_/ { split($0, r, "="); wanted[r[1]] = $0 }
	END {
		for (name in wanted) {
			got = name in is ? is[name] : name "=n"
			if (got == wanted[name])
				continue
			printf "requested %s, got %s\n", wanted[name], got
			bad = 1
		}
		exit bad
	}' "$dir/requested.config" || {
	echo "$dir/.config: not as requested (see above); mend the fragment in configs/" >&2
	exit 1
}
