/* SPDX-License-Identifier: MIT */
/* What this program is built for. Apart from the table of calls, since that is used by a program
 * for the machine that builds, too, whatever that is (launcher/filter/). */
#include <linux/audit.h>

#include "include/syscalls.h"

#if defined(__x86_64__) && !defined(__ILP32__)
const uint32_t native_arch = AUDIT_ARCH_X86_64, compat_arch = AUDIT_ARCH_I386;
#elif defined(__aarch64__) && defined(__AARCH64EL__)
const uint32_t native_arch = AUDIT_ARCH_AARCH64, compat_arch = AUDIT_ARCH_ARM;
#else
#error "mqgate knows x86-64 and aarch64; add its calls to the table in syscalls.c"
#endif
