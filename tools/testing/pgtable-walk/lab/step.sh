#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# step.sh LABEL LOG COMMAND...: run COMMAND with its output in LOG. Say every few seconds how far it is, at the end
# how long it took, on failure the last lines of the log. V=1 shows all output.
label=$1 log=$2
shift 2
mkdir -p "$(dirname "$log")"
start=$(date +%s)
took() { echo $(($(date +%s) - start)); }

if [ "${V:-0}" = 1 ]; then
	"$@" 2>&1 &
else
	echo "  $label ..."
	"$@" >"$log" 2>&1 &
fi
pid=$!
trap 'kill "$pid"; exit 130' INT TERM
ticks=0
while kill -0 "$pid" 2>/dev/null; do
	sleep 1
	ticks=$((ticks + 1))
	if [ $((ticks % 30)) = 0 ] && [ "${V:-0}" != 1 ]; then
		echo "  $label: $(took) s, $(grep -c . "$log") steps, now $(tail -n 1 "$log" | cut -c 1-70)"
	fi
done
if wait "$pid"; then
	echo "  $label: done in $(took) s"
	exit 0
fi
if [ "${V:-0}" != 1 ]; then
	echo "$label failed; the last lines of $log:" >&2
	tail -n 15 "$log" >&2
fi
echo "$label failed after $(took) s" >&2
exit 1
