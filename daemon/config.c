/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "config_keys.h"
#include "text.h"

struct reader {
	struct config *config;
	const char *file;
	const char *data;
	size_t size, pos;
	unsigned line; /* the one handed out last, from 1 */
	config_warn_t warn;
	void *arg;
	int error; /* 0 or -EINVAL */
};

static _printf_(4, 5) void report(struct reader *r, enum config_level level, unsigned line,
				  const char *fmt, ...)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT(4096), text = BUF_INIT(16384);
	va_list ap;

	if (level == CONFIG_ERROR)
		r->error = -EINVAL;

	va_start(ap, fmt);
	buf_vprintf(&raw, fmt, ap);
	va_end(ap);
	if (raw.data)
		text_append_printable(&text, raw.data, raw.size);
	if (r->warn)
		r->warn(r->arg, level, r->file, line, text.data ? text.data : "");
}

static void report_unknown(struct reader *r, const char *section, const char *name)
{
	if (config_section_exists(section))
		report(r, CONFIG_WARNING, r->line, "unknown key %s= in [%s], ignored", name,
		       section);
	else if (!*section)
		report(r, CONFIG_WARNING, r->line, "%s= stands before the first [Section], ignored",
		       name);
	else
		report(r, CONFIG_WARNING, r->line, "unknown section [%s], %s= ignored", section,
		       name);
}

/* Where the value, or each entry that was appended to a list, comes from. `entries` is the number of
 * those before; an empty list keeps the place that emptied it until there are some. */
static int remember_origin(struct reader *r, const struct config_key *key, size_t before,
			   size_t after)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(CONFIG_MAX_ORIGIN_BYTES);
	char **origin = &r->config->origins[config_key_index(key)];

	if (before)
		buf_puts(&b, *origin);
	for (size_t i = before; i < MAX(after, before + 1); i++) {
		if (i)
			buf_putc(&b, '\n');
		text_append_printable(&b, r->file, strlen(r->file));
		buf_printf(&b, ":%u", r->line);
	}
	if (b.error)
		return b.error == -ENOSPC ? -E2BIG : b.error;
	free(*origin);
	*origin = buf_take(&b, NULL);
	return 0;
}

static size_t list_entries(const struct config_key *key, const struct config *c)
{
	const char *s = key->type->list ? *(char **)config_key_field(key, c) : NULL;
	size_t n = s && *s;

	for (; s && *s; s++)
		n += *s == ' ';
	return n;
}

/* An empty value resets the key, and is where its value then comes from. */
static int assign(struct reader *r, const struct config_key *key, const char *value)
{
	size_t before = list_entries(key, r->config);
	int error = 0;

	if (!*value) {
		config_key_reset(key, r->config);
		return remember_origin(r, key, 0, 0);
	}
	error = key->type->parse(key, value, config_key_field(key, r->config));
	return error < 0 ? error : remember_origin(r, key, before, list_entries(key, r->config));
}

/* ini_handler; its zero would only make inih remember the line, which report() does better. */
static int take_key(void *user, const char *section, const char *name, const char *value)
{
	const struct config_key *key = config_key_find(section, name);
	struct reader *reader = user;
	int r;

	if (!key) {
		report_unknown(reader, section, name);
		return 1;
	}
	r = assign(reader, key, value);
	if (r == -ENOMEM)
		report(reader, CONFIG_ERROR, reader->line, "out of memory");
	else if (r == -E2BIG)
		report(reader, CONFIG_ERROR, reader->line, "%s= has over %d bytes in all", name,
		       CONFIG_MAX_LIST_BYTES);
	else if (r < 0)
		report(reader, CONFIG_ERROR, reader->line, "%s=%s %s: give %s", name, value,
		       r == -ERANGE ? "is out of range" : "is not understood", key->expects);
	return 1;
}

/* Why a line cannot be handed to inih, or NULL. max is its buffer, the NUL included. */
static const char *line_problem(const char *line, size_t size, size_t max)
{
	if (size + 1 > max)
		return "the line is longer than 199 bytes: split it, lists may be repeated";
	if (memchr(line, '\0', size))
		return "the line contains a NUL byte";
	if (!text_is_utf8(line, size))
		return "the line is not valid UTF-8";
	return NULL;
}

/*
 * ini_reader: one line a call. Leading blanks go, since inih would take an indented line for the
 * continuation of the value above it. A line that cannot be handed over becomes an empty one, so
 * that inih's line count stays right.
 */
static char *read_line(char *str, int num, void *stream)
{
	struct reader *r = stream;
	const char *line = r->data + r->pos, *end, *problem;
	size_t left = r->size - r->pos, size;

	if (left == 0 || num < 2)
		return NULL;

	end = memchr(line, '\n', left);
	size = end ? (size_t)(end - line) : left;
	r->pos += end ? size + 1 : size;
	r->line++;
	while (size && (line[0] == ' ' || line[0] == '\t')) {
		line++;
		size--;
	}
	while (size && strchr(" \t\r", line[size - 1]) && line[size - 1])
		size--;

	problem = line_problem(line, size, (size_t)num);
	if (problem) {
		report(r, CONFIG_ERROR, r->line, "%s", problem);
		size = 0;
	} else if (size && !strchr("#;[", line[0]) && !memchr(line, '=', size)) {
		report(r, CONFIG_ERROR, r->line, "expected Key=value or [Section]");
		size = 0;
	}
	memcpy(str, line, size);
	str[size] = '\0';
	return str;
}

int config_parse(struct config *c, const char *data, size_t size, const char *file,
		 config_warn_t warn, void *arg)
{
	struct reader r = {
		.config = c, .file = file, .data = data, .size = size, .warn = warn, .arg = arg
	};
	int line;

	if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		r.pos = 3;
	line = ini_parse_stream(read_line, &r, take_key, &r);
	if (line != 0)
		report(&r, CONFIG_ERROR, line > 0 ? (unsigned)line : 0,
		       "expected Key=value or [Section]");
	return r.error;
}

static int load_file(struct config *c, const char *path, bool optional, config_warn_t warn,
		     void *arg)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(CONFIG_MAX_FILE_BYTES);
	struct reader reader = { .file = path, .warn = warn, .arg = arg };
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r = fd < 0 ? -errno : buf_read_fd(&b, fd);

	if (r == -ENOENT && optional)
		return 0;
	if (r < 0) {
		report(&reader, CONFIG_ERROR, 0, "cannot read: %s",
		       r == -ENOSPC ? "larger than 1 MiB" : strerror(-r));
		return r;
	}
	return b.size ? config_parse(c, b.data, b.size, path, warn, arg) : 0;
}

static int is_dropin(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".conf") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The first failure is the result, but all files are read. */
static int load_dropins(struct config *c, const char *path, config_warn_t warn, void *arg)
{
	_cleanup_free_ char *dir = NULL;
	struct dirent **entries = NULL;
	int n, result = 0;

	if (asprintf(&dir, "%s.d", path) < 0)
		return -ENOMEM;
	n = scandir(dir, &entries, is_dropin, by_name);
	if (n < 0 && errno != ENOENT && errno != ENOTDIR) {
		struct reader reader = { .file = dir, .warn = warn, .arg = arg };

		result = -errno;
		report(&reader, CONFIG_ERROR, 0, "cannot read: %s", strerror(-result));
	}

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *file = NULL;
		int r = 0;

		if (asprintf(&file, "%s/%s", dir, entries[i]->d_name) < 0)
			r = -ENOMEM;
		else if (i < CONFIG_MAX_DROPINS)
			r = load_file(c, file, false, warn, arg);
		else
			r = -E2BIG;
		if (result == 0)
			result = r;
		free(entries[i]);
	}
	free(entries);
	return result;
}

int config_load(struct config *ret, const char *path, config_warn_t warn, void *arg)
{
	_cleanup_(config_done) struct config c;
	int r, q;

	config_defaults(&c);
	r = load_file(&c, path ? path : CONFIG_PATH, !path, warn, arg);
	q = load_dropins(&c, path ? path : CONFIG_PATH, warn, arg);
	if (r < 0 || q < 0)
		return r < 0 ? r : q;

	*ret = c;
	config_defaults(&c);
	return 0;
}
