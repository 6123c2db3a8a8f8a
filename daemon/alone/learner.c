/* SPDX-License-Identifier: MIT */
/* Learning: what the command needs, and the file that is to give it.
 *
 * The file is written whenever the command needs something new, at most once a second, and at the
 * end; so nobody's death loses more than that. Each time it is made of what a person has written in
 * it by now and of all that was learned. */
#include "learner.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "daemon/session/call/call.h"
#include "include/write.h"

#define WRITE_INTERVAL_USEC (1 * 1000000ULL)
#define WRITE_TRIES         20 /* of a file that somebody writes into all the time */

static int refuse(struct diagnostics *diagnostics, const struct learner *learner, int error,
	const char *remedy)
{
	diagnostics_add(diagnostics, SEVERITY_ERROR, learner->file, 0, 0,
		"cannot be written: %s; %s", strerror(-error), remedy);
	return -EBADMSG;
}

#define TEMPORARY_SIZE sizeof(".mqgate-learn-0123456789abcdef")

/* That nobody can take beforehand. */
static void random_name(char ret[static TEMPORARY_SIZE])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) < 0)
		number = now_usec();
	(void)snprintf(ret, TEMPORARY_SIZE, ".mqgate-learn-%016" PRIx64, number);
}

/* What the file has now; NULL: it is not there. 0 or negative errno. */
static int read_file(const struct learner *learner, char **ret, struct stat *ret_st)
{
	_cleanup_close_ int fd = openat(learner->directory, learner->name,
		O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	size_t at = 0;
	char *text;

	*ret = NULL;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -ENOTSUP;
	if (ret_st->st_size > PACKAGE_FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)ret_st->st_size + 1);
	if (!text)
		return -ENOMEM;
	while (at < (size_t)ret_st->st_size) {
		ssize_t n = read(fd, text + at, (size_t)ret_st->st_size - at);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	text[at] = '\0';
	*ret = text;
	return strlen(text) == at ? 0 : -EBADMSG;
}

/* Whether nobody has written into it, or put another one in its place, since it was read. */
static bool is_unchanged(const struct learner *learner, const struct stat *st)
{
	struct stat now;

	if (fstatat(learner->directory, learner->name, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return !st && errno == ENOENT;
	return st && now.st_ino == st->st_ino && now.st_dev == st->st_dev &&
	       now.st_size == st->st_size && now.st_ctim.tv_sec == st->st_ctim.tv_sec &&
	       now.st_ctim.tv_nsec == st->st_ctim.tv_nsec;
}

/* Whole or not at all. st: of the file that it replaces; NULL: it is new. -EAGAIN: somebody has
 * written into it meanwhile. */
static int write_file(
	const struct learner *learner, const char *text, const struct stat *st, bool at_the_end)
{
	_cleanup_close_ int fd = -EBADF;
	char name[TEMPORARY_SIZE];
	int r;

	random_name(name);
	fd = openat(learner->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		st ? 0600 : 0666);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, strlen(text));
	if (r == 0 && st && fchmod(fd, st->st_mode & ALLPERMS) < 0)
		r = -errno;
	if (r == 0 && at_the_end && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && !is_unchanged(learner, st))
		r = -EAGAIN;
	if (r == 0 && renameat(learner->directory, name, learner->directory, learner->name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(learner->directory, name, 0);
	return r;
}

static int try_to_write(const struct learner *learner, struct diagnostics *diagnostics)
{
	char name[TEMPORARY_SIZE];
	int fd;

	random_name(name);
	fd = openat(learner->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return refuse(diagnostics, learner, -errno, "choose another directory");
	(void)safe_close(fd);
	(void)unlinkat(learner->directory, name, 0);
	return 0;
}

/* Whether it could be added to. */
static int check_file(const struct learner *learner, struct diagnostics *diagnostics)
{
	_cleanup_free_ char *text = NULL, *learned = NULL, *plug = NULL;
	struct need any = {.name = "any", .permissions = PERMISSIONS_ALL};
	const struct needs needs = {.items = &any, .count = 1};
	struct stat st;
	int r = read_file(learner, &text, &st);

	if (r == -ELOOP)
		return refuse(
			diagnostics, learner, r, "it is a symbolic link; name the file itself");
	if (r < 0)
		return refuse(
			diagnostics, learner, r, "name a regular file of yours, or a new one");
	if (text && st.st_uid != geteuid())
		return refuse(diagnostics, learner, -EPERM,
			"it belongs to another user; name a file of your own");
	if (text && faccessat(learner->directory, learner->name, W_OK, AT_EACCESS) < 0)
		return refuse(diagnostics, learner, -errno, "make it writable (chmod u+w)");
	return learn_document(learner->file, text, learner->plug, &needs, learner->what,
		diagnostics, &learned, &plug);
}

int learner_begin(struct learner *learner, struct diagnostics *diagnostics)
{
	_cleanup_free_ char *copy = strdup(learner->file);
	int r;

	if (!copy)
		return -ENOMEM;
	learner->name =
		strrchr(learner->file, '/') ? strrchr(learner->file, '/') + 1 : learner->file;
	if (!*learner->name)
		return refuse(diagnostics, learner, -EISDIR, "name a file");
	learner->directory = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (learner->directory < 0)
		return refuse(diagnostics, learner, -errno, "make the directory first");
	r = check_file(learner, diagnostics);
	return r < 0 ? r : try_to_write(learner, diagnostics);
}

int learner_grants(struct grants **ret)
{
	const struct grant everything = {
		.name = "*", .pattern = true, .permissions = PERMISSIONS_ALL};
	_cleanup_(grants_freep) struct grants *grants = NULL;
	int r = grants_new(1, &grants);

	r = r < 0 ? r : grants_add(grants, &everything);
	if (r < 0)
		return r;
	grants_seal(grants);
	*ret = take_pointer(grants);
	return 0;
}

/* What the user's own rights do not reach is no need: with a permission it would fail as well. */
void learner_note(
	struct learner *learner, const struct supervisor *supervisor, const struct call *call)
{
	const struct subject subject =
		call->identity_known ? call_subject(supervisor, call) : SUBJECT_NOBODY;
	int r;

	if (strlen(call->request.name) > QUEUE_NAME_MAX || !call->verdict.allow ||
		call->verdict.reason != REASON_GRANTED ||
		(call->answer.kind == ANSWER_ERROR && call->answer.error == EACCES))
		return;
	r = needs_add(&learner->needs, call->request.name, request_needs(&call->request), &subject,
		call->identity_known ? call->identity.command : "");
	if (r > 0 && !learner->news) {
		learner->news = true;
		learner->due = MAX(now_usec(), learner->due);
	}
}

int learner_timeout(const struct learner *learner)
{
	const uint64_t now = now_usec();

	if (!learner->news)
		return -1;
	return learner->due <= now ? 0 : (int)((learner->due - now) / 1000) + 1;
}

static int write_once(struct learner *learner, bool at_the_end, struct diagnostics *diagnostics)
{
	_cleanup_free_ char *text = NULL, *learned = NULL;
	struct stat st;
	int r = read_file(learner, &text, &st);
	const bool there = text != NULL;

	/* As long as it is what we have written, it is made anew of what was there before. */
	if (r == 0 && (!learner->written || !text || !streq(text, learner->written))) {
		free(learner->original);
		learner->original = take_pointer(text);
	}
	free(take_pointer(learner->ref));
	r = r < 0 ? r
		  : learn_document(learner->file, learner->original, learner->plug, &learner->needs,
			    learner->what, diagnostics, &learned, &learner->ref);
	if (r == 0 && (!learner->original || !streq(learned, learner->original))) {
		learner->added = true;
		r = write_file(learner, learned, there ? &st : NULL, at_the_end);
	}
	if (r < 0)
		return r;
	free(learner->written);
	learner->written = take_pointer(learned);
	return 0;
}

int learner_write(struct learner *learner, bool at_the_end, struct diagnostics *diagnostics)
{
	const char *lost = at_the_end ? "what was learned is lost" : "it is tried again";
	int r;

	if (!at_the_end && (!learner->news || now_usec() < learner->due))
		return 0;
	learner->news = false;
	learner->due = now_usec() + WRITE_INTERVAL_USEC;
	for (int tries = 0; tries < WRITE_TRIES; tries++) {
		r = write_once(learner, at_the_end, diagnostics);
		if (r != -EAGAIN)
			break;
	}
	if (r == -EBADMSG)
		diagnostics_add(diagnostics, SEVERITY_ERROR, learner->file, 0, 0,
			"cannot be added to as it is; %s", lost);
	else if (r < 0)
		r = refuse(diagnostics, learner, r, lost);
	return r;
}
