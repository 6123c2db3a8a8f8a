/* SPDX-License-Identifier: MIT */
/* An in-flight file with anything in it: either it is refused, or all that a session process looks
 * up there stays within it. The input is a list of places and what is written there. */
#include <sys/mman.h>

#include "daemon/session/target/inflight.h"
#include "fuzz.h"

/* Where bytes matter; the rest is message and numbers that nothing follows. */
static const struct place {
	size_t offset, size;
} places[] = {
	{offsetof(struct inflight, head), offsetof(struct inflight, threads)},
	{offsetof(struct inflight, waiting), 2 * sizeof(struct seccomp_notif)},
	{offsetof(struct inflight, threads), 64},
	{offsetof(struct inflight, processes), 64},
	{offsetof(struct inflight, queues), 64},
	{offsetof(struct inflight, queues.entries), 3 * sizeof(struct queue_entry)},
	{offsetof(struct inflight, done), 64},
	{offsetof(struct inflight, host_queues), 2 * sizeof(((struct host_queues *)0)->items[0])},
};

static int write_file(struct input *input)
{
	static int fd = -EBADF;

	if (fd < 0)
		fd = memfd_create(INFLIGHT_MEMFD, MFD_CLOEXEC);
	REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)INFLIGHT_SIZE) == 0);
	while (input->size > 0) {
		const struct place *place = &places[take_byte(input) % ELEMENTSOF(places)];
		size_t within = (take_byte(input) | (size_t)take_byte(input) << 8) % place->size;
		uint8_t bytes[16];
		size_t size = take_byte(input) % (sizeof(bytes) + 1);

		take(input, bytes, size);
		REQUIRE(pwrite(fd, bytes, size, (off_t)(place->offset + within)) == (ssize_t)size);
	}
	return fd;
}

static void check_waiting(const struct inflight *inflight)
{
	REQUIRE(inflight->waiting_used <= SESSION_WAITING_MAX);
	REQUIRE(inflight->done.used <= SESSION_MESSAGE_MAX);
	REQUIRE(inflight->done.result <= SESSION_MESSAGE_MAX);
	REQUIRE(inflight->threads.count <= SESSION_THREADS_MAX);
}

static void look_up(struct inflight *inflight)
{
	struct grants *grants;
	const struct queue_facts facts = {.name = "events",
		.alias = "e",
		.spaces = SPACE_CALLER,
		.subject = {.pid = 7, .uid = 8}};
	uint32_t place;

	REQUIRE(grants_new(1, &grants) == 0);
	REQUIRE(grants_add(grants, &(struct grant){.name = "*",
					   .pattern = true,
					   .permissions = PERMISSION_READ}) == 0);
	grants_seal(grants);
	place = queues_find(&inflight->queues, (struct queue_key){.device = 1, .inode = 1});
	REQUIRE(place == SESSION_QUEUES_MAX ||
		(place < SESSION_QUEUES_MAX &&
			strlen(inflight->queues.entries[place].name) <= QUEUE_NAME_MAX &&
			strlen(inflight->queues.entries[place].alias) <= QUEUE_NAME_MAX));
	(void)queues_lose(&inflight->queues, grants);
	(void)queues_may_be_held(&inflight->queues, grants);
	queues_update(&inflight->queues, grants);
	queues_remember(&inflight->queues, (struct queue_key){3, 3}, &facts, grants);
	queues_note_access(&inflight->queues, (struct queue_key){3, 3}, PERMISSION_WRITE);
	place = queues_find(&inflight->queues, (struct queue_key){3, 3});
	REQUIRE(place < SESSION_QUEUES_MAX &&
		streq(inflight->queues.entries[place].name, "events") &&
		inflight->queues.entries[place].permissions == (PERMISSION_OPEN | PERMISSION_READ));
	queues_adopt(&inflight->queues, place, &facts.subject, grants);
	(void)threads_find(&inflight->threads, 4);
	(void)grants_free(grants);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct inflight *inflight;
	int r = inflight_map(write_file(&input), &inflight);

	REQUIRE(r == 0 || r == -EPROTONOSUPPORT || r == -EBADMSG);
	if (r < 0)
		return 0;
	check_waiting(inflight);
	look_up(inflight);
	inflight_begin(inflight);
	inflight_acting(inflight, true);
	inflight_end(inflight);
	REQUIRE(inflight->head.since == 0 && inflight->done.id == 0);
	(void)munmap(inflight, INFLIGHT_SIZE);
	return 0;
}
