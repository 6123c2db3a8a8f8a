/* SPDX-License-Identifier: MIT */
/* mqctl queues: the queues that there are, and who may use them and does.
 *
 * What a queue is, and who has it open, is looked at from here: as whoever has called us, and in
 * that one's IPC namespace. So nobody is shown more than the system shows anyhow. */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <mqueue.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "list.h"

#include "include/array.h"
#include "include/compat.h"
#include "include/grants.h"
#include "include/limits.h"
#include "include/text.h"

#define MQUEUE_DIRECTORY "/dev/mqueue"

enum {
	QUEUE_NAME,
	QUEUE_MESSAGES,
	QUEUE_BYTES,
	QUEUE_MAX_MESSAGES,
	QUEUE_MAX_SIZE,
	QUEUE_OWNER,
	QUEUE_GROUP,
	QUEUE_MODE,
	QUEUE_OPEN,
	QUEUE_REGISTERED,
	QUEUE_GRANTED,
	QUEUE_COLUMNS,
};

static const struct column queue_columns[QUEUE_COLUMNS] = {
	[QUEUE_NAME] = {"Queue"},
	[QUEUE_MESSAGES] = {"Messages", COLUMN_NUMBER},
	[QUEUE_BYTES] = {"Bytes", COLUMN_NUMBER},
	[QUEUE_MAX_MESSAGES] = {"Max-Messages", COLUMN_NUMBER},
	[QUEUE_MAX_SIZE] = {"Max-Size", COLUMN_NUMBER},
	[QUEUE_OWNER] = {"Owner"},
	[QUEUE_GROUP] = {"Group"},
	[QUEUE_MODE] = {"Mode"},
	[QUEUE_OPEN] = {"Open", COLUMN_LIST},
	[QUEUE_REGISTERED] = {"Registered"},
	[QUEUE_GRANTED] = {"Granted", COLUMN_LIST},
};

/* --- names ---------------------------------------------------------------------------------- */

struct queue {
	char *name; /* with the slash */
	bool known; /* which file it is: */
	dev_t device;
	ino_t inode;
};

struct queues {
	struct queue *items;
	size_t count;
};

static void queues_clear(struct queues *queues)
{
	for (size_t i = 0; i < queues->count; i++)
		free(queues->items[i].name);
	free(queues->items);
}

static int add_queue(struct queues *queues, const char *slash, const char *name)
{
	struct queue queue = {0};
	int r;

	if (asprintf(&queue.name, "%s%s", slash, name) < 0)
		return -ENOMEM;
	r = array_append(&queues->items, &queues->count, &queue, sizeof(queue));
	if (r < 0)
		free(queue.name);
	return r;
}

/* False if nothing is mounted there. */
static bool has_directory(void)
{
	struct statfs fs;

	return statfs(MQUEUE_DIRECTORY, &fs) == 0 && fs.f_type == MQUEUE_MAGIC;
}

static int list_directory(struct queues *queues)
{
	DIR *directory = opendir(MQUEUE_DIRECTORY);
	const struct dirent *entry;
	int r = 0;

	if (!directory)
		return 0;
	while (r == 0 && (entry = readdir(directory)))
		if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
			r = add_queue(queues, "/", entry->d_name);
	(void)closedir(directory);
	return r;
}

/* Where the queues cannot be listed, those of which the policy knows. */
static int list_slots(struct queues *queues, const struct table *slots, size_t column)
{
	int r = 0;

	for (size_t i = 0; i < slots->row_count; i++)
		for (char **item = slots->rows[i][column].items; item && *item && r == 0; item++)
			if (!strpbrk(*item, "*?{"))
				r = add_queue(queues, "", *item);
	return r;
}

static int compare_queues(const void *a, const void *b)
{
	const struct queue *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void sort_queues(struct queues *queues)
{
	size_t kept = 0;

	if (queues->count == 0)
		return;
	qsort(queues->items, queues->count, sizeof(*queues->items), compare_queues);
	for (size_t i = 1; i < queues->count; i++)
		if (compare_queues(&queues->items[kept], &queues->items[i]) == 0)
			free(queues->items[i].name);
		else
			queues->items[++kept] = queues->items[i];
	queues->count = kept + 1;
}

/* --- what each is --------------------------------------------------------------------------- */

static int set_number(struct cell *cell, uint64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64, number);
	return cell_set(cell, text);
}

static int set_owner(struct cell *cells, const struct stat *st)
{
	const struct passwd *user = getpwuid(st->st_uid);
	const struct group *group = getgrgid(st->st_gid);
	char mode[8];
	int r;

	r = user ? cell_set(&cells[QUEUE_OWNER], user->pw_name)
		 : set_number(&cells[QUEUE_OWNER], st->st_uid);
	r = r < 0   ? r
	    : group ? cell_set(&cells[QUEUE_GROUP], group->gr_name)
		    : set_number(&cells[QUEUE_GROUP], st->st_gid);
	(void)snprintf(mode, sizeof(mode), "%04o", st->st_mode & ALLPERMS);
	return r < 0 ? r : cell_set(&cells[QUEUE_MODE], mode);
}

/* "QSIZE:5 NOTIFY:0 SIGNO:0 NOTIFY_PID:1234" */
static int set_content(struct cell *cells, int fd)
{
	char text[128], process[64];
	const char *pid;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int r;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	r = startswith(text, "QSIZE:")
		    ? set_number(&cells[QUEUE_BYTES], strtoull(text + strlen("QSIZE:"), NULL, 10))
		    : 0;
	pid = strstr(text, "NOTIFY_PID:");
	if (r < 0 || !pid || atoi(pid + strlen("NOTIFY_PID:")) == 0)
		return r;
	(void)snprintf(process, sizeof(process), "%d", atoi(pid + strlen("NOTIFY_PID:")));
	return cell_set(&cells[QUEUE_REGISTERED], process);
}

static int set_attributes(struct cell *cells, int fd)
{
	struct mq_attr attributes;
	int r;

	if (mq_getattr(fd, &attributes) < 0)
		return 0;
	r = set_number(&cells[QUEUE_MESSAGES], (uint64_t)attributes.mq_curmsgs);
	r = r < 0 ? r : set_number(&cells[QUEUE_MAX_MESSAGES], (uint64_t)attributes.mq_maxmsg);
	r = r < 0 ? r : set_number(&cells[QUEUE_MAX_SIZE], (uint64_t)attributes.mq_msgsize);
	return r < 0 ? r : set_content(cells, fd);
}

/* What of it may be seen. 1; 0: there is no such queue; or -ENOMEM. */
static int look_at_queue(struct queue *queue, bool directory, struct cell *cells)
{
	_cleanup_free_ char *path = NULL;
	/* O_NONBLOCK: not even a lease on it is waited for. */
	_cleanup_close_ int fd = mq_open(queue->name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	const int error = fd < 0 ? errno : 0;
	struct stat st;
	int r = 0;

	if (error == ENOENT)
		return 0;
	if (asprintf(&path, MQUEUE_DIRECTORY "%s", queue->name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	queue->known = fd >= 0 ? fstat(fd, &st) == 0 : directory && lstat(path, &st) == 0;
	if (queue->known) {
		queue->device = st.st_dev;
		queue->inode = st.st_ino;
		r = set_owner(cells, &st);
	}
	if (fd >= 0 && r == 0)
		r = set_attributes(cells, fd);
	r = r < 0 ? r : cell_set(&cells[QUEUE_NAME], queue->name);
	return r < 0 ? r : 1;
}

/* --- who has it open ------------------------------------------------------------------------ */

static int add_item(struct cell *cell, const char *text)
{
	size_t count = 0;
	char **items;

	while (cell->items && cell->items[count]) {
		if (streq(cell->items[count], text))
			return 0;
		count++;
	}
	items = realloc(cell->items, (count + 2) * sizeof(*items));
	if (!items)
		return -ENOMEM;
	cell->items = items;
	items[count] = strdup(text);
	items[count + 1] = NULL;
	return items[count] ? 0 : -ENOMEM;
}

static int add_holder(struct cell *cells, int pid)
{
	char path[64], command[64] = "", text[96];
	_cleanup_close_ int fd = -EBADF;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, command, sizeof(command) - 1);
	command[n > 0 ? n - 1 : 0] = '\0';
	(void)snprintf(text, sizeof(text), "%d(%s)", pid, command);
	return add_item(&cells[QUEUE_OPEN], text);
}

/* No file system is asked for it. */
static bool is_queue(int table, const char *number, const struct queue *queue)
{
	struct statx stx;

	return queue->known &&
	       statx(table, number, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &stx) == 0 &&
	       stx.stx_ino == queue->inode && stx.stx_dev_major == major(queue->device) &&
	       stx.stx_dev_minor == minor(queue->device);
}

/* The row of the queue that a descriptor is; NULL: of none. */
static struct cell *find_row(
	const struct queues *queues, struct table *table, int directory, const char *number)
{
	char link[QUEUE_NAME_MAX + 2];
	ssize_t n = readlinkat(directory, number, link, sizeof(link) - 1);
	struct queue key = {.name = link};
	const struct queue *found;

	if (n <= 0)
		return NULL;
	link[n] = '\0';
	found = queues->count > 0 ? bsearch(&key, queues->items, queues->count,
					    sizeof(*queues->items), compare_queues)
				  : NULL;
	return found && is_queue(directory, number, found) ? table->rows[found - queues->items]
							   : NULL;
}

static int look_at_process(const struct queues *queues, struct table *table, int pid)
{
	const struct dirent *entry;
	char path[64];
	DIR *directory;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	directory = opendir(path);
	if (!directory)
		return 0;
	while (r == 0 && (entry = readdir(directory))) {
		struct cell *cells = find_row(queues, table, dirfd(directory), entry->d_name);

		r = cells ? add_holder(cells, pid) : 0;
	}
	(void)closedir(directory);
	return r;
}

static int find_holders(const struct queues *queues, struct table *table)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	int r = 0;

	while (directory && r == 0 && (entry = readdir(directory)))
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			r = look_at_process(queues, table, atoi(entry->d_name));
	if (directory)
		(void)closedir(directory);
	return r;
}

/* --- who may use it ------------------------------------------------------------------------- */

enum {
	SLOT_NAME,
	SLOT_PERMISSIONS,
	SLOT_QUEUES,
	SLOT_COLUMNS,
};

enum {
	CONNECTION_PLUG,
	CONNECTION_SLOT,
};

/* Whatever numbers its variables stand for. */
static void widen(char *pattern)
{
	char *brace, *end;

	while ((brace = strchr(pattern, '{')) && (end = strchr(brace, '}'))) {
		*brace = '*';
		memmove(brace + 1, end + 1, strlen(end));
	}
}

static bool offers(const struct cell *slot, const char *queue)
{
	for (char **item = slot[SLOT_QUEUES].items; item && *item; item++) {
		_cleanup_free_ char *pattern = strdup(*item);

		if (!pattern)
			continue;
		widen(pattern);
		if (strpbrk(pattern, "*?") ? pattern_match(pattern, queue) : streq(pattern, queue))
			return true;
	}
	return false;
}

static int add_grant(struct cell *cells, const char *plug, const struct cell *slot)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return -ENOMEM;
	(void)fputs(plug, f);
	for (char **word = slot[SLOT_PERMISSIONS].items; word && *word; word++)
		(void)fprintf(f, "%c%s", word == slot[SLOT_PERMISSIONS].items ? '=' : '+', *word);
	return fclose(f) == 0 ? add_item(&cells[QUEUE_GRANTED], text) : -ENOMEM;
}

static int find_grants(
	const struct table *slots, const struct table *connections, struct cell *cells)
{
	const char *queue = cell_text(&cells[QUEUE_NAME]);
	int r = 0;

	for (size_t i = 0; i < slots->row_count && r == 0; i++) {
		const struct cell *slot = slots->rows[i];

		if (!offers(slot, queue))
			continue;
		for (size_t j = 0; j < connections->row_count && r == 0; j++) {
			const struct cell *row = connections->rows[j];

			if (*cell_text(&row[CONNECTION_PLUG]) &&
				streq(cell_text(&row[CONNECTION_SLOT]),
					cell_text(&slot[SLOT_NAME])))
				r = add_grant(cells, cell_text(&row[CONNECTION_PLUG]), slot);
		}
	}
	return r;
}

/* --- all of it ------------------------------------------------------------------------------ */

/* Those that are gone meanwhile are dropped, so that rows and queues stay side by side. */
static int fill(struct queues *queues, bool directory, struct table *table)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < queues->count; i++) {
		struct cell *cells;

		r = r < 0 ? r : table_add_row(table, &cells);
		r = r < 0 ? r : look_at_queue(&queues->items[i], directory, cells);
		if (r > 0)
			queues->items[kept++] = queues->items[i];
		else
			free(queues->items[i].name);
		if (r == 0)
			table_drop_last(table);
	}
	queues->count = kept;
	return r < 0 ? r : 0;
}

static int look(const struct table *slots, const struct table *connections, struct table *table)
{
	_cleanup_(queues_clear) struct queues queues = {0};
	bool directory = has_directory();
	int r = directory ? list_directory(&queues) : list_slots(&queues, slots, SLOT_QUEUES);

	sort_queues(&queues);
	r = r < 0 ? r : fill(&queues, directory, table);
	r = r < 0 ? r : find_holders(&queues, table);
	for (size_t i = 0; i < table->row_count && r == 0; i++)
		r = find_grants(slots, connections, table->rows[i]);
	return r;
}

int verb_queues(const struct arguments *arguments)
{
	static const struct column slot_columns[SLOT_COLUMNS] = {[SLOT_NAME] = {"Slot"},
		[SLOT_PERMISSIONS] = {"Permissions", COLUMN_LIST},
		[SLOT_QUEUES] = {"Queues", COLUMN_LIST}};
	static const struct column connection_columns[] = {
		[CONNECTION_PLUG] = {"Plug"}, [CONNECTION_SLOT] = {"Slot"}};
	_cleanup_(table_freep) struct table *slots = NULL, *connections = NULL, *table = NULL;
	int r;

	r = manager_list(arguments, "slots", slot_columns, SLOT_COLUMNS, &slots);
	r = r < 0 ? r
		  : manager_list(arguments, "connections", connection_columns,
			    ELEMENTSOF(connection_columns), &connections);
	if (r < 0)
		return r;
	r = table_new(queue_columns, QUEUE_COLUMNS, &table);
	r = r < 0 ? r : look(slots, connections, table);
	return r < 0 ? print_no_memory() : print_table(arguments, table);
}
