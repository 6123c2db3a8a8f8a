/* SPDX-License-Identifier: MIT */
/* Connections to the control bus: who has one, whose turn it is, and how long it may be silent.
 *
 * One line or message of one peer is taken at a time, when what the peer was sent before is read.
 * Then it is the turn of another user; root's comes before all others.
 *
 * A confined process has nothing to do here. Who has a filter is examined when it has connected and
 * again for each change that it asks for (methods.c), and has no turn meanwhile; others have. A
 * confined one is told so when it calls, and dropped. */
#include "peer.h"

#include <systemd/sd-id128.h>
#include <sys/socket.h>

#include "connection.h"
#include "daemon/manager/peers/fd-receiver.h"
#include "include/bus.h"
#include "include/limits.h"
#include "include/log.h"
#include "messages.h"
#include "change-methods.h"
#include "methods.h"
#include "daemon/manager/sessions/record.h"
#include "daemon/manager/sessions/records.h"
#include "daemon/manager/sessions/totals.h"
#include "daemon/manager/core/timer.h"

#define MEMBER_USEC 1000000 /* so long it is not asked again whether it is one of admin-group */

static struct peer *peer_free(struct peer *peer)
{
	if (!peer)
		return NULL;
	LIST_DROP(peer->account->peers, peer);
	peer->examination = examination_free(peer->examination);
	peer->change = sd_bus_message_unref(peer->change);
	peer->account->taken[peer->share]--;
	peer->account->taken[SHARE_UNREAD] -= peer->unread;
	peer->account = account_unref(peer->account);
	peer->outside_source = sd_event_source_disable_unref(peer->outside_source);
	peer->inside_source = sd_event_source_disable_unref(peer->inside_source);
	peer->silence_source = sd_event_source_disable_unref(peer->silence_source);
	peer->bus = sd_bus_close_unref(peer->bus);
	fd_receiver_close(peer->manager, &peer->relay.outside);
	relay_close(&peer->relay);
	peer->identity.pidfd = safe_close(peer->identity.pidfd);
	free(peer);
	return NULL;
}

void peers_free(struct manager *manager)
{
	FOREACH (account, manager->accounts) {
		/* The last one takes it along. */
		account->references++;
		FOREACH (peer, account->peers)
			(void)peer_free(peer);
		(void)account_unref(account);
	}
	manager->turn_source = sd_event_source_disable_unref(manager->turn_source);
}

static bool peer_is_greeted(const struct peer *peer)
{
	return sd_bus_is_ready(peer->bus) > 0;
}

/* --- what there is to do for one -------------------------------------------------------------- */

static void count_unread(struct peer *peer)
{
	const size_t unread = relay_unread(&peer->relay);

	peer->account->taken[SHARE_UNREAD] += unread - peer->unread;
	peer->unread = unread;
	peer->records = MIN(peer->records, unread);
}

static int run(struct peer *peer)
{
	int r, out;

	do {
		r = sd_bus_process(peer->bus, NULL);
		out = r < 0 ? r : relay_out(&peer->relay);
	} while (r > 0 || out > 0);
	count_unread(peer);
	return out;
}

/* A message, or what there is of the greeting, which costs little. 1 if there may be more to do, 0
 * if something must happen before, or negative errno. */
static int step(struct peer *peer)
{
	bool greeted;
	int r = run(peer);

	/* The end of one that is shut is never come upon. */
	if (r >= 0 && peer->gone && peer->relay.shut)
		return -ECONNRESET;
	do {
		if (r < 0 || peer->unread > 0)
			return r;
		greeted = peer_is_greeted(peer);
		r = relay_in(&peer->relay, greeted);
		if (r <= 0)
			return r;
		r = run(peer);
	} while (!greeted);
	return r < 0 ? r : 1;
}

static bool peer_owes(const struct peer *peer)
{
	return !peer_is_greeted(peer) || peer->unread > peer->records || peer->relay.begun ||
	       peer->relay.shut || peer->confined != 0;
}

static int on_silence(sd_event_source *source, uint64_t usec, void *userdata);

static int start_silence(struct peer *peer)
{
	return timer_start(peer->manager->event, &peer->silence_source, CONTROL_SILENCE_USEC,
		on_silence, peer);
}

/* Whatever it sends or reads, it has that time again, but for the greeting once. */
static int watch_silence(struct peer *peer, bool came)
{
	const bool greeted = peer_is_greeted(peer) && peer->confined == 0;
	const bool moved = came || peer->unread < peer->owed;
	int enabled, r;

	peer->owed = peer->unread;
	if (!peer_owes(peer))
		return sd_event_source_set_enabled(peer->silence_source, SD_EVENT_OFF);
	r = sd_event_source_get_enabled(peer->silence_source, &enabled);
	if (r < 0 || (enabled != SD_EVENT_OFF && !(greeted && moved)))
		return r;
	return start_silence(peer);
}

static void report_unread(const struct peer *peer)
{
	/* Once, or anybody could fill the log. */
	if (peer->unread > 0 && !peer->account->reported)
		log_warning("control: pid %d, uid %u does not read its messages; dropped",
			(int)peer->identity.pid, peer->identity.uid);
	peer->account->reported |= peer->unread > 0;
}

static int drop(struct peer *peer)
{
	report_unread(peer);
	(void)peer_free(peer);
	return 0;
}

/* It may be us who were busy meanwhile. */
static int on_silence(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct peer *peer = userdata;
	const size_t greeting = peer->relay.greeting, unread = peer->unread;
	int r;

	/* It is us who keep it waiting. */
	if (peer->examination)
		return start_silence(peer) < 0 ? drop(peer) : 0;
	r = step(peer);

	if (r < 0 || (r == 0 && peer->relay.greeting == greeting && peer->unread >= unread &&
			     peer_owes(peer)))
		return drop(peer);
	peer->ready = r > 0;
	r = watch_silence(peer, true);
	return r < 0 ? drop(peer)
		     : sd_event_source_set_enabled(peer->manager->turn_source, SD_EVENT_ONESHOT);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* The last one that is ready, of the first kind that has one. */
static struct peer *next_peer(const struct manager *manager)
{
	struct peer *next = NULL;

	FOREACH (account, manager->accounts) {
		if (next && next->account->kind < account->kind)
			continue;
		FOREACH (peer, account->peers)
			if (peer->ready && !peer->examination)
				next = peer;
	}
	return next;
}

/* Then they come last. */
static void put_first(struct manager *manager, struct account *account, struct peer *peer)
{
	LIST_DROP(manager->accounts, account);
	LIST_ADD(manager->accounts, account);
	LIST_DROP(account->peers, peer);
	LIST_ADD(account->peers, peer);
}

static int on_turn(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;
	struct peer *peer = next_peer(manager);
	int r;

	if (!peer)
		return 0;
	put_first(manager, peer->account, peer);
	r = step(peer);
	peer->ready = r > 0;
	r = r < 0 ? r : watch_silence(peer, r > 0);
	if (r < 0)
		(void)peer_free(peer);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_event(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct peer *peer = userdata;

	if (fd == peer->relay.outside && events & (EPOLLHUP | EPOLLERR))
		peer->gone = true;
	if (fd == peer->relay.outside && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		peer->relay.ended = true;
	peer->ready = true;
	return sd_event_source_set_enabled(peer->manager->turn_source, SD_EVENT_ONESHOT);
}

/* --- records ---------------------------------------------------------------------------------- */

static bool has_room(const struct peer *peer)
{
	return peer->unread < CONTROL_RECORDS_UNREAD_MAX &&
	       !account_is_full(peer->account, SHARE_UNREAD);
}

/* Nobody is waited for, and nobody who reads slowly is sent away: it is told how much it misses. */
static void send_record(struct peer *peer, const struct record *record)
{
	const size_t unread = peer->unread;

	if (!records_may_send(peer->manager, record) || !has_room(peer)) {
		peer->dropped++;
		peer->manager->totals->records_dropped++;
		return;
	}
	if (bus_send_record(peer->bus, record, peer->dropped) < 0 || run(peer) < 0) {
		(void)peer_free(peer);
		return;
	}
	peer->dropped = 0;
	peer->records += peer->unread - MIN(unread, peer->unread);
	if (watch_silence(peer, false) < 0)
		(void)peer_free(peer);
}

static bool is_member(struct peer *peer)
{
	const uint64_t now = now_usec();

	if (now - peer->looked >= MEMBER_USEC) {
		peer->sees_all = bus_is_administrator(peer) > 0;
		peer->looked = now;
	}
	return peer->sees_all;
}

static bool may_see(struct peer *peer, const struct record *record)
{
	if (peer->share != SHARE_CONTROL || peer->examination || !peer_is_greeted(peer))
		return false;
	return peer->identity.uid == record->session_uid || is_member(peer);
}

static void tell(struct manager *manager, const struct record *record)
{
	FOREACH (account, manager->accounts)
		FOREACH (peer, account->peers)
			if (may_see(peer, record))
				send_record(peer, record);
}

/* --- from accept() on ------------------------------------------------------------------------- */

static int start_bus(struct peer *peer, int *library)
{
	sd_id128_t server;
	int r;

	r = sd_bus_new(&peer->bus);
	r = r < 0 ? r : sd_bus_set_fd(peer->bus, *library, *library);
	if (r < 0)
		return r;
	*library = -EBADF;
	r = sd_id128_randomize(&server);
	r = r < 0 ? r : sd_bus_set_server(peer->bus, true, server);
	/* The kernel has said who it is; whatever it says itself is not believed. */
	r = r < 0 ? r : sd_bus_set_anonymous(peer->bus, true);
	r = r < 0 ? r : sd_bus_negotiate_fds(peer->bus, peer->relay.descriptors);
	r = r < 0 ? r : sd_bus_start(peer->bus);
	return r < 0 ? r : bus_serve_methods(peer);
}

static int start_events(struct peer *peer)
{
	sd_event *event = peer->manager->event;
	int r;

	r = sd_event_add_io(event, &peer->outside_source, peer->relay.outside,
		EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_event, peer);
	r = r < 0 ? r
		  : sd_event_add_io(event, &peer->inside_source, peer->relay.inside,
			    EPOLLIN | EPOLLET, on_event, peer);
	return r < 0 ? r : start_silence(peer);
}

/* Administrators may send descriptors; what those of others do when they are closed must not hold
 * us up. */
static void allow_descriptors(struct peer *peer)
{
	peer->relay.descriptors = peer->share == SHARE_CONTROL && bus_is_administrator(peer) > 0;
	(void)descriptors_allow(peer->relay.outside, peer->relay.descriptors);
}

/* From now on it has a place of those that are only told why. False: there is none. */
static bool only_tell(struct peer *peer)
{
	if (account_is_full(peer->account, SHARE_REFUSED))
		return false;
	peer->account->taken[peer->share]--;
	peer->share = SHARE_REFUSED;
	peer->account->taken[peer->share]++;
	return true;
}

static int begin(struct peer *peer)
{
	_cleanup_close_ int library = -EBADF;
	int socket = take_fd(&peer->relay.outside), r;

	r = relay_open(&peer->relay, &socket, peer->identity.pid, &library);
	if (r < 0) {
		peer->relay.outside = socket;
		return r;
	}
	r = peer->identity.by_number ? relay_mistrust(&peer->relay) : 0;
	if (r < 0)
		return r;
	allow_descriptors(peer);
	r = start_bus(peer, &library);
	return r < 0 ? r : start_events(peer);
}

static void on_examined(int confined, void *userdata)
{
	struct peer *peer = userdata;

	peer->examination = NULL;
	peer->confined = confined;
	if ((confined != 0 && !only_tell(peer)) || begin(peer) < 0)
		(void)peer_free(peer);
}

static int examine(struct peer *peer)
{
	int r;

	if (peer->share == SHARE_REFUSED)
		return 0;
	r = identity_may_be_confined(&peer->identity, serves_containers(peer->manager));
	if (r > 0)
		r = examination_start(
			peer->account, &peer->identity, on_examined, peer, &peer->examination);
	if (r != 0) {
		peer->confined = r;
		return only_tell(peer) ? 0 : -EAGAIN;
	}
	return 0;
}

/* Takes the reference to account, and socket and identity. */
static int peer_new(
	struct account *account, enum share share, int *socket, struct identity *identity)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer) {
		(void)account_unref(account);
		return -ENOMEM;
	}
	peer->manager = account->manager;
	peer->account = account;
	peer->share = share;
	peer->identity = *identity;
	identity->pidfd = -EBADF;
	peer->relay = (struct relay){.outside = take_fd(socket), .inside = -EBADF};
	account->taken[share]++;
	LIST_ADD(account->peers, peer);
	r = examine(peer);
	if (r == 0 && !peer->examination)
		r = begin(peer);
	if (r < 0)
		(void)peer_free(peer);
	return r;
}

static int admit(struct manager *manager, int *socket, struct identity *identity)
{
	struct account *account = account_of(manager, identity->uid);

	if (!account)
		return -ENOMEM;
	if (!account_is_full(account, SHARE_CONTROL))
		return peer_new(account, SHARE_CONTROL, socket, identity);
	if (!account_is_full(account, SHARE_REFUSED))
		return peer_new(account, SHARE_REFUSED, socket, identity);
	(void)account_unref(account);
	return 0;
}

/* Not so of a peer that is gone already: anybody could fill the log. */
static bool is_our_own_failure(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

int bus_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct manager *manager = userdata;
	int socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct identity identity;
	int r;

	if (socket < 0)
		return 0;
	if (identity_of_peer(socket, &identity) == 0) {
		r = admit(manager, &socket, &identity);
		if (is_our_own_failure(r))
			log_errno(r, "control: cannot serve a connection");
		identity.pidfd = safe_close(identity.pidfd);
	}
	fd_receiver_close(manager, &socket);
	return 0;
}

/* A timer that has always run out, and not deferred work, takes its turn among all that there is to
 * do: neither do connections that come keep those that are there waiting, nor the other way round.
 */
int bus_start(struct manager *manager)
{
	int r;

	manager->tell = tell;
	r = sd_event_add_time(
		manager->event, &manager->turn_source, CLOCK_MONOTONIC, 0, 0, on_turn, manager);
	return r < 0 ? r : sd_event_source_set_enabled(manager->turn_source, SD_EVENT_OFF);
}
