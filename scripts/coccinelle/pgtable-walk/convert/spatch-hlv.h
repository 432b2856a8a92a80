/* SPDX-License-Identifier: GPL-2.0 */
/* For spatch, which can not read these among strings: // Options: --macro-file-builtins */
#define HLVX_HU(dest, addr) ""
#define HLV_D(dest, addr) ""
#define HLV_W(dest, addr) ""
