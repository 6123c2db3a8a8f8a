/* SPDX-License-Identifier: MIT */
/* Descriptors of which thousands may become ready at once, as when as many sessions end.
 *
 * Before each source that it dispatches, sd-event asks the kernel for all that are ready: as often
 * as there are, for as many as there are, mqgated would do nothing else for seconds. So those that
 * there are for each session have an epoll set of their own, of which the loop knows one
 * descriptor. */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

struct crowd {
	int fd;
	sd_event_source *source;
};
#define CROWD_NONE ((struct crowd){.fd = -EBADF})

struct watch;

/* May end its own watch and any other. */
typedef void (*watch_handler_t)(int fd, uint32_t events, void *userdata);

/* 0 or negative errno. To be ended in any case, after its watches. */
int crowd_begin(sd_event *event, struct crowd *ret);
void crowd_end(struct crowd *crowd);

/* events as for epoll_ctl(2). Does not take fd, which stays open until the watch is ended. 0 or
 * negative errno. */
int crowd_watch(struct crowd *crowd, int fd, uint32_t events, watch_handler_t handler,
	void *userdata, struct watch **ret);

/* NULL, also for NULL. */
struct watch *watch_end(struct watch *watch);
