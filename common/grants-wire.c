/* SPDX-License-Identifier: MIT */
/* The wire form: a header, then the givers, each its length and itself; then entries, each followed
 * by its name and the queue that it means (or nothing); texts with their NULs. Both ends are on one
 * machine. */
#include "include/array.h"
#include "include/grants.h"
#include "include/limits.h"
#include "include/write.h"

#define WIRE_MAGIC   UINT32_C(0x6d716772)
#define WIRE_VERSION 4

struct wire_header {
	uint32_t magic;
	uint32_t version;
	uint64_t generation;
	uint32_t count;
	uint32_t giver_count;
};

struct wire_entry {
	uint8_t permissions;
	uint8_t pattern;
	uint8_t host;
	uint8_t reserved; /* 0 */
	uint16_t mode_cut;
	uint16_t length;       /* of the name, without the NUL */
	uint16_t queue_length; /* of the queue; 0: there is none */
	uint16_t giver;
};

static void write_givers(FILE *f, const struct grants *grants)
{
	for (size_t i = 0; i < grants->giver_count; i++) {
		const uint16_t length = (uint16_t)strlen(grants->givers[i]);

		(void)fwrite(&length, sizeof(length), 1, f);
		(void)fwrite(grants->givers[i], 1, length + 1U, f);
	}
}

static void write_entries(FILE *f, const struct grant *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *queue = list[i].queue ? list[i].queue : "";
		const struct wire_entry entry = {.permissions = (uint8_t)list[i].permissions,
			.pattern = list[i].pattern,
			.host = list[i].host,
			.mode_cut = (uint16_t)list[i].mode_cut,
			.length = (uint16_t)strlen(list[i].name),
			.queue_length = (uint16_t)strlen(queue),
			.giver = list[i].giver};

		(void)fwrite(&entry, sizeof(entry), 1, f);
		(void)fwrite(list[i].name, 1, entry.length + 1U, f);
		(void)fwrite(queue, 1, entry.queue_length + 1U, f);
	}
}

int grants_serialise(const struct grants *grants, void **ret_data, size_t *ret_size)
{
	const struct wire_header header = {.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.count = (uint32_t)(grants->exact_count + grants->pattern_count),
		.giver_count = (uint32_t)grants->giver_count,
		.generation = grants->generation};
	char *data = NULL;
	FILE *f = open_memstream(&data, ret_size);

	if (!f)
		return -ENOMEM;
	(void)fwrite(&header, sizeof(header), 1, f);
	write_givers(f, grants);
	write_entries(f, grants->exact, grants->exact_count);
	write_entries(f, grants->patterns, grants->pattern_count);
	if (fclose(f) != 0) {
		free(data);
		return -ENOMEM;
	}
	*ret_data = data;
	return 0;
}

struct reader {
	const char *at;
	size_t left;
};

/* Without copying it; it has its NUL. */
static int read_text(struct reader *reader, size_t length, const char **ret)
{
	if (reader->left < length + 1 || strnlen(reader->at, length + 1) != length)
		return -EBADMSG;
	*ret = reader->at;
	reader->at += length + 1;
	reader->left -= length + 1;
	return 0;
}

static int read_bytes(struct reader *reader, void *ret, size_t size)
{
	if (reader->left < size)
		return -EBADMSG;
	memcpy(ret, reader->at, size);
	reader->at += size;
	reader->left -= size;
	return 0;
}

static int read_giver(struct reader *reader, struct grants *grants)
{
	const char *ref;
	uint16_t length;
	int r;

	if (read_bytes(reader, &length, sizeof(length)) < 0 || read_text(reader, length, &ref) < 0)
		return -EBADMSG;
	r = grants_set_giver(grants, ref);
	return r == -EINVAL ? -EBADMSG : r;
}

static int read_entry(struct reader *reader, struct grants *grants)
{
	const char *name, *queue;
	struct wire_entry entry;
	struct grant rule;
	int r;

	if (read_bytes(reader, &entry, sizeof(entry)) < 0 ||
		read_text(reader, entry.length, &name) < 0 ||
		read_text(reader, entry.queue_length, &queue) < 0)
		return -EBADMSG;
	if (entry.pattern > 1 || entry.host > 1 || entry.reserved != 0 ||
		!(entry.permissions & PERMISSION_OPEN))
		return -EBADMSG;
	rule = (struct grant){.permissions = entry.permissions,
		.mode_cut = entry.mode_cut,
		.pattern = entry.pattern,
		.host = entry.host,
		.giver = entry.giver,
		.name = name,
		.queue = entry.queue_length > 0 ? queue : NULL};
	if (!grants_are_before(grants, rule))
		return -EBADMSG;
	r = grants_add(grants, &rule);
	return r == -EINVAL ? -EBADMSG : r;
}

int grants_deserialise(const void *data, size_t size, struct grants **ret)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	struct reader reader = {data, size};
	struct wire_header header;
	int r;

	if (read_bytes(&reader, &header, sizeof(header)) < 0 || header.magic != WIRE_MAGIC ||
		header.version != WIRE_VERSION)
		return -EBADMSG;
	r = grants_new(header.generation, &grants);
	for (uint32_t i = 0; r == 0 && i < header.giver_count; i++)
		r = read_giver(&reader, grants);
	for (uint32_t i = 0; r == 0 && i < header.count; i++)
		r = read_entry(&reader, grants);
	if (r < 0)
		return r;
	if (reader.left != 0)
		return -EBADMSG;
	*ret = take_pointer(grants);
	return 0;
}

int grants_memfd(const struct grants *grants, int *ret_fd, size_t *ret_size)
{
	_cleanup_free_ void *data = NULL;
	int r;

	r = grants_serialise(grants, &data, ret_size);
	if (r < 0)
		return r;
	*ret_fd = memfd_sealed("mqgate-grants", data, *ret_size);
	return MIN(*ret_fd, 0);
}
