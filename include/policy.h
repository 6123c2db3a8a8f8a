/* SPDX-License-Identifier: MIT */
/* Policy: all packages and connections together.
 *
 * Packages and connections are immutable once loaded; a change makes a new set, and the holder
 * swaps it in after it is on disk. Nothing in here logs; what is wrong with a file comes back as
 * diagnostics, what is wrong with a command as a fault with a message for the person who typed it.
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/diagnostics.h"
#include "include/grants.h"
#include "include/syscalls.h"
#include "include/util.h"

/* --- packages ------------------------------------------------------------------------------ */

struct package;

/* Plugs, slots and apps are found by their names, which come first. */
struct plug {
	char *name;
	const struct package *package;
	char *id; /* attribute posix-mq; the name if absent */
	enum mediation mediation;
	char **paths; /* by which the program calls the slot's queues, with leading slash; may have
			 variables */
	size_t path_count; /* 0: by their own names */
	bool scoped;       /* named by an app or a hook, and bound to those only */
	unsigned line, column;
};

struct slot {
	char *name;
	const struct package *package;
	char *id;
	uint32_t permissions; /* what a connected plug gets; PERMISSION_OPEN is always in */
	char **paths;         /* with leading slash, path_count of them */
	size_t path_count;
	char **patterns; /* with leading slash; may have variables */
	size_t pattern_count;
	bool host;       /* namespace: host */
	mode_t mode_cut; /* what max-mode takes away */
	bool scoped;     /* as of a plug */
	unsigned line, column;
};

/* What mq-run --app runs. Plugs and slots that no app and no hook names are bound to all of them.
 */
struct app {
	char *name;        /* of a hook "hook.NAME", of a component's "+COMPONENT.hook.NAME" */
	bool of_component; /* a component's hook: it has no slots */
	char **plugs;      /* named by it, of our interface, sorted; each is in package->plugs */
	size_t plug_count;
	char **slots;
	size_t slot_count;
};

struct package {
	char *name;
	char *publisher; /* "" if absent */
	char *file;
	struct plug *plugs; /* sorted by name */
	size_t plug_count;
	struct slot *slots; /* sorted by name */
	size_t slot_count;
	struct app *apps; /* and hooks; sorted by name */
	size_t app_count;
};

struct package *package_free(struct package *package);
DEFINE_CLEANUP(struct package *, package_free);

/* Parses one document of size bytes. file is for the diagnostics. Returns 0 and the package
 * (without whatever was dropped with a warning), -EBADMSG with at least one error in diagnostics,
 * or -ENOMEM. */
int package_parse(const char *file, const char *text, size_t size, struct diagnostics *diagnostics,
	struct package **ret);

/* The same, reading the file. Other failures of reading are diagnostics too (-EBADMSG). */
int package_load(const char *file, struct diagnostics *diagnostics, struct package **ret);

/* The same, reading fd to its end; may block. */
int package_load_fd(
	int fd, const char *file, struct diagnostics *diagnostics, struct package **ret);

struct packages {
	unsigned references;
	struct package **items; /* sorted by name */
	size_t count;
	char **directories; /* that they were read from */
	size_t directory_count;
};

/* The .yaml files of a directory, sorted by name, and a note for each .yml file; the paths and
 * their array are the caller's to free. A missing directory is an empty one. 0, -ENOMEM, or -EIO
 * with an error if it cannot be read. */
int packages_list(const char *directory, struct diagnostics *diagnostics, char ***ret_paths,
	size_t *ret_count);

/* Reads the .yaml files of every directory in order; of the same file name the later directory's
 * wins, and a missing directory is an empty one. Two packages of one name are an error that names
 * both files; neither is loaded. Documents with errors are left out. Returns 0 (look at
 * diagnostics->errors) or -ENOMEM, or -EIO if a directory cannot be read. */
int packages_load(const char *const *directories, size_t directory_count,
	struct diagnostics *diagnostics, struct packages **ret);
struct packages *packages_ref(struct packages *packages);
struct packages *packages_unref(struct packages *packages);
DEFINE_CLEANUP(struct packages *, packages_unref);

const struct package *packages_find(const struct packages *packages, const char *name);
const struct plug *package_plug(const struct package *package, const char *name);
const struct slot *package_slot(const struct package *package, const char *name);
const struct app *package_app(const struct package *package, const char *name);

/* Whether a plug or slot of the app's package is bound to the app. */
bool app_has_plug(const struct app *app, const struct plug *plug);
bool app_has_slot(const struct app *app, const struct slot *slot);

/* --- connections --------------------------------------------------------------------------- */

enum connection_state {
	CONNECTION_MANUAL,
	CONNECTION_AUTO,
	CONNECTION_UNDESIRED,
};

const char *connection_state_to_string(enum connection_state state);
int connection_state_from_string(const char *text, enum connection_state *ret);

struct connection {
	char *plug; /* "package:plug"; both texts are shared between sets and not to be freed */
	char *slot; /* "package:slot" */
	enum connection_state state;
	uint64_t until; /* its end, seconds of CLOCK_REALTIME; 0: none. Only of manual ones */
};

struct connections {
	unsigned references;
	struct connection *items; /* sorted by plug, then slot; each pair once */
	size_t count;
};

int connections_new(struct connections **ret);
struct connections *connections_ref(struct connections *connections);
struct connections *connections_unref(struct connections *connections);
DEFINE_CLEANUP(struct connections *, connections_unref);

/* A new set that also has (or changes) this one; without this one. -ENOENT if there was none;
 * -E2BIG. The first gives it no end. */
int connections_with(const struct connections *connections, const char *plug, const char *slot,
	enum connection_state state, struct connections **ret);
int connections_with_end(const struct connections *connections, const char *plug, const char *slot,
	enum connection_state state, uint64_t until, struct connections **ret);
int connections_without(const struct connections *connections, const char *plug, const char *slot,
	struct connections **ret);
const struct connection *connections_find(
	const struct connections *connections, const char *plug, const char *slot);

/* state.c: DIR/connections.yaml. Loading: a missing file is an empty set; a file that cannot be
 * parsed, or of a newer version, is -EBADMSG with diagnostics that say how to repair it. */
int connections_load(
	const char *directory, struct diagnostics *diagnostics, struct connections **ret);

/* The same of any file; -ENOENT, without a diagnostic, if it is missing. */
int connections_load_file(
	const char *file, struct diagnostics *diagnostics, struct connections **ret);

/* Durable when it returns 0: temporary file, fsync, rename, fsync of the directory. On error the
 * old file stands, and no temporary file is left. */
int connections_save(const char *directory, const struct connections *connections);

/* --- the two together ---------------------------------------------------------------------- */

struct policy {
	struct packages *packages;
	struct connections *connections;
};
/* Gives up both references. */
void policy_release(struct policy *policy);

enum fault_kind {
	FAULT_NONE,
	FAULT_NOT_FOUND,     /* package, plug, slot, queue or name */
	FAULT_AMBIGUOUS,     /* several candidates */
	FAULT_NOT_CONNECTED, /* disconnecting what is not connected */
	FAULT_INVALID,       /* malformed argument */
};

struct fault {
	enum fault_kind kind;
	char *message; /* malloc'd; one or more lines without a final newline */
};
void fault_clear(struct fault *fault);

/* "pkg:name" → plug or slot. Both texts as typed by a person. Returns 0, -ENOENT or -EINVAL with
 * fault, -ENOMEM. */
int policy_find_plug(
	const struct policy *policy, const char *ref, const struct plug **ret, struct fault *fault);
int policy_find_slot(
	const struct policy *policy, const char *ref, const struct slot **ret, struct fault *fault);

/* As mq-run needs it: "[PKG:]NAME"; a bare name is looked up in all packages and exactly one must
 * match; else -ENOTUNIQ and a fault with the candidates, or -ENOENT and the nearest name. */
int policy_resolve_plug(const struct policy *policy, const char *text, const struct plug **ret,
	struct fault *fault);
int policy_resolve_slot(const struct policy *policy, const char *text, const struct slot **ret,
	struct fault *fault);

/* "package.app", "package.hook.hook" or "package+component.hook.hook", as typed by a person. 0, or
 * with a fault -EINVAL or -ENOENT, or without one -ENOMEM. */
int policy_find_app(const struct policy *policy, const char *text,
	const struct package **ret_package, const struct app **ret, struct fault *fault);

/* mqctl connect: slot is "pkg:slot", "pkg" (its only slot) or "". until as in struct connection.
 * Two of differing ids are connected with any_id only, or if they are connected already.
 * ret_connections is the changed set; equal to the old one (a new reference) if it was already
 * connected manually with that end. 0, or with a fault -ENOENT, -EINVAL (also: they do not fit),
 * -ENOTUNIQ (a package of several slots) or -E2BIG (CONNECTIONS_MAX; kind FAULT_INVALID), or
 * without one -ENOMEM. */
int policy_connect(const struct policy *policy, const char *plug, const char *slot, uint64_t until,
	bool any_id, struct connections **ret_connections, struct fault *fault);

/* mqctl disconnect: second is "" in the one-argument form. ret_count: how many were cut; 0 is
 * possible only in the one-argument form. What is connected can be cut even if its package is gone.
 * With forget no word is left that an automatic one is not wanted, and what is only recorded goes
 * too. 0, or with a fault -ENOENT, -EINVAL or -ENOTCONN, or without one -ENOMEM. */
int policy_disconnect(const struct policy *policy, const char *first, const char *second,
	bool forget, struct connections **ret_connections, size_t *ret_count, struct fault *fault);

/* What follows from the packages alone: an automatic connection whose plug or slot is gone, or to
 * which it is no longer entitled, is dropped; each plug is connected to the slot of the same
 * publisher and id if there is exactly one, it fits, it is not of a parallel installation, and no
 * record stands against it. Manual and undesired ones stay. ret_connections is equal to the old one
 * (a new reference) if nothing follows. ret_left_out: how many CONNECTIONS_MAX did not admit. 0 or
 * -ENOMEM. */
int policy_auto_connect(
	const struct policy *policy, struct connections **ret_connections, size_t *ret_left_out);

/* Without those that have run out at now, in seconds of CLOCK_REALTIME. A new reference to the old
 * set if none has. 0 or -ENOMEM. */
int connections_expire(
	const struct connections *connections, uint64_t now, struct connections **ret);

/* The first one that is not before (plug, slot); slot "" for the first of a plug. */
size_t connections_lower_bound(
	const struct connections *connections, const char *plug, const char *slot);
/* The earliest end; 0 if no connection has one. */
uint64_t connections_next_end(const struct connections *connections);

enum connection_difference {
	CONNECTION_CONNECTED,    /* only in the new set */
	CONNECTION_DISCONNECTED, /* only in the old set */
	CONNECTION_KEPT,         /* in both; another state or another end */
};

/* Calls report for each connection that differs; undesired ones are none. connection is that of the
 * new set, or for disconnected ones of the old. */
void connections_compare(const struct connections *old, const struct connections *new,
	void (*report)(const struct connection *connection, enum connection_difference difference,
		void *userdata),
	void *userdata);

/* mqctl apply. text is a document
 *
 *   version: 1
 *   connections:
 *   - {plug: "pkg:plug", slot: "pkg:slot"}
 *   - {plug: "pkg:other", slot: "pkg:slot", any-id: true}
 *
 * after which exactly these are connected, by hand and without an end. The others are cut as by
 * policy_disconnect(). Two of differing ids need any-id, also if they are connected already: the
 * list is right or wrong whatever is connected. All or nothing: 0, -EBADMSG with diagnostics that
 * name file, or -ENOMEM. ret_connections is equal to the old one (a new reference) if nothing
 * changes. */
int policy_apply(const struct policy *policy, const char *file, const char *text, size_t size,
	struct diagnostics *diagnostics, struct connections **ret_connections);

/* "90s", "10m", "2h", "1d", "1h 30m" → seconds. 0, -EINVAL (no such span, or without a unit) or
 * -ERANGE (0, or more than CONNECTION_SPAN_MAX). */
int span_parse(const char *text, uint64_t *ret_seconds);

/* Seconds of CLOCK_REALTIME as "2000-01-31T23:59:59Z", and back (0 or -EINVAL). */
#define UTC_STRING_MAX sizeof("2000-01-31T23:59:59Z")
char *utc_format(uint64_t seconds, char buffer[static UTC_STRING_MAX]);
int utc_parse(const char *text, uint64_t *ret_seconds);

/* Adds to grants what a plug has through its connections (manual and auto, of slots that exist and
 * fit), or all permissions on a slot's own queues. Both refs are canonical ("pkg:name"); what no
 * longer exists adds nothing. instance: the session's, which takes the place of {instance}; NULL:
 * none, and such a rule adds nothing. The caller seals. */
int policy_add_plug_grants(
	const struct policy *policy, const char *plug, const char *instance, struct grants *grants);
int policy_add_slot_grants(
	const struct policy *policy, const char *slot, const char *instance, struct grants *grants);

/* Adds all queues that a slot can offer, whoever asks: each variable stands for anything. */
int policy_add_slot_scope(const struct policy *policy, const char *slot, struct grants *grants);

/* Whether a plug can be connected to a slot: it has no paths of its own, or as many as the slot,
 * and that has no patterns. 0, or -EINVAL with a fault. */
int policy_check_fit(const struct plug *plug, const struct slot *slot, struct fault *fault);

/* A warning for each connection that gives nothing since its two sides do not fit. */
void policy_report_misfits(const struct policy *policy, struct diagnostics *diagnostics);

/* What a session is bound to; canonical refs. */
struct bound {
	const char *const *plugs;
	size_t plug_count;
	const char *const *slots;
	size_t slot_count;
};

/* Whether all names that a session has have one meaning: -EEXIST and a fault that names both rules
 * if one may mean two queues, or a queue in two namespaces (of patterns it is enough that neither
 * their beginnings nor their ends tell them apart; a variable stands for anything). -EXDEV and a
 * fault that names the slot if there is one of namespace: host and no host (has_host is false). 0,
 * or without a fault -ENOMEM. */
int policy_check_names(
	const struct policy *policy, const struct bound *bound, bool has_host, struct fault *fault);

/* Whether any name that these have is one of {instance}. */
bool policy_names_instance(const struct policy *policy, const struct bound *bound);

/* Why a plug may or may not do something; runs decide(). For open with nothing connected see text.
 */
struct explanation {
	bool allowed;
	uint32_t missing;
	char *slot;    /* "pkg:slot" that gives it, or that would if connected; NULL if none */
	char *command; /* "mqctl connect …" that would grant it; NULL if allowed or if nothing would
			*/
	char *text;    /* one or more lines for a person, without the command, no final newline: it
			* names the rule, and the values of its variables */
};
void explanation_clear(struct explanation *explanation);

/* operation is a permission word; queue with leading slash. plug is "pkg:plug". 0, or negative with
 * fault. */
int policy_explain(const struct policy *policy, const char *plug, const char *operation,
	const char *queue, struct explanation *ret, struct fault *fault);

/* False if the kernel would not find a queue of that name (without slash), whatever is granted. */
bool queue_name_is_possible(const char *name);

/* For a record: the "mqctl connect [--any-id] PLUG SLOT" that would give missing permissions on a
 * queue (kernel's name, without slash) to one of these plugs, as narrowly as can be; where one does
 * not suffice, several with " && " between them. ret_command is NULL if nothing would, or if it
 * would be refused. 0 or -ENOMEM. */
int policy_suggest(const struct policy *policy, const char *const *plugs, size_t plug_count,
	const char *queue, uint32_t missing, char **ret_plug, char **ret_command);

/* The member of names that is nearest to text (edit distance at most a third of its length), or
 * NULL. Past NEAREST_STEPS_MAX further ones are not looked at. */
const char *nearest_name(const char *text, const char *const *names, size_t count);

/* --- mqgated.yaml -------------------------------------------------------------------------- */

struct config {
	char *admin_group;  /* NULL: root only */
	char *launch_group; /* NULL: everybody may launch */
	bool audit_allowed;
	uint32_t audit_rate; /* records a second and session */
};
void config_clear(struct config *config);

/* A missing file means the defaults. Unknown keys are errors. 0, -EBADMSG with diagnostics,
 * -ENOMEM. */
int config_load(const char *file, struct diagnostics *diagnostics, struct config *ret);
