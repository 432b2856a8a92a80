// SPDX-License-Identifier: GPL-2.0

#include "gpa_pt_walk.h"
