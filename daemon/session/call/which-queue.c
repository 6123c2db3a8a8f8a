/* SPDX-License-Identifier: MIT */
/* Which queue a descriptor is. The kernel is asked, and not the app's memory. */
#include "which-queue.h"

#include "by-descriptor.h"
#include "daemon/session/revoke/registrations.h"

/* A descriptor that this session did not open: its link names it. A bind mount elsewhere can forge
 * the link, so the name must, in the caller's IPC namespace or in ours, lead to the same queue on
 * the same mount: the internal one, that no file system tree reaches. */
static bool leads_to(const struct supervisor *supervisor, int ipc_namespace, const char *name,
	const struct descriptor *descriptor)
{
	_cleanup_close_ int fd = own_look_up(&supervisor->own, ipc_namespace, name);
	struct descriptor named;

	if (fd < 0 || own_descriptor(fd, &named) < 0)
		return false;
	return queue_key_same(named.key, descriptor->key) && named.mount != 0 &&
	       named.mount == descriptor->mount;
}

/* Where the link leads; 0: nowhere. */
static uint32_t find_space(struct supervisor *supervisor, struct call *call,
	const struct descriptor *descriptor, const char *name)
{
	int theirs;

	if (call_know_identity(supervisor, call) < 0 || !call_is_valid(supervisor, call))
		return 0;
	theirs = call->identity.ipc_namespace;
	if (leads_to(supervisor, theirs, name, descriptor))
		return theirs < 0 ? SPACE_CALLER | SPACE_HOST : SPACE_CALLER;
	return theirs >= 0 && leads_to(supervisor, -EBADF, name, descriptor) ? SPACE_HOST : 0;
}

/* The caller's identity is known. */
static void remember_queue(struct supervisor *supervisor, const struct call *call,
	const struct descriptor *descriptor, const struct queue_facts *facts)
{
	struct queues *queues = &supervisor->inflight->queues;
	uint32_t victim = queues_find_victim(queues, descriptor->key);
	_cleanup_close_ int queue = -EBADF;

	if (victim < SESSION_QUEUES_MAX) {
		queue = registrations_open(queues, victim, &supervisor->own, &call->identity);
		if (queue != -ENOENT)
			queues->hidden = 1;
	}
	queues_remember(queues, descriptor->key, facts, supervisor->grants);
}

void remember_opened(
	struct supervisor *supervisor, const struct call *call, const struct descriptor *descriptor)
{
	const struct queue_facts facts = {.name = call->granted.queue,
		.alias = call->request.name,
		.spaces = call->identity.ipc_namespace < 0 ? SPACE_CALLER | SPACE_HOST
			  : call->granted.host             ? SPACE_HOST
							   : SPACE_CALLER,
		.counted = (uint16_t)call->counted,
		.subject = call->granted.by_subject ? call->subject : SUBJECT_NOBODY};

	remember_queue(supervisor, call, descriptor, &facts);
}

/* A queue that is remembered. What it gives those that did not open it is part of it. */
static void take_queue(struct supervisor *supervisor, struct call *call, uint32_t place)
{
	const struct queues *queues = &supervisor->inflight->queues;
	struct request *request = &call->request;

	(void)strcpy(request->name, queues->entries[place].name);
	request->queue = QUEUE_NAMED;
	call->granted = (struct granted){
		.permissions = queues->entries[place].permissions, .queue = request->name};
	call->subject = queues->entries[place].subject;
	call->counted = queues->entries[place].counted;
	call->entry = place;
}

/* What the queue does not give everybody in the session it may give this caller, by its own number.
 * It could as well open it, and pass it on. */
static int look_at_caller(struct supervisor *supervisor, struct call *call)
{
	const struct request *request = &call->request;
	struct queues *queues = &supervisor->inflight->queues;
	struct subject subject;
	int r;

	if ((request_needs(request) & ~call->granted.permissions) == 0 ||
		!grants_have_variables(supervisor->grants))
		return 0;
	r = call_know_identity(supervisor, call);
	if (r < 0)
		return r;
	if (!call_is_valid(supervisor, call))
		return -ESRCH;
	subject = call_subject(supervisor, call);
	if (grants_on_queue(supervisor->grants, &subject, request->name,
		    queues->entries[call->entry].spaces) &
		~call->granted.permissions)
		queues_adopt(queues, call->entry, &subject, supervisor->grants);
	take_queue(supervisor, call, call->entry);
	return 0;
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

static bool take_stranger(struct supervisor *supervisor, struct call *call,
	const struct descriptor *descriptor, const char *name)
{
	const struct queue_facts facts = {.name = name,
		.alias = "",
		.spaces = find_space(supervisor, call, descriptor, name),
		.subject = SUBJECT_NOBODY};
	uint32_t place;

	if (facts.spaces == 0)
		return false;
	remember_queue(supervisor, call, descriptor, &facts);
	note_access(supervisor, call, descriptor);
	place = queues_find(&supervisor->inflight->queues, descriptor->key);
	if (place < SESSION_QUEUES_MAX)
		take_queue(supervisor, call, place);
	return place < SESSION_QUEUES_MAX;
}

static enum queue_identity identify_stranger(
	struct supervisor *supervisor, struct call *call, const struct descriptor *descriptor)
{
	const struct request *request = &call->request;
	char link[QUEUE_NAME_MAX + 2];

	if (target_descriptor_link(&call->target, request->fd, link, sizeof(link)) == 0 &&
		link[0] == '/' && take_stranger(supervisor, call, descriptor, link + 1))
		return QUEUE_NAMED;
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
	call->too_wide = request->queue == QUEUE_UNKNOWN ||
			 (access | PERMISSION_OPEN) & ~call->granted.permissions;
	return r;
}

/* By its device and inode, among the queues that this session has opened; or by its name. -EBADF:
 * it is none. */
static int identify_by_key(struct supervisor *supervisor, struct call *call)
{
	struct request *request = &call->request;
	struct descriptor descriptor;
	uint32_t place;
	int r = call_know_target(call);

	if (r < 0)
		return r;
	r = target_descriptor(&call->target, request->fd, &descriptor);
	if (r < 0)
		return r;
	if (!descriptor.regular)
		return -EBADF;
	call->key = descriptor.key;
	place = queues_find(&supervisor->inflight->queues, descriptor.key);
	if (place < SESSION_QUEUES_MAX) {
		take_queue(supervisor, call, place);
		opened_learn(&supervisor->opened, request->tid, request->fd, descriptor.key);
	} else {
		request->queue = identify_stranger(supervisor, call, &descriptor);
	}
	if (request->queue == QUEUE_NONE)
		return -EBADF;
	r = request->queue == QUEUE_NAMED ? look_at_caller(supervisor, call) : 0;
	return r < 0 ? r : compare_with_grants(supervisor, call);
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
	const struct request *request = &call->request;
	uint32_t place;

	if (supervisor->inflight->tainted && !call->alone) {
		call->held = held_find(&supervisor->held, request->tid, request->fd);
		if (!call->held)
			return false;
		call->key = call->held->key;
	} else if (!opened_find(&supervisor->opened, request->tid, request->fd, &call->key)) {
		return false;
	}
	place = queues_find(&supervisor->inflight->queues, call->key);
	if (place == SESSION_QUEUES_MAX)
		return false;
	take_queue(supervisor, call, place);
	return true;
}

int identify_queue(struct supervisor *supervisor, struct call *call)
{
	struct request *request = &call->request;
	int r = needs_company(supervisor, request) ? call_know_company(supervisor, call) : 0;

	if (r < 0)
		return r;
	if (find_known(supervisor, call))
		return look_at_caller(supervisor, call);
	call->held = NULL;
	r = identify_by_key(supervisor, call);
	if (r == -EBADF)
		request->queue = QUEUE_NONE;
	return r == -EBADF ? 0 : r;
}
