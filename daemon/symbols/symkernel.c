/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel addresses: kallsyms' names, and lines from the debug files of vmlinux and of modules. */
#include <stdlib.h>
#include <string.h>

#include "symwork.h"
#include "text.h"

#define KERNEL_RETRY_NS   (10 * NSEC_PER_SEC)
#define MODULE_NAME_BYTES 256

static struct kernel_image *symkernel_image(struct symbolizer *s, uint64_t address,
					    struct kallsyms_place *ret_place)
{
	return kernel_debug_image(s->kernel_debug, kernel_names_table(s->kernel), address,
				  symbolizer_now_ns(s), ret_place);
}

static struct object *symkernel_file(struct symbolizer *s, struct kernel_image *i)
{
	uint64_t now = symbolizer_now_ns(s);
	struct object *file;

	while ((file = kernel_image_file(s->kernel_debug, i, now)) &&
	       failures_find(&s->failures, file, now) >= FAILURE_DWARF)
		kernel_image_reject(i);
	return file;
}

bool symbolizer_has_kernel(struct symbolizer *s, uint64_t address)
{
	struct kallsyms_place place;
	struct kernel_image *i = symkernel_image(s, address, &place);

	return i && symkernel_file(s, i);
}

/* The lines of a file that is not there may be one day. */
static uint64_t symkernel_expires_ns(struct symbolizer *s, uint64_t address, bool named)
{
	struct kallsyms_place place;

	if (!named)
		return symbolizer_now_ns(s) + KERNEL_RETRY_NS;
	return symkernel_image(s, address, &place) ? symbolizer_now_ns(s) + FAILURES_EXPIRE_NS : 0;
}

int symbolizer_put_kernel(struct symbolizer *s, struct symcache_object *cached, uint64_t address,
			  enum symbols_mode mode, const struct symbol_line *place,
			  uint64_t expires_ns)
{
	_cleanup_(buf_done) struct buf clean = BUF_INIT(4 * KALLSYMS_NAME_BYTES);
	struct symbol_line line = { .file = "" };
	char name[KALLSYMS_NAME_BYTES];
	bool named;
	int r;

	named = kallsyms_name(kernel_names_table(s->kernel), address, name, NULL);
	r = text_append_utf8(&clean, name, strlen(name));
	if (r < 0)
		return r;
	if (place)
		line = *place;
	else
		expires_ns = symkernel_expires_ns(s, address, named);
	line.name = line.system_name = clean.data;
	s->stats.unnamed += !named;
	return symcache_put(s->cache, cached, address, mode, expires_ns, !named, &line, 1);
}

/* As the module is loaded now: it may have been another one that was asked about before. */
static int symkernel_ask_module(struct symwork *w)
{
	struct symbolizer *s = w->symbolizer;

	w->sections = calloc(SYMBOLIZE_MAX_SECTIONS, sizeof(*w->sections));
	if (!w->sections)
		return -ENOMEM;
	w->n_sections = kernel_image_sections(s->kernel_debug, w->image,
					      kernel_names_table(s->kernel), &w->place, w->sections,
					      SYMBOLIZE_MAX_SECTIONS);
	return w->n_sections > 0 ? 0 : 1;
}

int symkernel_ask(struct symwork *w)
{
	size_t n = 0;
	int r = 0;

	free(w->sections);
	w->sections = NULL;
	w->n_sections = w->n_placed = 0;
	w->file = object_unref(w->file);
	w->image = symkernel_image(w->symbolizer, w->asked[0], &w->place);
	if (!w->image)
		return 1;

	while (n < w->n_asked && w->asked[n] < w->place.limit)
		n++;
	w->n_asked = n;
	if (kernel_image_is_module(w->image))
		r = symkernel_ask_module(w);
	if (r == 0)
		w->file = object_ref(symkernel_file(w->symbolizer, w->image));
	return r < 0 ? r : w->file ? 0 : 1;
}

/* Assembly in the kernel has lines and no functions: the name is kallsyms' own, as without the file. */
static int symkernel_put_place(struct symwork *w, const struct symanswer *a,
			       const struct symbolize_location *l, const char *lines,
			       uint64_t address, uint64_t expires_ns)
{
	struct symbolize_line line = { 0 };
	struct symbol_line place;

	if (l->n_lines > 0)
		symanswer_line(lines, 0, &line);
	if (line.line == 0)
		return symbolizer_put_kernel(w->symbolizer, w->cached, address, w->mode, NULL, 0);
	place = (struct symbol_line){
		.file = a->strings + line.file,
		.line = line.line,
		.column = line.column,
	};
	w->n_placed++;
	symcache_info(w->cached)->has_lines = true;
	return symbolizer_put_kernel(w->symbolizer, w->cached, address, w->mode, &place,
				     expires_ns);
}

/* A function begins where kallsyms has it: where a module lies was asked after the sample. */
static bool symkernel_fits(const struct symwork *w, const struct symbolize_location *l,
			   uint64_t address)
{
	char name[KALLSYMS_NAME_BYTES];
	uint64_t function;

	return kallsyms_name(kernel_names_table(w->symbolizer->kernel), address, name, &function) &&
	       (l->function == UINT64_MAX || l->function == function);
}

int symkernel_put(struct symwork *w, const struct symanswer *a, const struct symbolize_location *l,
		  const char *lines, uint64_t address, uint64_t expires_ns)
{
	if (kernel_image_is_module(w->image) && !symkernel_fits(w, l, address))
		return symbolizer_put_kernel(w->symbolizer, w->cached, address, w->mode, NULL, 0);
	if (l->source != SYMBOLIZE_SOURCE_DWARF)
		return symkernel_put_place(w, a, l, lines, address, expires_ns);
	w->n_placed++;
	return 1;
}

int symkernel_names(const struct symwork *w, struct symbol_line *lines, size_t n, struct buf *text)
{
	_cleanup_(buf_done) struct buf suffix = BUF_INIT(MODULE_NAME_BYTES);
	size_t at = 0;

	buf_puts(&suffix, " [");
	text_append_utf8(&suffix, w->place.module, strlen(w->place.module));
	buf_puts(&suffix, "]");
	if (suffix.error)
		return suffix.error;
	for (size_t i = 0; i < n; i++) {
		buf_printf(text, "%s%s", lines[i].name, suffix.data);
		buf_putc(text, '\0');
		buf_printf(text, "%s%s", lines[i].system_name, suffix.data);
		buf_putc(text, '\0');
	}
	if (text->error)
		return text->error;
	for (size_t i = 0; i < n; i++) {
		lines[i].name = text->data + at;
		at += strlen(lines[i].name) + 1;
		lines[i].system_name = text->data + at;
		at += strlen(lines[i].system_name) + 1;
	}
	return 0;
}

/* The module itself, as it was installed, has its symbols and no more: it is not asked again soon. */
void symkernel_done(struct symwork *w)
{
	if (kernel_image_is_module(w->image) && w->n_placed == 0)
		kernel_image_reject(w->image);
}
