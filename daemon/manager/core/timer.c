/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include "include/util.h"

int timer_start(sd_event *event, sd_event_source **source, uint64_t usec,
	sd_event_time_handler_t callback, void *userdata)
{
	const uint64_t when = now_usec() + usec;
	int r;

	if (!*source)
		return sd_event_add_time(
			event, source, CLOCK_MONOTONIC, when, 1, callback, userdata);
	r = sd_event_source_set_time(*source, when);
	return r < 0 ? r : sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
}
