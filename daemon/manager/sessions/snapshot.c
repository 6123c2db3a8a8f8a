/* SPDX-License-Identifier: MIT */
/* The snapshot of a session as bytes and back. Reading trusts nothing. */
#include "snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "include/container.h"
#include "include/names.h"
#include "include/limits.h"
#include "include/write.h"

#define FACTS_MAGIC UINT32_C(0x6d716674)

/* Then the plugs, the slots, the apps, the instance and the container, each with its NUL. */
struct header {
	uint32_t magic;
	uint32_t version;
	uint32_t number;
	uint32_t mediation;
	uint64_t filter_id;
	uint64_t launcher_start; /* 0: not known */
	int32_t launcher_pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t plug_count;
	uint32_t slot_count;
	uint32_t app_count;
	uint64_t capabilities;
	/* Since version 3. */
	uint32_t launch_version;
	uint32_t instance_count;  /* 0 or 1 */
	uint32_t container_count; /* 0 or 1 */
	uint32_t refused;         /* 0 or 1 */
};

#define HEADER_SIZE_MIN offsetof(struct header, launch_version)
#define FACTS_SIZE_MAX                                                                           \
	(sizeof(struct header) + (2 * SESSION_PLUGS_MAX + LAUNCH_REFS_MAX + 1) * (REF_MAX + 1) + \
		CONTAINER_LABEL_MAX + 1)

void snapshot_clear(struct snapshot *snapshot)
{
	snapshot->launcher.pidfd = safe_close(snapshot->launcher.pidfd);
	free(take_pointer(snapshot->container));
	bindings_clear(&snapshot->bindings);
}

static void print_strings(FILE *f, char *const *strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)fwrite(strings[i], 1, strlen(strings[i]) + 1, f);
}

int snapshot_write(const struct snapshot *snapshot, int *ret_fd)
{
	const struct bindings *bindings = &snapshot->bindings;
	const struct header header = {.magic = FACTS_MAGIC,
		.version = SNAPSHOT_VERSION,
		.number = snapshot->number,
		.mediation = snapshot->mediation,
		.launch_version = snapshot->launch_version,
		.filter_id = snapshot->filter_id,
		.capabilities = snapshot->capabilities,
		.launcher_start = identity_start(&snapshot->launcher),
		.launcher_pid = snapshot->launcher.pid,
		.uid = snapshot->launcher.uid,
		.gid = snapshot->launcher.gid,
		.plug_count = (uint32_t)bindings->own_plug_count,
		.slot_count = (uint32_t)bindings->own_slot_count,
		.app_count = (uint32_t)bindings->app_count,
		.instance_count = bindings->instance != NULL,
		.container_count = snapshot->container != NULL,
		.refused = snapshot->refused};
	_cleanup_free_ char *data = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&data, &size);

	if (!f)
		return -ENOMEM;
	(void)fwrite(&header, sizeof(header), 1, f);
	print_strings(f, bindings->plugs, bindings->own_plug_count);
	print_strings(f, bindings->slots, bindings->own_slot_count);
	print_strings(f, bindings->apps, bindings->app_count);
	print_strings(f, &bindings->instance, header.instance_count);
	print_strings(f, &snapshot->container, header.container_count);
	if (fclose(f) != 0)
		return -ENOMEM;
	*ret_fd = memfd_sealed(SNAPSHOT_MEMFD, data, size);
	return MIN(*ret_fd, 0);
}

static int read_data(int fd, char **ret_data, size_t *ret_size)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;

	if (fcntl(fd, F_GET_SEALS) != SEALS_ALL)
		return -EBADMSG;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < (off_t)HEADER_SIZE_MIN || st.st_size > (off_t)FACTS_SIZE_MAX)
		return -EBADMSG;
	data = malloc((size_t)st.st_size);
	if (!data)
		return -ENOMEM;
	if (pread(fd, data, (size_t)st.st_size, 0) != (ssize_t)st.st_size)
		return -EBADMSG;
	*ret_data = take_pointer(data);
	*ret_size = (size_t)st.st_size;
	return 0;
}

static int check_header(const struct header *header)
{
	if (header->mediation > MEDIATION_OPEN || header->plug_count > SESSION_PLUGS_MAX ||
		header->slot_count > SESSION_PLUGS_MAX || header->app_count > LAUNCH_REFS_MAX ||
		header->launcher_pid <= 0 || !launch_version_is_known(header->launch_version) ||
		header->instance_count > 1 || header->container_count > 1 ||
		(header->container_count == 1 && header->mediation != MEDIATION_CALL) ||
		header->refused > header->container_count)
		return -EBADMSG;
	return 0;
}

/* Returns its size in *ret_size. */
static int read_header(const char *data, size_t size, struct header *ret, size_t *ret_size)
{
	*ret = (struct header){0};
	memcpy(ret, data, HEADER_SIZE_MIN);
	if (ret->magic != FACTS_MAGIC)
		return -EBADMSG;
	if (ret->version < SNAPSHOT_VERSION_OLDEST || ret->version > SNAPSHOT_VERSION)
		return -EPROTONOSUPPORT;
	*ret_size = ret->version == SNAPSHOT_VERSION ? sizeof(*ret) : HEADER_SIZE_MIN;
	if (size < *ret_size)
		return -EBADMSG;
	ret->launch_version = LAUNCH_VERSION_OLDEST;
	memcpy(ret, data, *ret_size);
	return check_header(ret);
}

struct reader {
	const char *at, *end;
};

static bool app_ref_is_valid(const char *text)
{
	char package[PACKAGE_NAME_MAX + 1];
	const char *dot = strchr(text, '.');

	if (!dot || dot - text > PACKAGE_NAME_MAX || isempty(dot + 1))
		return false;
	(void)snprintf(package, sizeof(package), "%.*s", (int)(dot - text), text);
	return package_name_is_valid(package);
}

static bool plug_or_slot_ref_is_valid(const char *text)
{
	struct ref ref;

	return ref_parse(text, &ref) == 0;
}

static int read_strings(struct reader *reader, size_t count, size_t longest,
	bool (*is_valid)(const char *text), char ***ret, size_t *ret_count)
{
	*ret = calloc(count + 1, sizeof(char *));
	if (!*ret)
		return -ENOMEM;
	for (*ret_count = 0; *ret_count < count; (*ret_count)++) {
		size_t length = strnlen(reader->at, (size_t)(reader->end - reader->at));

		if (reader->at + length == reader->end || length > longest || !is_valid(reader->at))
			return -EBADMSG;
		(*ret)[*ret_count] = strdup(reader->at);
		if (!(*ret)[*ret_count])
			return -ENOMEM;
		reader->at += length + 1;
	}
	return 0;
}

static int read_string(struct reader *reader, size_t count, size_t longest,
	bool (*is_valid)(const char *text), char **ret)
{
	char **strings = NULL;
	size_t read = 0;
	int r = read_strings(reader, count, longest, is_valid, &strings, &read);

	*ret = r == 0 && count > 0 ? take_pointer(strings[0]) : NULL;
	(void)strings_free(strings, read);
	return r;
}

static int read_texts(struct reader *reader, const struct header *header, struct snapshot *snapshot)
{
	struct bindings *bindings = &snapshot->bindings;
	int r = read_strings(reader, header->plug_count, REF_MAX, plug_or_slot_ref_is_valid,
		&bindings->plugs, &bindings->plug_count);

	r = r < 0 ? r
		  : read_strings(reader, header->slot_count, REF_MAX, plug_or_slot_ref_is_valid,
			    &bindings->slots, &bindings->slot_count);
	r = r < 0 ? r
		  : read_strings(reader, header->app_count, REF_MAX, app_ref_is_valid,
			    &bindings->apps, &bindings->app_count);
	r = r < 0 ? r
		  : read_string(reader, header->instance_count, REF_MAX, instance_is_valid,
			    &bindings->instance);
	r = r < 0 ? r
		  : read_string(reader, header->container_count, CONTAINER_LABEL_MAX,
			    container_label_is_valid, &snapshot->container);
	bindings->own_plug_count = bindings->plug_count;
	bindings->own_slot_count = bindings->slot_count;
	return r < 0 ? r : reader->at == reader->end ? 0 : -EBADMSG;
}

/* The process of that number may be another one by now. */
static int find_launcher(pid_t pid, uint64_t start)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct identity launcher = {.pid = pid, .pidfd = pidfd};

	return pidfd >= 0 && start != 0 && identity_start(&launcher) == start ? take_fd(&pidfd)
									      : -EBADF;
}

int snapshot_read(int fd, struct snapshot *ret)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot = {.launcher.pidfd = -EBADF};
	_cleanup_free_ char *data = NULL;
	struct header header;
	struct reader reader;
	size_t size = 0, header_size = 0;
	int r;

	r = read_data(fd, &data, &size);
	r = r < 0 ? r : read_header(data, size, &header, &header_size);
	if (r < 0)
		return r;
	reader = (struct reader){data + header_size, data + size};
	r = read_texts(&reader, &header, &snapshot);
	if (r < 0)
		return r;
	snapshot.number = header.number;
	snapshot.refused = header.refused;
	snapshot.mediation = (enum mediation)header.mediation;
	snapshot.launch_version = header.launch_version;
	snapshot.filter_id = header.filter_id;
	snapshot.capabilities = header.capabilities;
	snapshot.launcher = (struct identity){.pid = header.launcher_pid,
		.uid = header.uid,
		.gid = header.gid,
		.pidfd = find_launcher(header.launcher_pid, header.launcher_start)};
	*ret = snapshot;
	snapshot = (struct snapshot){.launcher.pidfd = -EBADF};
	return 0;
}
