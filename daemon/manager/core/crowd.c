/* SPDX-License-Identifier: MIT */
#include "crowd.h"

#include <sys/epoll.h>

#include "include/util.h"

#define AT_ONCE 64 /* then the others of the loop */

struct watch {
	const struct crowd *crowd;
	int fd;
	watch_handler_t handler;
	void *userdata;
};

/* One at a time, so that none has ended meanwhile. */
static int on_crowd(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	const void *first = NULL;
	struct epoll_event event;

	for (int i = 0; i < AT_ONCE && epoll_wait(fd, &event, 1, 0) == 1; i++) {
		const struct watch *watch = event.data.ptr;

		/* The kernel gives them in turn: all others have had theirs. */
		if (watch == first)
			break;
		first = first ?: watch;
		watch->handler(watch->fd, event.events, watch->userdata);
	}
	return 0;
}

int crowd_begin(sd_event *event, struct crowd *ret)
{
	ret->fd = epoll_create1(EPOLL_CLOEXEC);
	return ret->fd < 0 ? -errno
			   : sd_event_add_io(event, &ret->source, ret->fd, EPOLLIN, on_crowd, NULL);
}

void crowd_end(struct crowd *crowd)
{
	crowd->source = sd_event_source_disable_unref(crowd->source);
	crowd->fd = safe_close(crowd->fd);
}

int crowd_watch(struct crowd *crowd, int fd, uint32_t events, watch_handler_t handler,
	void *userdata, struct watch **ret)
{
	struct watch *watch = malloc(sizeof(*watch));
	struct epoll_event event = {.events = events, .data.ptr = watch};

	if (!watch)
		return -ENOMEM;
	*watch = (struct watch){crowd, fd, handler, userdata};
	if (epoll_ctl(crowd->fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int r = -errno;

		free(watch);
		return r;
	}
	*ret = watch;
	return 0;
}

struct watch *watch_end(struct watch *watch)
{
	if (watch)
		(void)epoll_ctl(watch->crowd->fd, EPOLL_CTL_DEL, watch->fd, NULL);
	free(watch);
	return NULL;
}
