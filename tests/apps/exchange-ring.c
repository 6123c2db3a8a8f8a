/* SPDX-License-Identifier: MIT */
/* Exchanging by io_uring, whose calls no filter sees: requests that close the number and install
 * what is registered there, once a byte has come through a pipe. Whoever carries them out acts on
 * the table of the one that made the ring, which has no other thread of its own. */
#include "exchange.h"

#include <linux/io_uring.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "exchange-ring.h"

#ifndef IORING_OP_FIXED_FD_INSTALL
#define IORING_OP_FIXED_FD_INSTALL 54
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif

#define ENTRIES 8
#define PAGE    4096

static struct {
	int fd;
	struct io_uring_params params;
	char *queues;
	struct io_uring_sqe *entries;
	unsigned added;
} ring;

static int ends[2];
static char byte;

static unsigned *submissions(unsigned offset)
{
	return (unsigned *)(ring.queues + offset);
}

static void open_ring(unsigned flags)
{
	ring.params = (struct io_uring_params){.flags = flags, .sq_thread_idle = 10000};
	ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &ring.params);
	if (ring.fd < 0)
		cannot("io_uring_setup");
	if (!(ring.params.features & IORING_FEAT_SINGLE_MMAP))
		cannot("IORING_FEAT_SINGLE_MMAP");
	ring.queues =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	ring.entries =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQES);
	if (ring.queues == MAP_FAILED || ring.entries == MAP_FAILED)
		cannot("mmap");
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &lost, 1) < 0)
		cannot("IORING_REGISTER_FILES");
}

static void add(struct io_uring_sqe entry)
{
	unsigned *tail = submissions(ring.params.sq_off.tail);
	unsigned place = *tail & (ENTRIES - 1);

	ring.entries[place] = entry;
	submissions(ring.params.sq_off.array)[place] = place;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	ring.added++;
}

static int enter(unsigned submit, unsigned complete)
{
	return (int)syscall(SYS_io_uring_enter, ring.fd, submit, complete,
		IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP, NULL, 0);
}

/* The result of the last one. */
static int consume(void)
{
	unsigned *head = submissions(ring.params.cq_off.head);
	unsigned tail = __atomic_load_n(submissions(ring.params.cq_off.tail), __ATOMIC_ACQUIRE);
	unsigned mask = *submissions(ring.params.cq_off.ring_mask);
	struct io_uring_cqe *results = (void *)(ring.queues + ring.params.cq_off.cqes);
	int result = results[(tail - 1) & mask].res;

	__atomic_store_n(head, tail, __ATOMIC_RELEASE);
	return result;
}

static void add_exchange(unsigned flags)
{
	add((struct io_uring_sqe){.opcode = IORING_OP_CLOSE,
		.flags = (uint8_t)(flags | IOSQE_IO_HARDLINK),
		.fd = number});
	add((struct io_uring_sqe){.opcode = IORING_OP_FIXED_FD_INSTALL,
		.flags = (uint8_t)(flags | IOSQE_FIXED_FILE)});
}

/* The number is the lowest that is free as soon as it is closed: all below it are in use. */
static void choose_number(void)
{
	number = dup(kept);
	if (number < 0)
		cannot("dup");
}

void ring_open(unsigned flags)
{
	if (pipe(ends) < 0)
		cannot("pipe");
	open_ring(flags);
	choose_number();
	add_exchange(0);
	if (enter(2, 2) < 0)
		cannot("io_uring_enter");
	while (!(flags & IORING_SETUP_SQPOLL) && consume() != number) {
		errno = EOPNOTSUPP;
		cannot("IORING_OP_FIXED_FD_INSTALL");
	}
}

void ring_prepare(bool async)
{
	uint8_t flags = async ? IOSQE_ASYNC : 0;

	(void)syscall(SYS_close_range, number + 1, ~0U, 0);
	(void)dup2(kept, number);
	add((struct io_uring_sqe){.opcode = IORING_OP_READ,
		.flags = (uint8_t)(flags | IOSQE_IO_HARDLINK),
		.fd = ends[0],
		.addr = (uintptr_t)&byte,
		.len = 1,
		.off = (uint64_t)-1});
	add_exchange(flags);
	(void)enter(3, 0);
}

void ring_trigger(void)
{
	(void)!write(ends[1], "x", 1);
}

void ring_finish(void)
{
	(void)enter(0, 3);
	(void)consume();
}

static void trigger_at_each_turn(void)
{
	if (start_child() != 0)
		return;
	for (;;) {
		wait_for_turn();
		ring_trigger();
	}
}

static void take_turns_with_requests(bool async, unsigned flags)
{
	static const struct timespec past = {0};

	ring_open(flags);
	trigger_at_each_turn();
	for (;;) {
		ring_prepare(async);
		score->turns++;
		send_with(number, &past);
		ring_finish();
	}
}

void attack_ring_worker(void)
{
	take_turns_with_requests(true, 0);
}

/* What the caller does itself as soon as it is out of the kernel. */
void attack_ring_poll(void)
{
	take_turns_with_requests(false, 0);
}

void attack_ring_deferred(void)
{
	take_turns_with_requests(false, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
}

/* The kernel's thread acts on the caller's table when a child writes into the ring's memory. */
void attack_ring_sqpoll(void)
{
	ring_open(IORING_SETUP_SQPOLL);
	if (start_child() == 0)
		for (;;) {
			wait_for_turn();
			add_exchange(0);
			(void)enter(2, 0);
			(void)consume();
		}
	for (;;) {
		(void)syscall(SYS_close_range, number + 1, ~0U, 0);
		take_turn();
	}
}

/* A child acts on its own table. */
void attack_ring_inherited(void)
{
	ring_open(0);
	if (start_child() == 0)
		for (;;) {
			wait_for_turn();
			(void)syscall(SYS_close_range, number + 1, ~0U, 0);
			add_exchange(0);
			(void)enter(2, 2);
			(void)consume();
		}
	take_turns();
}
