/* SPDX-License-Identifier: MIT */
/* A run without a daemon: what mq-run, which was started, and mqgate-alone, which serves the
 * command, say to each other. Over a SOCK_SEQPACKET pair; every message is one fixed-size struct.
 *
 * mq-run → alone   signal                 it has received one
 * alone → mq-run   started + 1 descriptor a pidfd of the command
 * alone → mq-run   text                   a line for its standard error
 * alone → mq-run   stopped                the command is, by this signal
 * alone → mq-run   ended                  the command has, with this status of wait(2)
 *
 * On the other pair, to the process that becomes the command, mqgate-alone is what mqgated is on
 * the launcher socket (protocol.h). */
#pragma once

#include <stdint.h>

/* The descriptors on which mqgate-alone finds the two. Its arguments are the number of the process
 * that becomes the command, its child, and then ALONE_POLICY with files, or ALONE_LEARN with a
 * file, a plug (or "") and the command. */
#define ALONE_LAUNCH_FD 3
#define ALONE_FRONT_FD  4

#define ALONE_POLICY "--policy"
#define ALONE_LEARN  "--learn"

/* Nothing of the command is left: mqgate-alone ends, too. */
#define ALONE_NOTHING_LEFT 1

#define ALONE_TEXT_MAX 1024

enum alone_message_type {
	ALONE_SIGNAL = 1,
	ALONE_STARTED = 2,
	ALONE_TEXT = 3,
	ALONE_STOPPED = 4,
	ALONE_ENDED = 5,
};

struct alone_message {
	uint32_t type;
	int32_t number; /* of the signal; the pid; the status */
	int32_t code;   /* of the signal: si_code; ended: ALONE_NOTHING_LEFT, or 0 */
	uint32_t unused;
	uint64_t value; /* that came with the signal, if it was queued */
	char text[ALONE_TEXT_MAX];
};
