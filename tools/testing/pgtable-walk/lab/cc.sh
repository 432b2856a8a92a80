#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# cc.sh COMPILER ARGUMENT...: run the compiler, through ccache if there is one, but not for assembly: ccache's depend
# mode, which spares each new file a run of the preprocessor, sees no .incbin. Of two kernels that compress to the same
# size it would put the older one into bzImage.
case $* in
*.S) exec "$@" ;;
esac
command -v ccache >/dev/null || exec "$@"
CCACHE_DEPEND=1 exec ccache "$@"
