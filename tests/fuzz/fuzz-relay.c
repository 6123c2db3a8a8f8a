/* SPDX-License-Identifier: MIT */
/* What a peer of the control bus sends, in pieces, on its way to the library: only what is whole
 * and short enough goes in, unchanged and in order, and the rest stays where it is. The first byte
 * of the input says how the greeting ends; before each piece is its length. */
#include <endian.h>
#include <sys/socket.h>

#include "daemon/manager/bus/relay.h"
#include "fuzz.h"
#include "include/limits.h"

static struct relay relay;
static int peer, library;

static void open_relay(void)
{
	int sockets[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
	peer = sockets[0];
	REQUIRE(setsockopt(sockets[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)) == 0);
	REQUIRE(relay_open(&relay, &sockets[1], getpid(), &library) == 0);
}

/* What has come in, in one piece. */
static size_t came_in(uint8_t *data)
{
	ssize_t n = recv(library, data, 2 * CONTROL_MESSAGE_MAX, MSG_DONTWAIT);

	REQUIRE(n > 0 && n <= CONTROL_MESSAGE_MAX);
	REQUIRE(recv(library, data + n, 1, MSG_DONTWAIT) < 0);
	return (size_t)n;
}

static void check_line(const uint8_t *data, size_t size)
{
	REQUIRE(size >= 2 && size <= CONTROL_GREETING_MAX);
	REQUIRE(memmem(data, size, "\r\n", 2) == data + size - 2);
}

static void check_message(const uint8_t *data, size_t size)
{
	size_t expected;

	REQUIRE(message_size(data, size, &expected) == 1 && expected == size);
}

/* What waits to be whole can become so. */
static void check_waiting(const uint8_t *rest, size_t size)
{
	uint32_t body, fields;

	if (size < MESSAGE_HEADER_SIZE || rest[0] != 'l')
		return;
	memcpy(&body, rest + 4, sizeof(body));
	memcpy(&fields, rest + 12, sizeof(fields));
	REQUIRE((uint64_t)le32toh(body) + le32toh(fields) <= CONTROL_MESSAGE_MAX);
}

/* sent: what has not come in yet, up to end. Returns whether there may be more. */
static bool check_next(const uint8_t **sent, const uint8_t *end, bool greeted)
{
	static uint8_t data[2 * CONTROL_MESSAGE_MAX + 1];
	int r = relay_in(&relay, greeted);
	size_t size;

	/* It is no message, or too long a greeting; nothing else is wrong with a peer that is
	 * there. */
	REQUIRE(r >= 0 || r == -EBADMSG || r == -EMSGSIZE);
	if (r == 0 && greeted)
		check_waiting(*sent, (size_t)(end - *sent));
	if (r <= 0)
		return false;
	size = came_in(data);
	if (greeted)
		check_message(data, size);
	else
		check_line(data, size);
	if (relay.shut) {
		REQUIRE(greeted && relay_in(&relay, true) == 0);
		return false;
	}
	REQUIRE(size <= (size_t)(end - *sent) && memcmp(data, *sent, size) == 0);
	REQUIRE(!relay.others);
	*sent += size;
	return true;
}

/* As much as the socket takes. ret_piece: that. */
static bool send_piece(struct input *input, const uint8_t **ret_piece, size_t *ret_size)
{
	const size_t wanted = take_number(input) % 70000, size = MIN(wanted, input->size);
	ssize_t n = send(peer, input->data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	*ret_piece = input->data;
	*ret_size = n > 0 ? (size_t)n : 0;
	input->data += *ret_size;
	input->size -= *ret_size;
	return *ret_size == size && size > 0;
}

/* What the library says comes out unchanged, read or not. */
static void check_out(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *read = malloc(size + 1);
	size_t have = 0;
	ssize_t n;

	REQUIRE(read && send(library, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size);
	while (relay_out(&relay) >= 0 &&
		(n = recv(peer, read + have, size + 1 - have, MSG_DONTWAIT)) > 0)
		have += (size_t)n;
	REQUIRE(have == size && memcmp(read, data, size) == 0 && relay_unread(&relay) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t all[CONTROL_MESSAGE_MAX];
	struct input input = {data, size};
	const bool greeted = take_byte(&input) & 1;
	const uint8_t *sent = all, *piece;
	size_t count = 0, piece_size;
	bool more;

	open_relay();
	do {
		more = send_piece(&input, &piece, &piece_size);
		if (count + piece_size > sizeof(all))
			break;
		memcpy(all + count, piece, piece_size);
		count += piece_size;
		while (check_next(&sent, all + count, greeted))
			;
	} while (more && !relay.shut);
	if (count > 0)
		check_out(all, count);
	relay_close(&relay);
	(void)close(peer);
	(void)close(library);
	return 0;
}
