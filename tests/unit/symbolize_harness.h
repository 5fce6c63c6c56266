/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names for the addresses of a real file, as text: "innermost inl.c:5 < middle inl.c:12 < outer inl.c:20",
 * files by their last component, "?" where there is none. Debug files are looked for where the
 * daemon looks, below `debug_root` first (NULL: only the system's).
 */

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cleanup.h"
#include "debug_paths.h"
#include "elf_file.h"
#include "symanswer.h"
#include "symbolize.h"

static inline void write_file(const char *folder, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

struct symbolized {
	char path[512];
	struct buf answer;
	struct symanswer a;
	uint64_t *offsets;
	size_t n;
	struct symbolize_location *locations;
	char **text;
};

struct opener {
	struct debug_paths paths;
	const char *object_path;
	unsigned n_opens;
};

static unsigned harness_opens;
static const char *debug_root; /* before the system's own places */

static int harness_open(void *arg, const struct symbolize_open *want)
{
	struct opener *o = arg;
	struct job_open request = { .kind = (uint32_t)want->kind,
				    .crc = want->crc,
				    .build_id_bytes = (uint32_t)want->build_id_bytes };
	char *path = NULL;
	int fd = -ENOENT;

	if (want->build_id_bytes)
		memcpy(request.build_id, want->build_id, want->build_id_bytes);
	while (debug_paths_next(&o->paths, &request, want->name, o->object_path, &path) == 0) {
		char below[1024];

		fd = -1;
		if (debug_root) {
			snprintf(below, sizeof(below), "%s%s", debug_root, path);
			fd = open(below, O_RDONLY | O_CLOEXEC);
		}
		if (fd < 0)
			fd = open(path, O_RDONLY | O_CLOEXEC);
		free(path);
		if (fd >= 0) {
			harness_opens++;
			return fd;
		}
	}
	return -ENOENT;
}

/* Runs a shell command; the test fails when it does. */
__attribute__((format(printf, 1, 2))) static _unused_ void sh(const char *format, ...)
{
	char command[8192] = "ulimit -t 60; ";
	size_t n = strlen(command);
	va_list args;

	va_start(args, format);
	vsnprintf(command + n, sizeof(command) - n, format, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* One word or line that a command prints; "" when it fails. */
__attribute__((format(printf, 3, 4))) static const char *sh_line(char *line, size_t size,
								 const char *format, ...)
{
	char command[8192];
	va_list args;
	FILE *f;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	line[0] = '\0';
	f = popen(command, "re");
	assert_non_null(f);
	if (!fgets(line, (int)size, f))
		line[0] = '\0';
	pclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static _unused_ void symbolized_done(struct symbolized *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->text[i]);
	free(s->text);
	free(s->offsets);
	free(s->locations);
	buf_done(&s->answer);
}

static char *harness_text(const struct symanswer *a, const struct symbolize_location *l,
			  const char *lines)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(1 << 20);

	for (uint32_t i = 0; i < l->n_lines; i++) {
		struct symbolize_line line;
		const char *file, *slash;

		symanswer_line(lines, i, &line);
		file = a->strings + line.file;
		slash = strrchr(file, '/');
		if (slash)
			file = slash + 1;
		buf_printf(&b, "%s%s %s:%u", i ? " < " : "", a->strings + line.name,
			   line.file ? file : "?", line.line);
	}
	if (l->n_lines == 0)
		buf_puts(&b, "??");
	return buf_take(&b, NULL);
}

/* All addresses in [start, start + bytes), each `step`, of an executable segment. */
static void symbolize_range(struct symbolized *ret, const char *path, uint32_t flags,
			    uint64_t start, uint64_t bytes, uint64_t step)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(elf_file_freep) struct elf_file *elf = NULL;
	struct opener o = { .object_path = path };
	struct symbolize_request request = {
		.fd = fd, .flags = flags, .open = harness_open, .arg = &o
	};
	struct symanswer_cursor cursor = { 0 };
	int r;

	assert_true(fd >= 0);
	assert_int_equal(elf_file_new(&elf, fd), 0);
	*ret = (struct symbolized){ .answer = BUF_INIT(1 << 30) };
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	ret->offsets = calloc(bytes / step + 1, sizeof(*ret->offsets));
	for (uint64_t at = 0; at < bytes; at += step)
		if (elf_file_offset(elf, start + at, &ret->offsets[ret->n], NULL) == 0)
			ret->n++;
	assert_true(ret->n > 0);
	request.offsets = ret->offsets;
	request.n_offsets = ret->n;

	harness_opens = 0;
	r = symbolize_file(&request, &ret->answer);
	debug_paths_done(&o.paths);
	assert_int_equal(r, 0);
	assert_int_equal(
		symanswer_check(ret->answer.data, ret->answer.size, ret->offsets, ret->n, &ret->a),
		0);
	ret->locations = calloc(ret->n, sizeof(*ret->locations));
	ret->text = calloc(ret->n, sizeof(*ret->text));
	for (size_t i = 0; i < ret->n; i++) {
		const char *lines;

		symanswer_next(&ret->a, &cursor, &ret->locations[i], &lines);
		ret->text[i] = harness_text(&ret->a, &ret->locations[i], lines);
	}
}

/* Where a function of a file that has symbols is. */
static _unused_ uint64_t symbol_address(const char *path, const char *name, uint64_t *ret_bytes)
{
	char line[512];
	unsigned long long address = 0, bytes = 0;

	sh_line(line, sizeof(line), "nm -S %s | grep -E ' [tTwWi] (%s)$' | head -1", path, name);
	if (sscanf(line, "%llx %llx", &address, &bytes) != 2)
		bytes = 16;
	if (address == 0)
		fail_msg("%s has no symbol %s: '%s'", path, name, line);
	if (ret_bytes)
		*ret_bytes = bytes;
	return address;
}

/* All bytes of function `name`, whose place `symbols` knows, in `path`. */
static _unused_ void symbolize_function(struct symbolized *ret, const char *path,
					const char *symbols, const char *name, uint32_t flags)
{
	uint64_t bytes, start = symbol_address(symbols, name, &bytes);

	symbolize_range(ret, path, flags, start, bytes, 1);
}

static _unused_ bool symbolized_has(const struct symbolized *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->text[i], text) == 0)
			return true;
	return false;
}

static _unused_ void symbolized_expect(const struct symbolized *s, const char *text)
{
	const char *last = "";

	if (symbolized_has(s, text))
		return;
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->text[i], last) != 0)
			fprintf(stderr, "  has: %s\n", s->text[i]);
		last = s->text[i];
	}
	fail_msg("%s: no '%s'", s->path, text);
}

/* How many of the addresses a text is the answer for: a text that starts so. */
static _unused_ size_t symbolized_count(const struct symbolized *s, const char *start)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += strncmp(s->text[i], start, strlen(start)) == 0;
	return n;
}
