/* SPDX-License-Identifier: MIT */
/* Timers of the event loop. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

/* Calls callback once, usec microseconds from now; makes *source if there is none, and lets go of
 * what it was set to before. "Now" is asked anew: the loop's own is as old as what is being worked
 * at, and nobody is late because we were busy. 0, or negative errno. */
int timer_start(sd_event *event, sd_event_source **source, uint64_t usec,
	sd_event_time_handler_t callback, void *userdata);
