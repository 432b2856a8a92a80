// SPDX-License-Identifier: GPL-2.0
/// KVM: selftests: Build access_tracking_perf_test for RISC-V
///
/// The test uses ucalls without the header that declares them, which only
/// works where another header includes it. Include it. Nothing else keeps the
/// test from RISC-V, where it drives aging through page_idle as on other
/// architectures.
// File: tools/testing/selftests/kvm/access_tracking_perf_test.c
// Hunks: - 1
// Applied: - "ucall_common\.h"

@@
@@
 #include "processor.h"
+#include "ucall_common.h"
