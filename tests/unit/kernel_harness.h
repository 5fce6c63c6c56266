/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The symbolizer with a kernel that is made up, below `folder`: kallsyms, notes (of the kernel), sys/ (for
 * /sys/module), and a root for its debug files.
 */

#include <limits.h>
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
#include "kallsyms.h"
#include "kernel_debug.h"
#include "pool.h"
#include "symbolize_harness.h"
#include "symbolizer.h"
#include "worker_path.h"

static char folder[] = "/tmp/test_kernel.XXXXXX";

struct fixture {
	sd_event *event;
	struct pool *pool;
	struct object_table *objects;
	struct object *kernel;
	struct symbolizer *symbolizer;
	struct symbolizer_stats stats;
	char names[512], within[512];
	bool done;
	unsigned n_failures;
	char failure[256];
};

static _unused_ void write_notes(const char *name, const char *hex)
{
	static const char xen[] = "\4\0\0\0\4\0\0\0\1\0\0\0Xen\0abcd";
	static const char gnu[] = "\4\0\0\0\24\0\0\0\3\0\0\0GNU";
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fwrite(xen, 1, sizeof(xen) - 1, f);
	fwrite(gnu, 1, sizeof(gnu), f);
	for (const char *p = hex; *p; p += 2) {
		char pair[] = { p[0], p[1], '\0' };

		fputc((int)strtoul(pair, NULL, 16), f);
	}
	fclose(f);
}

static _unused_ void start(struct fixture *f)
{
	struct pool_options pool = {
		.worker_path = worker_path,
		.max_parallel = 2,
		.max_waiting = 20,
		.memory_bytes = 256 << 20,
		.timeout_ns = 20 * NSEC_PER_SEC,
	};
	char kallsyms[64], notes[64], modules[64];
	struct symbolizer_options options = {
		.memory_bytes = 1 << 20,
		.kallsyms_path = kallsyms,
		.kernel = { .notes = notes, .modules = modules, .root = folder, .release = "1.2" },
	};

	snprintf(kallsyms, sizeof(kallsyms), "%s/kallsyms", folder);
	snprintf(notes, sizeof(notes), "%s/notes", folder);
	snprintf(modules, sizeof(modules), "%s/sys", folder);
	*f = (struct fixture){ 0 };
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(pool_new(&f->pool, f->event, &pool), 0);
	options.pool = f->pool;
	assert_int_equal(object_table_new(&f->objects, 4), 0);
	assert_int_equal(object_special(f->objects, OBJECT_KERNEL, "[kernel.kallsyms]", &f->kernel),
			 0);
	assert_int_equal(symbolizer_new(&f->symbolizer, f->event, &options), 0);
}

static _unused_ void on_failure(void *arg, const char *path, const char *why)
{
	struct fixture *f = arg;

	f->n_failures++;
	snprintf(f->failure, sizeof(f->failure), "%s: %s", path + strlen(folder), why);
}

static _unused_ void stop(struct fixture *f)
{
	symbolizer_stats(f->symbolizer, &f->stats);
	symbolizer_each_failure(f->symbolizer, on_failure, f);
	symbolizer_free(f->symbolizer);
	object_unref(f->kernel);
	object_table_free(f->objects);
	pool_free(f->pool);
	sd_event_unref(f->event);
}

static _unused_ void on_done(void *arg)
{
	((struct fixture *)arg)->done = true;
}

static _unused_ void describe(struct fixture *f, uint64_t ip)
{
	struct frame frame = {
		.object = f->kernel,
		.address = symbolizer_kernel_link_address(f->symbolizer, ip),
	};
	const struct location *l = symbolizer_lookup(f->symbolizer, &frame, false);
	char *to = f->names;

	*to = '\0';
	for (uint32_t i = 0; l && i < l->n_lines; i++) {
		const char *slash = strrchr(l->lines[i].file, '/');

		to += snprintf(to, sizeof(f->names) - (size_t)(to - f->names), "%s%s %s:%u",
			       i ? " < " : "", l->lines[i].name, slash ? slash + 1 : "",
			       l->lines[i].line);
	}
}
