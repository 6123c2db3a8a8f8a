/* SPDX-License-Identifier: MIT */
/* Which queue a descriptor is. The kernel is asked, and not the app's memory. */
#include "which-queue.h"

#include "by-descriptor.h"
#include "daemon/session/revoke/registrations.h"

/* A descriptor that this session did not open: its link names it. A bind mount elsewhere can forge
 * the link, so the name must, in the caller's IPC namespace, lead to the same queue on the same
 * mount: the internal one, that no file system tree reaches. */
static bool link_is_true(struct supervisor *supervisor, struct call *call,
	const struct descriptor *descriptor, const char *name)
{
	_cleanup_close_ int fd = -EBADF;
	struct descriptor named;

	if (call_know_identity(supervisor, call) < 0 || !call_is_valid(supervisor, call))
		return false;
	fd = own_look_up(&supervisor->own, &call->identity, name);
	if (fd < 0 || own_descriptor(fd, &named) < 0)
		return false;
	return queue_key_same(named.key, descriptor->key) && named.mount != 0 &&
	       named.mount == descriptor->mount;
}

void remember_queue(
	struct supervisor *supervisor, const struct call *call, const struct descriptor *descriptor)
{
	struct queues *queues = &supervisor->inflight->queues;
	uint32_t victim = queues_find_victim(queues, descriptor->key);
	_cleanup_close_ int queue = -EBADF;

	if (victim < SESSION_QUEUES_MAX)
		queue = registrations_open(queues, victim, &supervisor->own, &call->identity);
	if (queue >= 0 || (victim < SESSION_QUEUES_MAX && queue != -ENOENT))
		queues->hidden = 1;
	queues_remember(queues, descriptor->key, call->request.name,
		grants_lookup(supervisor->grants, call->request.name));
}

/* Also if it was not granted when it came: it may be by the time that it is taken back. */
static void note_access(
	struct supervisor *supervisor, struct call *call, const struct descriptor *descriptor)
{
	uint32_t access;

	if (target_descriptor_access(&call->target, call->request.fd, &access) < 0)
		access = PERMISSION_READ | PERMISSION_WRITE;
	queues_note_access(&supervisor->inflight->queues, descriptor->key, access);
}

static enum queue_identity identify_stranger(
	struct supervisor *supervisor, struct call *call, const struct descriptor *descriptor)
{
	struct request *request = &call->request;
	char link[QUEUE_NAME_MAX + 2];

	if (target_descriptor_link(&call->target, request->fd, link, sizeof(link)) == 0 &&
		link[0] == '/' && !strchr(link + 1, '/') &&
		link_is_true(supervisor, call, descriptor, link + 1)) {
		(void)strcpy(request->name, link + 1);
		remember_queue(supervisor, call, descriptor);
		note_access(supervisor, call, descriptor);
		return QUEUE_NAMED;
	}
	return target_may_be_queue(&call->target, request->fd, descriptor->mount) ? QUEUE_UNKNOWN
										  : QUEUE_NONE;
}

/* Of what is not one of the files opened here. Once a session is tainted it makes no difference. */
static int compare_with_grants(struct supervisor *supervisor, struct call *call)
{
	const struct request *request = &call->request;
	uint32_t access = 0;
	int r = 0;

	if (supervisor->inflight->tainted)
		return 0;
	if (request->queue == QUEUE_NAMED)
		r = target_descriptor_access(&call->target, request->fd, &access);
	call->too_wide =
		request->queue == QUEUE_UNKNOWN ||
		(access | PERMISSION_OPEN) & ~grants_lookup(supervisor->grants, request->name);
	return r;
}

/* By its device and inode, among the queues that this session has opened; or by its name. -EBADF:
 * it is none. */
static int identify_by_key(struct supervisor *supervisor, struct call *call)
{
	struct request *request = &call->request;
	struct descriptor descriptor;
	const char *name;
	int r = call_know_target(call);

	if (r < 0)
		return r;
	r = target_descriptor(&call->target, request->fd, &descriptor);
	if (r < 0)
		return r;
	if (!descriptor.regular)
		return -EBADF;
	call->key = descriptor.key;
	name = queues_find(&supervisor->inflight->queues, descriptor.key);
	if (name) {
		(void)strcpy(request->name, name);
		request->queue = QUEUE_NAMED;
		opened_learn(&supervisor->opened, request->tid, request->fd, descriptor.key);
	} else {
		request->queue = identify_stranger(supervisor, call, &descriptor);
	}
	return request->queue == QUEUE_NONE ? -EBADF : compare_with_grants(supervisor, call);
}

/* Where descriptors may be exchanged it matters whether this caller's can. */
static bool needs_company(const struct supervisor *supervisor, const struct request *request)
{
	const struct inflight *inflight = supervisor->inflight;

	return inflight->tainted || (inflight->watching && request_registers(request));
}

/* One of the files that are known here: the kernel is asked whether it is the caller's. What is to
 * be carried out here needs one that is held; what goes back to the kernel, none. */
static bool find_known(struct supervisor *supervisor, struct call *call)
{
	struct request *request = &call->request;
	const char *name;

	if (supervisor->inflight->tainted && !call->alone) {
		call->held = held_find(&supervisor->held, request->tid, request->fd);
		if (!call->held)
			return false;
		call->key = call->held->key;
	} else if (!opened_find(&supervisor->opened, request->tid, request->fd, &call->key)) {
		return false;
	}
	name = queues_find(&supervisor->inflight->queues, call->key);
	if (!name)
		return false;
	(void)strcpy(request->name, name);
	request->queue = QUEUE_NAMED;
	return true;
}

int identify_queue(struct supervisor *supervisor, struct call *call)
{
	struct request *request = &call->request;
	int r = needs_company(supervisor, request) ? call_know_company(supervisor, call) : 0;

	if (r < 0 || find_known(supervisor, call))
		return r;
	call->held = NULL;
	r = identify_by_key(supervisor, call);
	if (r == -EBADF)
		request->queue = QUEUE_NONE;
	return r == -EBADF ? 0 : r;
}
