/* SPDX-License-Identifier: MIT */
/* mqctl graph: which plug gets what from which slot, as text or for a program that draws; and who
 * uses it now. */
#include <inttypes.h>

#include "counters.h"
#include "list.h"

#include "include/array.h"
#include "include/limits.h"

/* --- what is drawn -------------------------------------------------------------------------- */

enum {
	CONNECTION_PLUG,
	CONNECTION_SLOT,
	CONNECTION_NOTES,
};

enum {
	SLOT_NAME,
	SLOT_PERMISSIONS,
	SLOT_QUEUES,
};

struct rate {
	uint32_t pid;
	const char *command, *plug;
	double calls; /* a second */
};

struct graph {
	struct table *connections; /* a row for each; an unconnected side has the other one empty */
	struct table *slots;
	struct rate *rates; /* of what runs now; by plug */
	size_t rate_count;
	struct manager_counters before, now;
};

static void graph_clear(struct graph *graph)
{
	(void)table_free(graph->connections);
	(void)table_free(graph->slots);
	free(graph->rates);
	counters_clear(&graph->before);
	counters_clear(&graph->now);
}

static const char *plug_of(const struct graph *graph, size_t row)
{
	return cell_text(&graph->connections->rows[row][CONNECTION_PLUG]);
}

static const char *slot_of(const struct graph *graph, size_t row)
{
	return cell_text(&graph->connections->rows[row][CONNECTION_SLOT]);
}

static struct cell *find_slot(const struct graph *graph, const char *slot)
{
	for (size_t i = 0; i < graph->slots->row_count; i++)
		if (streq(cell_text(&graph->slots->rows[i][SLOT_NAME]), slot))
			return graph->slots->rows[i];
	return NULL;
}

/* Items one after the other, malloc'd; NULL on lack of memory. */
static char *join(const struct cell *cell, const char *between)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (char **item = cell->items; item && *item; item++)
		(void)fprintf(f, "%s%s", item == cell->items ? "" : between, *item);
	return fclose(f) == 0 ? text : NULL;
}

static bool is_first(
	const struct graph *graph, size_t row, const char *(*side)(const struct graph *, size_t))
{
	for (size_t i = 0; i < row; i++)
		if (streq(side(graph, i), side(graph, row)))
			return false;
	return *side(graph, row) != '\0';
}

/* --- for people ----------------------------------------------------------------------------- */

static int print_connection_text(const struct graph *graph, size_t row)
{
	struct cell *slot = find_slot(graph, slot_of(graph, row));
	const char *notes = cell_text(&graph->connections->rows[row][CONNECTION_NOTES]);
	_cleanup_free_ char *permissions = slot ? join(&slot[SLOT_PERMISSIONS], ",") : strdup("");
	_cleanup_free_ char *queues = slot ? join(&slot[SLOT_QUEUES], " ") : strdup("");
	_cleanup_free_ char *shown = queues ? escape_all(queues) : NULL;

	if (!permissions || !shown)
		return -ENOMEM;
	(void)printf("  %s -> %s%s%s%s  %s\n", permissions, slot_of(graph, row), *notes ? " (" : "",
		notes, *notes ? ")" : "", shown);
	return 0;
}

static void print_rates_text(const struct graph *graph, const char *plug)
{
	for (size_t i = 0; i < graph->rate_count; i++) {
		const struct rate *rate = &graph->rates[i];

		if (streq(rate->plug, plug))
			(void)printf("  used by %" PRIu32 " (%s): %.1f calls/s\n", rate->pid,
				rate->command, rate->calls);
	}
}

/* Those that have a slot. */
static void print_owners_text(const struct graph *graph)
{
	for (size_t i = 0; i < graph->slots->row_count; i++) {
		const char *slot = cell_text(&graph->slots->rows[i][SLOT_NAME]);
		bool used = false;

		for (size_t j = 0; j < graph->rate_count; j++)
			used = used || streq(graph->rates[j].plug, slot);
		if (used)
			(void)printf("%s\n", slot);
		print_rates_text(graph, slot);
	}
}

static int print_text(const struct graph *graph)
{
	int r = 0;

	for (size_t i = 0; i < graph->connections->row_count && r == 0; i++) {
		if (!*plug_of(graph, i))
			continue;
		if (is_first(graph, i, plug_of)) {
			(void)printf("%s\n", plug_of(graph, i));
			print_rates_text(graph, plug_of(graph, i));
		}
		if (*slot_of(graph, i))
			r = print_connection_text(graph, i);
		else
			(void)puts("  not connected");
	}
	for (size_t i = 0; i < graph->connections->row_count; i++)
		if (!*plug_of(graph, i))
			(void)printf("%s\n  not connected\n", slot_of(graph, i));
	print_owners_text(graph);
	return r;
}

/* --- for programs that draw ----------------------------------------------------------------- */

enum node_kind {
	NODE_PLUG,
	NODE_SLOT,
	NODE_SESSION,
	NODE_KINDS,
};

enum edge_kind {
	EDGE_AUTO,
	EDGE_MANUAL,
	EDGE_USED,
	EDGE_KINDS,
};

/* How one of them writes things down. Labels are escaped. */
struct language {
	const char *begin, *end, *package_end;
	void (*package)(size_t number, const char *name);
	void (*node)(enum node_kind kind, size_t number, const char *label);
	void (*edge)(enum edge_kind kind, size_t from, size_t to, const char *label);
	const char *line;               /* between two lines of a label */
	const char *(*escaped)(char c); /* NULL: as it is */
};

static void dot_package(size_t number, const char *name)
{
	(void)printf("\tsubgraph cluster_%zu {\n\t\tlabel=\"%s\"; style=rounded\n", number, name);
}

static void dot_node(enum node_kind kind, size_t number, const char *label)
{
	static const char *const shapes[NODE_KINDS] = {"ellipse", "box", "plain"};

	(void)printf("\t\tn%zu [shape=%s, label=\"%s\"]\n", number, shapes[kind], label);
}

static void dot_edge(enum edge_kind kind, size_t from, size_t to, const char *label)
{
	static const char *const styles[EDGE_KINDS] = {"dashed", "solid", "dotted"};

	(void)printf("\tn%zu -> n%zu [style=%s, label=\"%s\"]\n", from, to, styles[kind], label);
}

static const char *dot_escaped(char c)
{
	return c == '"' ? "\\\"" : c == '\\' ? "\\\\" : NULL;
}

static const struct language dot = {
	.begin = "digraph mqgate {\n"
		 "\trankdir=LR\n"
		 "\tfontname=\"sans-serif\"\n"
		 "\tnode [fontname=\"sans-serif\", fontsize=11]\n"
		 "\tedge [fontname=\"sans-serif\", fontsize=10]\n",
	.end = "}\n",
	.package_end = "\t}\n",
	.package = dot_package,
	.node = dot_node,
	.edge = dot_edge,
	.line = "\\n",
	.escaped = dot_escaped,
};

static void mermaid_package(size_t number, const char *name)
{
	(void)printf("\tsubgraph g%zu[\"%s\"]\n", number, name);
}

static void mermaid_node(enum node_kind kind, size_t number, const char *label)
{
	static const char *const shapes[NODE_KINDS][2] = {{"([", "])"}, {"[", "]"}, {">", "]"}};

	(void)printf("\t\tn%zu%s\"%s\"%s\n", number, shapes[kind][0], label, shapes[kind][1]);
}

static void mermaid_edge(enum edge_kind kind, size_t from, size_t to, const char *label)
{
	static const char *const arrows[EDGE_KINDS] = {"-.->", "-->", "-.-"};

	(void)printf("\tn%zu %s|\"%s\"| n%zu\n", from, arrows[kind], label, to);
}

static const char *mermaid_escaped(char c)
{
	return c == '"'   ? "#quot;"
	       : c == '#' ? "#35;"
	       : c == '<' ? "#lt;"
	       : c == '>' ? "#gt;"
			  : NULL;
}

static const struct language mermaid = {
	.begin = "flowchart LR\n",
	.end = "",
	.package_end = "\tend\n",
	.package = mermaid_package,
	.node = mermaid_node,
	.edge = mermaid_edge,
	.line = "<br/>",
	.escaped = mermaid_escaped,
};

/* A label: each text on a line of its own. malloc'd; NULL on lack of memory. */
static char *make_label(const struct language *language, char *const *texts)
{
	char *label = NULL;
	size_t size;
	FILE *f = open_memstream(&label, &size);

	if (!f)
		return NULL;
	for (char *const *text = texts; text && *text; text++) {
		_cleanup_free_ char *shown = escape_all(*text);

		(void)fputs(text == texts ? "" : language->line, f);
		for (const char *p = shown ? shown : "?"; *p; p++) {
			const char *escaped = language->escaped(*p);

			if (escaped)
				(void)fputs(escaped, f);
			else
				(void)fputc(*p, f);
		}
	}
	return fclose(f) == 0 ? label : NULL;
}

/* A plug or a slot. Its number is its place. */
struct node {
	const char *ref;
	bool slot;
};

struct nodes {
	struct node *items;
	size_t count;
};

static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;
	int c = strcmp(x->ref, y->ref);

	return c ? c : (int)x->slot - (int)y->slot;
}

/* Each once, packages together. */
static int find_nodes(const struct graph *graph, struct nodes *ret)
{
	const size_t rows = graph->connections->row_count;
	size_t kept = 0;

	ret->items = calloc(2 * rows + 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (size_t i = 0; i < rows; i++) {
		ret->items[2 * i] = (struct node){plug_of(graph, i), false};
		ret->items[2 * i + 1] = (struct node){slot_of(graph, i), true};
	}
	qsort(ret->items, 2 * rows, sizeof(*ret->items), compare_nodes);
	for (size_t i = 0; i < 2 * rows; i++)
		if (*ret->items[i].ref &&
			(kept == 0 || compare_nodes(&ret->items[kept - 1], &ret->items[i]) != 0))
			ret->items[kept++] = ret->items[i];
	ret->count = kept;
	return 0;
}

static size_t number_of(const struct nodes *nodes, const char *ref, bool slot)
{
	const struct node key = {ref, slot};
	const struct node *found =
		bsearch(&key, nodes->items, nodes->count, sizeof(key), compare_nodes);

	return found ? (size_t)(found - nodes->items) : nodes->count;
}

/* Its name, and what queues a slot has. */
static int draw_node(const struct graph *graph, const struct language *language,
	const struct node *node, size_t n)
{
	struct cell *slot = node->slot ? find_slot(graph, node->ref) : NULL;
	size_t count = 0;
	_cleanup_free_ char *label = NULL, **texts = NULL;

	while (slot && slot[SLOT_QUEUES].items && slot[SLOT_QUEUES].items[count])
		count++;
	texts = calloc(count + 2, sizeof(*texts));
	if (!texts)
		return -ENOMEM;
	texts[0] = (char *)strchr(node->ref, ':') + 1;
	for (size_t i = 0; i < count; i++)
		texts[i + 1] = slot[SLOT_QUEUES].items[i];
	label = make_label(language, texts);
	if (!label)
		return -ENOMEM;
	language->node(node->slot ? NODE_SLOT : NODE_PLUG, n, label);
	return 0;
}

static size_t package_length(const char *ref)
{
	return strcspn(ref, ":");
}

static bool same_package(const char *a, const char *b)
{
	return package_length(a) == package_length(b) && strncmp(a, b, package_length(a)) == 0;
}

static int draw_packages(
	const struct graph *graph, const struct language *language, const struct nodes *nodes)
{
	int r = 0;

	for (size_t i = 0; i < nodes->count && r == 0; i++) {
		const char *ref = nodes->items[i].ref;

		if (i == 0 || !same_package(ref, nodes->items[i - 1].ref)) {
			_cleanup_free_ char *name = strndup(ref, package_length(ref));

			if (!name)
				return -ENOMEM;
			language->package(i, name);
		}
		r = draw_node(graph, language, &nodes->items[i], i);
		if (i + 1 == nodes->count || !same_package(ref, nodes->items[i + 1].ref))
			(void)fputs(language->package_end, stdout);
	}
	return r;
}

static int draw_connection(const struct graph *graph, const struct language *language,
	const struct nodes *nodes, size_t row)
{
	struct cell *slot = find_slot(graph, slot_of(graph, row));
	const char *notes = cell_text(&graph->connections->rows[row][CONNECTION_NOTES]);
	const char *until = strstr(notes, "until=");
	_cleanup_free_ char *permissions = slot ? join(&slot[SLOT_PERMISSIONS], ",") : strdup("");
	_cleanup_free_ char *label = NULL;

	if (!permissions)
		return -ENOMEM;
	label = make_label(language, (char *[]){permissions, (char *)until, NULL});
	if (!label)
		return -ENOMEM;
	language->edge(startswith(notes, "manual") ? EDGE_MANUAL : EDGE_AUTO,
		number_of(nodes, plug_of(graph, row), false),
		number_of(nodes, slot_of(graph, row), true), label);
	return 0;
}

/* What has several plugs is drawn once for each. */
static int draw_use(const struct language *language, const struct nodes *nodes,
	const struct rate *rate, size_t n)
{
	const size_t as_plug = number_of(nodes, rate->plug, false);
	const size_t plug = as_plug < nodes->count ? as_plug : number_of(nodes, rate->plug, true);
	_cleanup_free_ char *text = NULL, *label = NULL;
	char calls[64];

	if (plug == nodes->count)
		return 0;
	if (asprintf(&text, "%s %" PRIu32, rate->command, rate->pid) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	label = make_label(language, (char *[]){text, NULL});
	if (!label)
		return -ENOMEM;
	language->node(NODE_SESSION, n, label);
	(void)snprintf(calls, sizeof(calls), "%.1f calls/s", rate->calls);
	language->edge(EDGE_USED, n, plug, calls);
	return 0;
}

static int draw(const struct graph *graph, const struct language *language)
{
	struct nodes nodes = {0};
	int r;

	(void)fputs(language->begin, stdout);
	r = find_nodes(graph, &nodes);
	r = r < 0 ? r : draw_packages(graph, language, &nodes);
	for (size_t i = 0; i < graph->connections->row_count && r == 0; i++)
		if (*plug_of(graph, i) && *slot_of(graph, i))
			r = draw_connection(graph, language, &nodes, i);
	for (size_t i = 0; i < graph->rate_count && r == 0; i++)
		r = draw_use(language, &nodes, &graph->rates[i], nodes.count + i);
	(void)fputs(language->end, stdout);
	free(nodes.items);
	return r;
}

/* --- what there is -------------------------------------------------------------------------- */

static uint64_t calls_before(const struct graph *graph, uint32_t pid, const char *plug)
{
	const struct session_counters *before = counters_find(&graph->before, pid);

	for (size_t i = 0; before && i < before->plugs.count; i++)
		if (streq(before->plugs.items[i].ref, plug))
			return before->plugs.items[i].numbers[COUNTER_CALLS];
	return 0;
}

static int add_rates(struct graph *graph, const struct session_counters *session)
{
	double seconds = (double)(graph->now.taken - graph->before.taken) / 1e6;
	int r = 0;

	for (size_t i = 0; i < session->plugs.count && r == 0; i++) {
		const struct tally *plug = &session->plugs.items[i];
		uint64_t now = plug->numbers[COUNTER_CALLS];
		uint64_t before = MIN(calls_before(graph, session->pid, plug->ref), now);
		const struct rate rate = {session->pid, session->command, plug->ref,
			(double)(now - before) / seconds};

		if (*plug->ref)
			r = array_append(&graph->rates, &graph->rate_count, &rate, sizeof(rate));
	}
	return r;
}

/* Reports its failures. */
static int look_at_sessions(const struct arguments *arguments, struct graph *graph)
{
	uint64_t seconds;
	int r;

	if (read_interval(arguments, 1, &seconds) < 0)
		return USAGE;
	r = counters_get(arguments, &graph->before);
	if (r == 0) {
		(void)sleep((unsigned)seconds);
		r = counters_get(arguments, &graph->now);
	}
	for (size_t i = 0; i < graph->now.session_count && r == 0; i++)
		if (add_rates(graph, &graph->now.sessions[i]) < 0)
			r = print_no_memory();
	return r;
}

static int look(const struct arguments *arguments, struct graph *graph)
{
	static const struct column connections[] = {[CONNECTION_PLUG] = {"Plug"},
		[CONNECTION_SLOT] = {"Slot"},
		[CONNECTION_NOTES] = {"Notes"}};
	static const struct column slots[] = {[SLOT_NAME] = {"Slot"},
		[SLOT_PERMISSIONS] = {"Permissions", COLUMN_LIST},
		[SLOT_QUEUES] = {"Queues", COLUMN_LIST}};
	int r;

	r = manager_list(arguments, "connections", connections, ELEMENTSOF(connections),
		&graph->connections);
	r = r < 0 ? r : manager_list(arguments, "slots", slots, ELEMENTSOF(slots), &graph->slots);
	return r < 0 || !arguments->live ? r : look_at_sessions(arguments, graph);
}

int verb_graph(const struct arguments *arguments)
{
	const char *format = arguments->format ? arguments->format : "text";
	const struct language *language = streq(format, "dot")       ? &dot
					  : streq(format, "mermaid") ? &mermaid
								     : NULL;
	_cleanup_(graph_clear) struct graph graph = {0};
	int r;

	if (!language && !streq(format, "text")) {
		print_error("--format %s: use text, dot or mermaid", format);
		return USAGE;
	}
	if (arguments->interval && !arguments->live) {
		print_error("--interval works only with --live");
		return USAGE;
	}
	r = look(arguments, &graph);
	if (r != 0)
		return r;
	r = language ? draw(&graph, language) : print_text(&graph);
	return r < 0 ? print_no_memory() : DONE;
}
