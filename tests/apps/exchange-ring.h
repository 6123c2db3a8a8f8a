/* SPDX-License-Identifier: MIT */
/* Requests that exchange what lies behind the number. */
#pragma once

#include <stdbool.h>

void ring_open(unsigned flags);
/* KEPT lies behind the number until ring_trigger(). By a thread of the kernel's, or by whoever has
 * made the ring. */
void ring_prepare(bool async);
void ring_trigger(void);
void ring_finish(void);
