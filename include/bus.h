/* SPDX-License-Identifier: MIT */
/* The control bus: sd-bus over the Unix socket "control" in the runtime directory, without a bus
 * daemon.
 *
 *   Connect(ssa{sv})              plug "pkg:plug"; slot "pkg:slot", "pkg" or "";
 *                                 options: for t (seconds; then it is disconnected),
 *                                 any-id b (also if the ids differ)
 *   Disconnect(ssa{sv}) → a{sv}   "pkg:plug" "pkg:slot", or "pkg:plug-or-slot" "";
 *                                 options: forget b (leave no word that it is not wanted),
 *                                 kill b (end the sessions that still hold descriptors of what
 *                                 was taken, are registered on it, or may), wait t (seconds, for
 *                                 them to let go before)
 *                                 → disconnected t (connections cut; 0 in the one-argument form,
 *                                 and where kill or wait find it cut before), sessions t and
 *                                 processes t (that do either, before any were killed), holders t
 *                                 and registrants t (of them; one may be both), unknown t
 *                                 (processes that could not be looked at, or may be of another
 *                                 session), killed t, left t (processes not killed in time),
 * left-pids s (the first of these), failed t (sessions that could not be looked at)
 *   ApplyFile(ha{sv}) → a{sv}     a document (see policy_apply()), in a memfd that is sealed
 *                                 against writing and shrinking;
 *                                 options: dry-run b, file s (the document's name, for messages)
 *                                 → connect as, disconnect as, keep as: each "pkg:plug pkg:slot";
 *                                 keep: those that were automatic or had an end
 *   Apply(sa{sv}) → a{sv}         the same; the document is a string, as mqctl 0.1.0 sends it
 *   List(s) → aa{sv}              rows, see below
 *   Counters() → a{sv}a(sat)a(uussa(sat))
 *                                 of mqgated itself (to root and the admin-group): since t (time
 *                                 of day in seconds), launches t, launches-refused t,
 *                                 processes-replaced t (session processes), records-suppressed t
 *                                 (by sessions), records-dropped t (not sent to a reader); and
 *                                 connect, disconnect, apply, reload (tat): microseconds of all
 *                                 together, and how many took up to each of DURATION_BOUNDS, and
 *                                 longer;
 *                                 by plug, or by slot for what it has of its own ("": not known
 *                                 which), since then: the numbers of struct counters in that order;
 *                                 of each session: pid, uid, command, instance, the same by plug
 *   Explain(sss) → a{sv}          plug, permission word, "/queue"
 *                                 → allowed b, text s, slot s, command s ("" if none)
 *   Denials(s) → sa(ayutttuuiay)  of a plug: its id, and what its sessions were denied (messages.h)
 *   Last(u) → aa{sv}              the last records of one process (0: of all), as the signal has
 *                                 them, the oldest of each user first
 *   Reload() → as                 warnings, each as diagnostic_format() writes it
 *   Status() → a{sv}              every value a string; keys in the order shown
 *   signal Record(a{sv})          to root, the admin-group and the session's own user
 *
 * Who calls is known by the credentials of the socket, whatever it says in its greeting. A message
 * has at most CONTROL_MESSAGE_MAX bytes; descriptors are taken from root and the admin-group only.
 *
 * Connect, Disconnect, ApplyFile and Apply return when the change is in force in every running
 * session. Unknown options are InvalidArgument.
 *
 * Rows of List. Keys are the column names in lower case; absent values are "".
 *   packages      name s, publisher s, file s
 *   plugs         plug s, id s, mediation s, connected as (slots), path as
 *   slots         slot s, id s, permissions as, queues as (patterns too), namespace s ("host", or
 *                 "": the caller's), max-mode s ("0660"; "" if there is none)
 *   connections   interface s ("posix-mq"), plug s, slot s, notes s ("manual", "" for
 *                 auto; "manual,until=2000-01-31T23:59:59Z" for one with an end; then
 *                 ",any-id" for a manual one whose plug and slot have differing ids now,
 *                 ",misfit" for one that gives nothing, since they do not fit)
 *                 also one row for each plug and each slot that is not connected, the other side ""
 *   sessions      pid u, uid u, plugs as, slots as, mediation s, command s; root sees all, others
 * their own
 */
#pragma once

#define BUS_NAME      "org.mqgate" /* for clients that need one; nobody looks at it */
#define BUS_PATH      "/org/mqgate"
#define BUS_INTERFACE "org.mqgate.Manager1"
#define BUS_SOCKET    "control"
#define LAUNCH_SOCKET "launch"

#define BUS_ERROR_ACCESS_DENIED    "org.mqgate.Error.AccessDenied"
#define BUS_ERROR_NOT_FOUND        "org.mqgate.Error.NotFound"
#define BUS_ERROR_AMBIGUOUS        "org.mqgate.Error.Ambiguous"
#define BUS_ERROR_NOT_CONNECTED    "org.mqgate.Error.NotConnected"
#define BUS_ERROR_INVALID_ARGUMENT "org.mqgate.Error.InvalidArgument"
#define BUS_ERROR_STATE            "org.mqgate.Error.State" /* could not be written; nothing has changed */
#define BUS_ERROR_POLICY \
	"org.mqgate.Error.Policy" /* reload: a document is malformed, old policy stays */
#define BUS_ERROR_DEADLINE "org.mqgate.Error.Deadline" /* a session did not acknowledge in time */
#define BUS_ERROR_LIMIT    "org.mqgate.Error.Limit"    /* too many connections, or too long */
#define BUS_ERROR_FAILED   "org.mqgate.Error.Failed"
