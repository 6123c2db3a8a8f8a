/* SPDX-License-Identifier: MIT */
/* mqctl top: the sessions by what they do. */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "counters.h"
#include "list.h"

#include "include/limits.h"

/* --- what is shown -------------------------------------------------------------------------- */

struct view {
	struct manager_counters before, now;
	bool rates;         /* what came between the two, a second; otherwise what there is now */
	enum counter order; /* the largest first */
	uint64_t interval;  /* seconds */
};

struct line {
	const struct session_counters *session;
	double numbers[COUNTERS];
};

static double number_of(const struct view *view, uint64_t before, uint64_t now)
{
	if (!view->rates)
		return (double)now;
	return (double)(now - MIN(before, now)) * 1e6 /
	       (double)(view->now.taken - view->before.taken);
}

static void compute(const struct view *view, const struct session_counters *now, struct line *ret)
{
	const struct session_counters *before = counters_find(&view->before, now->pid);

	ret->session = now;
	for (size_t i = 0; i < COUNTERS; i++)
		ret->numbers[i] = number_of(view, before ? before->sum[i] : 0, now->sum[i]);
}

static int compare_lines(const void *a, const void *b, void *userdata)
{
	const struct line *x = a, *y = b;
	const enum counter *order = userdata;
	double left = x->numbers[*order], right = y->numbers[*order];

	if (left != right)
		return left < right ? 1 : -1;
	return (x->session->pid > y->session->pid) - (x->session->pid < y->session->pid);
}

/* --- as a table ----------------------------------------------------------------------------- */

enum {
	TOP_PID,
	TOP_UID,
	TOP_COMMAND,
	TOP_PLUGS,
	TOP_NUMBERS,
	TOP_INSTANCE = TOP_NUMBERS + COUNTERS,
	TOP_COLUMNS,
};

/* On a narrow terminal the last ones are cut off. */
#define COLUMNS_OF(unit)                                                                \
	{                                                                               \
		[TOP_PID] = {"PID", COLUMN_NUMBER}, [TOP_UID] = {"UID", COLUMN_NUMBER}, \
		[TOP_COMMAND] = {"Command"}, [TOP_PLUGS] = {"Plugs", COLUMN_LIST},      \
		[TOP_NUMBERS + COUNTER_CALLS] = {"Calls" unit, COLUMN_NUMBER},          \
		[TOP_NUMBERS + COUNTER_DENIED] = {"Denied" unit, COLUMN_NUMBER},        \
		[TOP_NUMBERS + COUNTER_REFUSED] = {"Refused" unit, COLUMN_NUMBER},      \
		[TOP_NUMBERS + COUNTER_SENT] = {"Sent" unit, COLUMN_NUMBER},            \
		[TOP_NUMBERS + COUNTER_RECEIVED] = {"Received" unit, COLUMN_NUMBER},    \
		[TOP_NUMBERS + COUNTER_BYTES] = {"Bytes" unit, COLUMN_NUMBER},          \
		[TOP_NUMBERS + COUNTER_WAITS] = {"Waits" unit, COLUMN_NUMBER},          \
		[TOP_INSTANCE] = {"Instance", .optional = true},                        \
	}

/* What rarely happens is not rounded away. */
static int set_number(struct cell *cell, double number, bool rate)
{
	char text[64];

	(void)snprintf(
		text, sizeof(text), "%.*f", rate && number > 0 && number < 10 ? 1 : 0, number);
	return cell_set(cell, text);
}

static int set_plugs(struct cell *cell, const struct tallies *plugs)
{
	size_t count = 0;

	cell->items = calloc(plugs->count + 1, sizeof(*cell->items));
	if (!cell->items)
		return -ENOMEM;
	for (size_t i = 0; i < plugs->count; i++) {
		if (!*plugs->items[i].ref)
			continue;
		cell->items[count] = strdup(plugs->items[i].ref);
		if (!cell->items[count++])
			return -ENOMEM;
	}
	return 0;
}

static int set_line(struct cell *cells, const struct line *line, bool rates)
{
	const struct session_counters *session = line->session;
	int r;

	r = set_number(&cells[TOP_PID], session->pid, false);
	r = r < 0 ? r : set_number(&cells[TOP_UID], session->uid, false);
	for (size_t i = 0; i < COUNTERS; i++)
		r = r < 0 ? r : set_number(&cells[TOP_NUMBERS + i], line->numbers[i], rates);
	r = r < 0 ? r : set_plugs(&cells[TOP_PLUGS], &session->plugs);
	r = r < 0 ? r : cell_set(&cells[TOP_COMMAND], session->command);
	return r < 0 ? r : cell_set(&cells[TOP_INSTANCE], session->instance);
}

static int make_table(const struct view *view, struct table **ret)
{
	static const struct column totals[TOP_COLUMNS] = COLUMNS_OF(""),
				   rates[TOP_COLUMNS] = COLUMNS_OF("/s");
	const size_t count = view->now.session_count;
	_cleanup_(table_freep) struct table *table = NULL;
	_cleanup_free_ struct line *lines = calloc(count + 1, sizeof(*lines));
	enum counter order = view->order;
	int r = lines ? table_new(view->rates ? rates : totals, TOP_COLUMNS, &table) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < count; i++)
		compute(view, &view->now.sessions[i], &lines[i]);
	if (r == 0)
		qsort_r(lines, count, sizeof(*lines), compare_lines, &order);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct cell *cells;

		r = table_add_row(table, &cells);
		r = r < 0 ? r : set_line(cells, &lines[i], view->rates);
	}
	if (r < 0)
		return r;
	*ret = take_pointer(table);
	return 0;
}

/* Reports its failures. */
static int take(const struct arguments *arguments, struct view *view)
{
	counters_clear(&view->before);
	view->before = view->now;
	view->now = (struct manager_counters){0};
	return counters_get(arguments, &view->now);
}

static void view_clear(struct view *view)
{
	counters_clear(&view->before);
	counters_clear(&view->now);
}

/* --- one after the other -------------------------------------------------------------------- */

static int print_view(const struct arguments *arguments, const struct view *view)
{
	_cleanup_(table_freep) struct table *table = NULL;
	int r = make_table(view, &table);

	return r < 0 ? print_no_memory() : print_table(arguments, table);
}

static int print_once(const struct arguments *arguments, struct view *view)
{
	int r = take(arguments, view);

	if (r == 0 && arguments->interval) {
		view->rates = true;
		(void)sleep((unsigned)view->interval);
		r = take(arguments, view);
	}
	return r < 0 ? r : print_view(arguments, view);
}

static int print_repeatedly(const struct arguments *arguments, struct view *view)
{
	int r;

	do {
		r = print_once(arguments, view);
		(void)fputs(arguments->json ? "" : "\n", stdout);
	} while (r == DONE && fflush(stdout) == 0);
	return r;
}

/* --- on a terminal -------------------------------------------------------------------------- */

#define CLEAR "\x1b[H\x1b[2J"

static const struct {
	char key;
	const char *name;
} orders[COUNTERS] = {
	[COUNTER_CALLS] = {'c', "calls"},
	[COUNTER_DENIED] = {'d', "denied"},
	[COUNTER_REFUSED] = {'r', "refused"},
	[COUNTER_SENT] = {'s', "sent"},
	[COUNTER_RECEIVED] = {'e', "received"},
	[COUNTER_BYTES] = {'b', "bytes"},
	[COUNTER_WAITS] = {'w', "waits"},
};

/* Of standard input, to which it is set back however we end. */
static struct termios original;

/* From the background the kernel would stop us instead, again and again. */
static void terminal_set(const struct termios *attributes)
{
	if (tcgetpgrp(STDIN_FILENO) == getpgrp())
		(void)tcsetattr(STDIN_FILENO, TCSANOW, attributes);
}

/* Keys come one by one and unseen. */
static void terminal_enter(void)
{
	struct termios raw = original;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	terminal_set(&raw);
}

static void terminal_leave(void)
{
	terminal_set(&original);
}

static void end_by_signal(int signal)
{
	terminal_leave();
	(void)raise(signal);
}

/* It only ends the wait for an event. */
static void draw_anew(int signal)
{
	(void)signal;
}

static void handle_signals(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT}, draws[] = {SIGWINCH, SIGCONT};
	const struct sigaction end = {.sa_handler = end_by_signal, .sa_flags = (int)SA_RESETHAND};
	const struct sigaction draw = {.sa_handler = draw_anew, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < ELEMENTSOF(ends); i++)
		(void)sigaction(ends[i], &end, NULL);
	for (size_t i = 0; i < ELEMENTSOF(draws); i++)
		(void)sigaction(draws[i], &draw, NULL);
}

static struct winsize terminal_size(void)
{
	struct winsize size = {0};

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	if (size.ws_col == 0 || size.ws_row == 0)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	return size;
}

/* The first lines, each as far as there is room for it. */
static void print_part(const char *text, struct winsize size, size_t lines)
{
	while (*text && lines-- > 0) {
		size_t length = strcspn(text, "\n");

		(void)fwrite(text, 1, display_cut(text, length, size.ws_col), stdout);
		(void)fputs(lines > 0 ? "\n" : "", stdout);
		text += length + (text[length] == '\n');
	}
}

static void print_title(const struct view *view, struct winsize size)
{
	char title[256];

	(void)snprintf(title, sizeof(title),
		"%zu session%s, %s, by %s%s    q quits; order: c d r s e b w; + - %" PRIu64 " s\n",
		view->now.session_count, view->now.session_count == 1 ? "" : "s",
		view->rates ? "per second" : "since they began", orders[view->order].name,
		view->rates ? "/s" : "", view->interval);
	print_part(title, size, 1);
	(void)fputs("\n", stdout);
}

static int draw(const struct view *view)
{
	const struct winsize size = terminal_size();
	_cleanup_(table_freep) struct table *table = NULL;
	_cleanup_free_ char *text = NULL;
	size_t bytes;
	int r = make_table(view, &table);
	FILE *f = r < 0 ? NULL : open_memstream(&text, &bytes);

	if (!f)
		return print_no_memory();
	r = table_print(table, &(struct table_form){0}, f);
	if (fclose(f) != 0 || r < 0)
		return print_no_memory();
	(void)fputs(CLEAR, stdout);
	print_title(view, size);
	print_part(text, size, size.ws_row > 2 ? size.ws_row - 2U : 1);
	return fflush(stdout) == 0 ? 0 : -errno;
}

enum event {
	EVENT_TIME,
	EVENT_DRAW,
	EVENT_QUIT,
};

static enum event on_key(struct view *view, char key)
{
	for (size_t i = 0; i < COUNTERS; i++)
		if (orders[i].key == key)
			view->order = (enum counter)i;
	if (key == '+' && view->interval < TOP_INTERVAL_MAX)
		view->interval++;
	if (key == '-' && view->interval > 1)
		view->interval--;
	return key == 'q' || key == 'Q' ? EVENT_QUIT : key == ' ' ? EVENT_TIME : EVENT_DRAW;
}

static enum event wait_for_event(struct view *view, bool has_keys)
{
	const uint64_t end = view->now.taken + view->interval * 1000000, now = now_usec();
	struct pollfd keys = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	int n = poll(&keys, 1, end > now ? (int)((end - now) / 1000) + 1 : 0);
	char key;

	if (n == 0)
		return EVENT_TIME;
	if (n < 0)
		return errno == EINTR ? EVENT_DRAW : EVENT_QUIT;
	return read(STDIN_FILENO, &key, 1) == 1 ? on_key(view, key) : EVENT_QUIT;
}

static int watch(const struct arguments *arguments, struct view *view, bool has_keys)
{
	enum event event = EVENT_TIME;
	int r = 0;

	while (r == 0 && event != EVENT_QUIT) {
		if (has_keys)
			terminal_enter();
		if (event == EVENT_TIME) {
			r = take(arguments, view);
			view->rates = view->before.taken > 0;
		}
		r = r < 0 ? r : draw(view);
		if (r == 0)
			event = wait_for_event(view, has_keys);
	}
	(void)fputs("\n", stdout);
	return r < 0 ? r : DONE;
}

static int show_on_terminal(const struct arguments *arguments, struct view *view)
{
	const bool has_keys = tcgetattr(STDIN_FILENO, &original) == 0;
	int r;

	if (has_keys)
		handle_signals();
	r = watch(arguments, view, has_keys);
	if (has_keys)
		terminal_leave();
	return r;
}

int verb_top(const struct arguments *arguments)
{
	_cleanup_(view_clear) struct view view = {.order = COUNTER_CALLS};
	bool terminal = isatty(STDOUT_FILENO) && !arguments->json;

	if (read_interval(arguments, 1, &view.interval) < 0)
		return USAGE;
	if (arguments->once || (!terminal && !arguments->interval))
		return print_once(arguments, &view);
	return terminal ? show_on_terminal(arguments, &view) : print_repeatedly(arguments, &view);
}
