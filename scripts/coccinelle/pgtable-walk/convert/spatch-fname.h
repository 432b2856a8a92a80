/* SPDX-License-Identifier: GPL-2.0 */
/* For spatch, so that it can read paging_tmpl.h: // Options: --macro-file-builtins */
#define FNAME(x) x
