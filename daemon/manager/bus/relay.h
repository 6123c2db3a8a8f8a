/* SPDX-License-Identifier: MIT */
/* Between a peer of the control bus and the library.
 *
 * The library has no bounds that would do: it makes room for up to 128 MiB when a peer announces so
 * much, and keeps whatever a peer does not read. So what a peer sends is looked at where it lies,
 * in the socket, at the sender's expense, and goes in when it is whole: a line of the greeting, or
 * a message. What the library writes is taken from it at once, so that it is known how much it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct relay {
	int outside;      /* the peer */
	int inside;       /* the library has the other end */
	bool descriptors; /* may come from this peer */
	bool ended;       /* the peer sends nothing more; set by whoever watches outside */
	bool begun;       /* there is something that is not whole yet */
	bool shut;        /* it has sent what is refused for good: nothing more goes in */
	pid_t connector;  /* the process that has connected */
	int early;        /* bytes that may be a predecessor's of its number */
	bool others;      /* a message that went in is not, or may not be, its own */
	size_t greeting;  /* bytes of it so far */
	uint8_t *unread;  /* what the peer's socket had no room for, of this size, from this on */
	size_t unread_size, unread_start;
};

/* Takes outside, which has SO_PASSCRED; ret_library is the library's end. 0 or negative errno. */
int relay_open(struct relay *relay, int *outside, pid_t connector, int *ret_library);
void relay_close(struct relay *relay);

/* No message that has come by now is taken for the connector's. Before anything is sent: so whoever
 * keeps to D-Bus has sent none. 0 or negative errno. */
int relay_mistrust(struct relay *relay);

/* The next line or message goes in if it is whole, with at most one descriptor. 1 if one did; 0 if
 * there is none, then the next event of outside tells of more; or a negative errno if there will be
 * none. In the place of a message of more than CONTROL_MESSAGE_MAX bytes an empty one of that
 * serial goes in, for an error to answer, and the relay is shut. */
int relay_in(struct relay *relay, bool greeted);

/* Everything that the library has written, to the peer or to what it has not read. 1 if there was
 * something, 0 if not, or a negative errno: the peer or the library is gone. */
int relay_out(struct relay *relay);
static inline size_t relay_unread(const struct relay *relay)
{
	return relay->unread_size - relay->unread_start;
}

/* How long a message is, by its first bytes. 1; 0 if these are too few to tell; -EMSGSIZE if it has
 * more than CONTROL_MESSAGE_MAX; -EBADMSG if it is none. */
#define MESSAGE_HEADER_SIZE 16
int message_size(const uint8_t *data, size_t size, size_t *ret);
