/* SPDX-License-Identifier: GPL-2.0 */
/* For spatch, which takes a loop that it does not know for a call: // Options: --macro-file */
#define for_each_possible_cpu(cpu) for (;;)
