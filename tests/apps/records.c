/* SPDX-License-Identifier: MIT */
/* records SOCKET: prints "listening", then the text of each record that the control bus tells, one
 * to a line, until the end of its input. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

static int on_message(sd_bus_message *message, void *unused, sd_bus_error *error)
{
	const char *key, *text;

	(void)unused, (void)error;
	if (!sd_bus_message_is_signal(message, "org.mqgate.Manager1", "Record") ||
		sd_bus_message_enter_container(message, 'a', "{sv}") < 0)
		return 0;
	while (sd_bus_message_enter_container(message, 'e', "sv") > 0 &&
		sd_bus_message_read(message, "s", &key) > 0) {
		if (strcmp(key, "text") != 0)
			(void)sd_bus_message_skip(message, "v");
		else if (sd_bus_message_read(message, "v", "s", &text) > 0)
			(void)printf("%s\n", text);
		if (sd_bus_message_exit_container(message) < 0)
			break;
	}
	(void)fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}};
	char address[256];
	sd_bus *bus = NULL;
	int r;

	if (argc != 2)
		return 2;
	(void)snprintf(address, sizeof(address), "unix:path=%s", argv[1]);
	if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, address) < 0 ||
		sd_bus_add_filter(bus, NULL, on_message, NULL) < 0 || sd_bus_start(bus) < 0)
		return 1;
	fds[1].fd = sd_bus_get_fd(bus);
	while (!sd_bus_is_ready(bus) && sd_bus_process(bus, NULL) >= 0)
		(void)sd_bus_wait(bus, 1000000);
	(void)puts("listening");
	(void)fflush(stdout);
	do {
		while ((r = sd_bus_process(bus, NULL)) > 0)
			;
		if (r < 0 || poll(fds, 2, -1) < 0)
			break;
	} while (!fds[0].revents);
	(void)sd_bus_flush_close_unref(bus);
	return 0;
}
