// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The part of the sensor that runs in the kernel and works wherever raw tracepoints do. Filters are
 * in the order of their price: the cgroup's policy, the file's origin, what was seen lately.
 */
#include "process.h"
#include "network.h"
#include "syscall.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
