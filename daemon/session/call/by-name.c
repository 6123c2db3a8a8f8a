/* SPDX-License-Identifier: MIT */
/* Carrying out the calls that take a name, and carrying them on when an earlier session process
 * died on the way.
 *
 * They are done by us as the caller (on-behalf.c), on our copy of the name. */
#include "by-name.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "which-queue.h"

/* Whether what an earlier session process began was done, when it died too early to note it: if the
 * state is now the one that doing it would have left, and was not before. */
static bool done_before(const struct inflight *inflight, bool existed_now)
{
	switch ((enum inflight_phase)inflight->phase) {
	case INFLIGHT_RECEIVED:
		return false;
	case INFLIGHT_ACTING:
		return inflight->existed != existed_now;
	case INFLIGHT_ACTED:
		return inflight->result == 0;
	case INFLIGHT_INJECTING:
	case INFLIGHT_INJECTED:
		return true;
	}
	return false;
}

static bool exists(struct supervisor *supervisor, struct call *call)
{
	return own_sees(&supervisor->own, call_actor(call).ipc_namespace, call->granted.queue) > 0;
}

static int open_as_caller(struct supervisor *supervisor, struct call *call)
{
	const struct credentials actor = call_actor(call);

	return act_open(
		&supervisor->own, &actor, call->granted.queue, &call->request, &call->created);
}

static int unlink_as_caller(struct supervisor *supervisor, const struct call *call)
{
	const struct credentials actor = call_actor(call);

	return act_unlink(&supervisor->own, &actor, call->granted.queue);
}

static int create(struct supervisor *supervisor, struct call *call)
{
	struct request *request = &call->request;
	int oflag = request->oflag, fd;

	if (request->oflag & O_EXCL) {
		bool existed = exists(supervisor, call);

		if (done_before(supervisor->inflight, existed)) {
			request->oflag &= ~(O_CREAT | O_EXCL);
			fd = open_as_caller(supervisor, call);
			request->oflag = oflag;
			call->created = fd >= 0;
			return fd;
		}
		inflight_acting(supervisor->inflight, existed);
	}
	fd = open_as_caller(supervisor, call);
	if (oflag & O_EXCL)
		inflight_acted(supervisor->inflight, fd < 0 ? fd : 0);
	return fd;
}

static int host_is_full(struct call *call)
{
	call->host_full = true;
	return -ENOSPC;
}

/* What exists may be opened however many there are. */
static int open_only(struct supervisor *supervisor, struct call *call)
{
	struct request *request = &call->request;
	int oflag = request->oflag, fd;

	if (!exists(supervisor, call))
		return host_is_full(call);
	if (oflag & O_EXCL)
		return -EEXIST;
	request->oflag &= ~O_CREAT;
	fd = open_as_caller(supervisor, call);
	request->oflag = oflag;
	return fd == -ENOENT ? host_is_full(call) : fd;
}

static int create_abroad(struct supervisor *supervisor, struct call *call)
{
	struct host_queues *queues = &supervisor->inflight->host_queues;
	int place = host_queues_begin(
		queues, &supervisor->host_files, &supervisor->own, call->granted.queue);
	int fd = place < 0 ? open_only(supervisor, call) : create(supervisor, call);

	if (place >= 0)
		host_queues_end(queues, place, call->created ? fd : -EBADF);
	return fd;
}

static int open_abroad(struct supervisor *supervisor, struct call *call)
{
	int fd = call->request.oflag & O_CREAT ? create_abroad(supervisor, call)
					       : open_as_caller(supervisor, call);

	if (fd >= 0)
		host_queues_opened(&supervisor->inflight->host_queues, &supervisor->host_files, fd);
	return fd;
}

static int open_queue(struct supervisor *supervisor, struct call *call)
{
	call->request.mode &= ~call->granted.mode_cut;
	if (call_is_abroad(call))
		return open_abroad(supervisor, call);
	return call->request.oflag & O_CREAT ? create(supervisor, call)
					     : open_as_caller(supervisor, call);
}

/* Puts the open queue into the app, and then takes the flags away that are ours: what has them is
 * what was injected last. Its number there, or a negative errno. */
static int inject(struct supervisor *supervisor, const struct call *call)
{
	int number;

	inflight_injecting(supervisor->inflight);
	number = notify_inject(supervisor->listener, call->notification->id, call->queue);
	if (number >= 0)
		inflight_injected(supervisor->inflight, number);
	(void)fcntl(call->queue, F_SETFL, call->request.oflag);
	return number;
}

/* Whether it is a descriptor of the queue and has the flags. Of no other file anything is asked
 * that its users might hold up. */
static bool is_injected(struct supervisor *supervisor, const struct call *call, int number)
{
	const struct queues *queues = &supervisor->inflight->queues;
	struct descriptor descriptor;
	uint32_t place;
	int flags;

	if (target_descriptor(&call->target, number, &descriptor) < 0)
		return false;
	place = queues_find(&supervisor->inflight->queues, descriptor.key);
	return place < SESSION_QUEUES_MAX &&
	       streq(queues->entries[place].name, call->granted.queue) &&
	       target_descriptor_flags(&call->target, number, &flags) == 0 &&
	       (flags & ACT_OPEN_FLAGS) == ACT_OPEN_FLAGS;
}

static int find_injected(struct supervisor *supervisor, const struct call *call)
{
	DIR *table = target_open_table(&call->target);
	int number = -1, r = -EIO;
	bool found = false;

	while (table && !found && (r = table_next(table, &number)) > 0)
		found = is_injected(supervisor, call, number);
	if (table)
		(void)closedir(table);
	return found ? number : r < 0 ? r : -ENOENT;
}

/* If an earlier session process has injected the descriptor already: its number. */
static int injected_before(struct supervisor *supervisor, const struct call *call)
{
	struct inflight *inflight = supervisor->inflight;
	_cleanup_close_ int queue = -EBADF;
	int number;

	if (inflight->phase < INFLIGHT_INJECTING)
		return -ENOENT;
	number = find_injected(supervisor, call);
	if (number < 0)
		return inflight->phase == INFLIGHT_INJECTED ? inflight->result : number;
	inflight_injected(inflight, number);
	queue = target_copy_descriptor(&call->target, number);
	if (queue >= 0)
		(void)fcntl(queue, F_SETFL, call->request.oflag);
	return number;
}

/* A queue has one name: while it has a link, that leads to it and not to a successor. */
static bool has_name(int queue)
{
	struct stat st;

	return fstat(queue, &st) == 0 && st.st_nlink > 0;
}

/* Whether the caller has no room for a descriptor. Unconfined that comes first, whatever is wrong
 * with the name; where nothing was created it can as well be asked afterwards. */
static bool has_no_room(const struct request *request, struct call *call)
{
	struct target_limits limits;

	if (request->oflag & O_CREAT || target_limits(&call->target, &limits) < 0)
		return false;
	return target_table_is_full(&call->target, limits.descriptors.rlim_cur) > 0;
}

static struct answer no_room(struct call *call)
{
	struct target_limits limits;

	if (call->limits.descriptors.rlim_max == 0 && target_limits(&call->target, &limits) == 0)
		call->limits = limits;
	call->no_room = true;
	return refused_by_kernel(call, EMFILE);
}

/* The descriptor could not be put into the app: no trace of the call may remain. */
static struct answer take_back(struct supervisor *supervisor, struct call *call, int error)
{
	if (call->created && error != -ENOENT && has_name(call->queue))
		(void)unlink_as_caller(supervisor, call);
	return error == -EMFILE ? no_room(call) : answer_error(EACCES);
}

/* For the end of a lease that somebody holds on the queue, as the caller would in the kernel. */
static struct answer let_wait_for_lease(struct supervisor *supervisor, struct call *call)
{
	_cleanup_(target_close) struct target target = TARGET_CLOSED;
	const struct wanted wanted = call_wants(supervisor, call);

	call->waits = call_open_target(supervisor, call, &target) == 0 &&
		      waiters_add_open(&supervisor->waiters, supervisor->inflight, &target,
			      &call->request, &wanted) == 0;
	return answer_error(EACCES);
}

static struct answer refuse_open(struct supervisor *supervisor, struct call *call)
{
	const struct request *request = &call->request;

	if (has_no_room(request, call))
		return no_room(call);
	return call->queue == -EAGAIN && !(request->oflag & O_NONBLOCK)
		       ? let_wait_for_lease(supervisor, call)
		       : refused_by_kernel(call, -call->queue);
}

struct answer act_on_open(struct supervisor *supervisor, struct call *call)
{
	struct request *request = &call->request;
	struct descriptor descriptor;
	int number = injected_before(supervisor, call), place = -1;

	if (number >= 0)
		return answer_of(number);
	/* It may be there: it must not be put there twice. */
	if (number != -ENOENT)
		return answer_error(EACCES);
	if (request->oflag & O_CREAT)
		held_drop(&supervisor->held, 0);
	/* Unconfined this comes before the look-up and before creating. What was created by an
	 * earlier session process is taken back. */
	if (call->table_full && supervisor->inflight->phase == INFLIGHT_RECEIVED)
		return no_room(call);
	call->queue = open_queue(supervisor, call);
	if (call->queue < 0)
		return refuse_open(supervisor, call);
	if (own_descriptor(call->queue, &descriptor) == 0) {
		remember_opened(supervisor, call, &descriptor);
		/* Each send and receive wakes the watch, too; where they do not come here it is of
		 * no use. */
		if (supervisor->mediation == MEDIATION_CALL)
			place = opened_watch(&supervisor->opened, call->queue, descriptor.key);
	}
	number = inject(supervisor, call);
	if (number < 0)
		return take_back(supervisor, call, number);
	if (place >= 0)
		opened_hint(&supervisor->opened, request->tid, number, place);
	return answer_of(number);
}

struct answer act_on_unlink(struct supervisor *supervisor, struct call *call)
{
	bool existed = exists(supervisor, call);
	int r;

	held_drop(&supervisor->held, 0);
	if (done_before(supervisor->inflight, existed)) {
		r = 0;
	} else {
		inflight_acting(supervisor->inflight, existed);
		r = unlink_as_caller(supervisor, call);
		inflight_acted(supervisor->inflight, r);
	}
	return r < 0 ? refused_by_kernel(call, -r) : answer_of(r);
}
