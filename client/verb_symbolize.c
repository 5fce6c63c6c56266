/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "answers.h"
#include "refuse.h"
#include "symbolize_profile.h"
#include "worker.h"

#define READ_BYTES     65536
#define LINE_MAX_BYTES 4096

struct symbolize_args {
	struct answers_format format;
	bool chosen; /* one of -a -f -i -C was given: the others are off */
	const char *debug_folder, *section;
	const char *profile, *output;
	bool names_only;
};

/* Addresses as they come, and the answers to them. */
struct symbolizing {
	const struct symbolize_args *args;
	const char *file;
	struct worker *worker;
	struct answers answers;
	uint64_t *batch; /* in the order of the input */
	size_t n;
	uint64_t *unknown;
};

enum { OPT_DEBUG_DIR = 256, OPT_PROFILE, OPT_SYMBOLS };

static const struct option symbolize_long_options[] = {
	{ "addresses", no_argument, NULL, 'a' },
	{ "functions", no_argument, NULL, 'f' },
	{ "inlines", no_argument, NULL, 'i' },
	{ "demangle", no_argument, NULL, 'C' },
	{ "basenames", no_argument, NULL, 's' },
	{ "pretty-print", no_argument, NULL, 'p' },
	{ "section", required_argument, NULL, 'j' },
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ "debug-dir", required_argument, NULL, OPT_DEBUG_DIR },
	{ "profile", required_argument, NULL, OPT_PROFILE },
	{ "symbols", required_argument, NULL, OPT_SYMBOLS },
	{ NULL },
};

static int symbolize_option(struct symbolize_args *a, int opt)
{
	switch (opt) {
	case 'a':
		a->format.addresses = a->chosen = true;
		return 0;
	case 'f':
		a->format.functions = a->chosen = true;
		return 0;
	case 'i':
		a->format.inlines = a->chosen = true;
		return 0;
	case 'C':
		a->format.demangle = a->chosen = true;
		return 0;
	case 's':
		a->format.base_names = true;
		return 0;
	case 'p':
		a->format.pretty = true;
		return 0;
	case 'j':
		if (!*optarg || strlen(optarg) >= sizeof(((struct symbolize_section *)0)->name))
			return say_usage(&verb_symbolize, "--section=%s: no name of a section",
					 optarg);
		a->section = optarg;
		return 0;
	case 'o':
		a->output = optarg;
		return 0;
	case OPT_DEBUG_DIR:
		a->debug_folder = optarg;
		return 0;
	case OPT_PROFILE:
		a->profile = optarg;
		return 0;
	case OPT_SYMBOLS:
		if (strcmp(optarg, "fast") != 0 && strcmp(optarg, "full") != 0)
			return say_usage(&verb_symbolize, "--symbols=%s: fast or full", optarg);
		a->names_only = strcmp(optarg, "fast") == 0;
		return 0;
	case 'h':
		verb_print_help(&verb_symbolize);
		return -1;
	default:
		return 0;
	}
}

/* As strtoull takes it, white space around it included. */
static bool symbolize_is_address(const char *word)
{
	char *end;

	errno = 0;
	strtoull(word, &end, 16);
	return end != word && errno == 0 && !end[strspn(end, " \t\r")];
}

static int symbolize_parse(struct symbolize_args *a, int argc, char **argv)
{
	int opt, r;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":afiCspj:o:h", symbolize_long_options, NULL)) !=
	       -1) {
		if (opt == ':' || opt == '?')
			return refuse_option(&verb_symbolize, opt, argv, symbolize_long_options);
		r = symbolize_option(a, opt);
		if (r != 0)
			return r;
	}
	if (!a->chosen)
		a->format.addresses = a->format.functions = a->format.inlines = a->format.demangle =
			true;
	if (a->profile && optind < argc)
		return say_usage(&verb_symbolize,
				 "--profile names what the profile names: no FILE");
	if (!a->profile && a->output)
		return say_usage(&verb_symbolize, "-o goes with --profile");
	if (!a->profile && optind >= argc)
		return say_usage(&verb_symbolize,
				 "no file: name an executable, a library or a kernel module");
	for (int i = optind + 1; i < argc; i++)
		if (!symbolize_is_address(argv[i]))
			return say_usage(&verb_symbolize, "'%s' is no hexadecimal address",
					 argv[i]);
	return 0;
}

static int address_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* What is not known yet, sorted and distinct. */
static size_t symbolizing_unknown(struct symbolizing *s)
{
	size_t n = 0, to = 0, bytes;

	for (size_t i = 0; i < s->n; i++)
		if (!answers_find(&s->answers, s->batch[i], &bytes))
			s->unknown[n++] = s->batch[i];
	qsort(s->unknown, n, sizeof(*s->unknown), address_compare);
	for (size_t i = 0; i < n; i++)
		if (to == 0 || s->unknown[i] != s->unknown[to - 1])
			s->unknown[to++] = s->unknown[i];
	return to;
}

/* Answers the batch. */
static int symbolizing_flush(struct symbolizing *s)
{
	struct symanswer answer;
	size_t n;
	int r;

	answers_trim(&s->answers);
	n = symbolizing_unknown(s);
	if (n > 0) {
		r = worker_ask(s->worker, s->unknown, n, &answer);
		if (r == 0)
			r = answers_add(&s->answers, &answer, s->unknown, n);
		if (r < 0)
			return say_error("%s: %s", s->file, worker_error(r));
	}
	for (size_t i = 0; i < s->n; i++) {
		size_t bytes;
		const char *text = answers_find(&s->answers, s->batch[i], &bytes);

		if (text)
			fwrite(text, 1, bytes, stdout);
	}
	s->n = 0;
	return fflush(stdout) == 0 ? 0 : EXIT_FAILURE;
}

/* What is no address has an answer, too: who asks line by line counts on one. */
static int symbolizing_add(struct symbolizing *s, const char *word)
{
	s->batch[s->n++] = strtoull(word, NULL, 16);
	return s->n == WORKER_MAX_OFFSETS ? symbolizing_flush(s) : 0;
}

/* Whether more can be read at once: whoever types an address, or pipes them one by one, waits for the
 * answer. */
static bool input_is_there(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Takes the whole lines that are there, *ret_used bytes. */
static int symbolizing_lines(struct symbolizing *s, char *data, size_t size, bool last,
			     size_t *ret_used)
{
	char *at = data, *end = data + size, *newline;
	int r = 0;

	while (r == 0 && at < end) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline && !last && end - at < LINE_MAX_BYTES)
			break;
		if (!newline)
			newline = end;
		*newline = '\0';
		r = symbolizing_add(s, at);
		at = MIN(newline + 1, end);
	}
	*ret_used = (size_t)(at - data);
	return r;
}

static int symbolizing_stdin(struct symbolizing *s)
{
	_cleanup_free_ char *data = malloc(READ_BYTES + LINE_MAX_BYTES + 1);
	size_t size = 0, used;
	ssize_t n;
	int r = 0;

	if (!data)
		return say_error("out of memory");
	do {
		n = read(STDIN_FILENO, data + size, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return say_error("cannot read standard input: %s", strerror(errno));
		size += (size_t)n;
		r = symbolizing_lines(s, data, size, n == 0, &used);
		memmove(data, data + used, size - used);
		size -= used;
		if (r == 0 && s->n > 0 && (n == 0 || !input_is_there()))
			r = symbolizing_flush(s);
	} while (r == 0 && n != 0);
	return r;
}

static int symbolizing_run(struct symbolizing *s, int argc, char **argv)
{
	_cleanup_close_ int fd = open(s->file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint32_t flags = SYMBOLIZE_VADDR | (s->args->names_only ? 0 : SYMBOLIZE_DWARF);
	int r;

	if (fd < 0)
		return say_error("cannot open %s: %s", s->file, strerror(errno));
	r = worker_new(&s->worker);
	if (r < 0)
		return say_error("%s", worker_start_error(r));
	r = worker_open(s->worker, fd, s->file, s->args->debug_folder, flags, s->args->section,
			true);
	if (r < 0)
		return say_error("%s: %s", s->file, strerror(-r));

	if (argc == 0)
		return symbolizing_stdin(s);
	for (int i = 0; i < argc && r == 0; i++)
		r = symbolizing_add(s, argv[i]);
	return r == 0 && s->n > 0 ? symbolizing_flush(s) : r;
}

static int symbolize_addresses(const struct symbolize_args *args, int argc, char **argv)
{
	struct symbolizing s = { .args = args, .file = argv[0] };
	int r;

	s.batch = calloc(WORKER_MAX_OFFSETS, sizeof(*s.batch));
	s.unknown = calloc(WORKER_MAX_OFFSETS, sizeof(*s.unknown));
	if (!s.batch || !s.unknown || answers_init(&s.answers, &args->format) < 0)
		r = say_error("out of memory");
	else
		r = symbolizing_run(&s, argc - 1, argv + 1);
	worker_free(s.worker);
	answers_done(&s.answers);
	free(s.batch);
	free(s.unknown);
	return r;
}

static int symbolize_run(const struct client *c _unused_, int argc, char **argv)
{
	struct symbolize_args args = { 0 };
	int r;

	r = symbolize_parse(&args, argc, argv);
	if (r != 0)
		return r < 0 ? 0 : r;
	if (args.profile)
		return symbolize_profile(args.profile, args.output, args.debug_folder);
	return symbolize_addresses(&args, argc - optind, argv + optind);
}

const struct verb verb_symbolize = {
	.name = "symbolize",
	.run = symbolize_run,
	.usage = "[OPTION...] FILE [ADDRESS...] | --profile FILE [--debug-dir DIR] [-o FILE]",
	.summary = "names of addresses in a file",
	.help = "Prints function, file and line of each address, and the calls that were inlined\n"
		"there, as addr2line does. Addresses are hexadecimal, as `nm` and addr2line know "
		"them;\n"
		"without any they are read from standard input, one a line, and answered as they "
		"come.\n"
		"Needs no daemon.\n\n"
		"  -a, --addresses     the address first\n"
		"  -f, --functions     function names\n"
		"  -i, --inlines       callers of inlined functions too, innermost first\n"
		"  -C, --demangle      names as they stand in the source\n"
		"                      (without any of these four, all of them)\n"
		"  -s, --basenames     file names without folders\n"
		"  -p, --pretty-print  one line for each frame\n"
		"  -j, --section NAME  of an object file or kernel module: addresses are offsets "
		"there\n"
		"  --symbols=fast      symbol tables only, no debug information\n"
		"  --debug-dir DIR     look for debug files there first\n\n"
		"A profile taken on another machine:\n\n"
		"  --profile FILE      name what has no name yet, by the files of this machine or\n"
		"                      those below --debug-dir\n"
		"  -o, --output FILE   where to, - for standard output; default: FILE itself\n",
};
