/* SPDX-License-Identifier: MIT */
/* The fd receiver: a child of the manager that stands between it and one launcher. */
#pragma once

#include <stdbool.h>

#include "include/util.h"

struct account;
struct manager;

/* Whether descriptors can be sent to this socket at all, and to what is accepted from it. 0, or
 * -ENOPROTOOPT before Linux 6.16: then always. */
int descriptors_allow(int socket, bool allow);

/* Whether the next message in this socket has descriptors with it, or that cannot be told. None is
 * received. */
bool descriptors_wait(int socket);

/* Closes a connection with whatever descriptors lie in it, and does not wait for them: where they
 * could have been sent, a child lets go of them. */
void fd_receiver_close(struct manager *manager, int *socket);
/* The same of a socket to which descriptors may be sent in any case. */
void fd_receiver_close_loaded(struct manager *manager, int *socket);

/* Gives the launcher's socket to a new fd receiver; *socket is then the manager's end. The fd
 * receiver ends when either end is closed, but a file of somebody's own file system can hold it up;
 * the account has it until then. 0, or a negative errno with *socket untouched. */
int fd_receiver_start(struct account *account, int *socket);

/* The same with other work: its end of the pair, and the socket. It ends by letting go of that. */
int fd_receiver_start_with(struct account *account, void (*work)(int, int), int *socket);
_noreturn_ void fd_receiver_let_go(int socket, int same);

/* In a child: closes every descriptor but the standard ones and these two. */
void close_all_but(int first, int second);

/* At the end of the manager. */
void fd_receivers_free(struct manager *manager);
