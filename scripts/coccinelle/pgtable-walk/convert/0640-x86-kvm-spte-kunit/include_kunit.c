// SPDX-License-Identifier: GPL-2.0

#if IS_REACHABLE(CONFIG_PGTABLE_WALK_KUNIT_TEST) && defined(CONFIG_KVM_GENERIC_AGING)
#include "rmap_kunit.c"
#endif
