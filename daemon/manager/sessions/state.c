/* SPDX-License-Identifier: MIT */
#include "state.h"

#include <poll.h>

bool listener_is_over(int listener)
{
	struct pollfd p = {.fd = listener};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

bool session_is_over(const struct session *session)
{
	return session->ended || listener_is_over(session->listener);
}

bool session_has_plug(const struct session *session, const char *plug)
{
	for (size_t i = 0; i < session->bindings.plug_count; i++)
		if (streq(session->bindings.plugs[i], plug))
			return true;
	return false;
}
