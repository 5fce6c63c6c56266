/* SPDX-License-Identifier: Apache-2.0 */
#include "demangle.h"

#include <ctype.h>
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <string.h>

#include "cprof/symbolize.h"

/* More back references can unfold without bound, and dlang_demangle() cannot be stopped. */
#define D_MAX_BYTES      2048
#define D_MAX_REFERENCES 32

static const char *const clone_suffixes[] = { "isra",     "part",     "constprop",  "cold",
					      "llvm",     "lto_priv", "localalias", "hot",
					      "unlikely", "clone" };

static bool demangle_is_clone_suffix(const char *s, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(clone_suffixes); i++)
		if (strlen(clone_suffixes[i]) == length &&
		    memcmp(s, clone_suffixes[i], length) == 0)
			return true;
	return false;
}

size_t demangle_base_length(const char *linkage_name)
{
	size_t length = strlen(linkage_name);

	for (;;) {
		const char *dot = memrchr(linkage_name, '.', length);
		size_t end = length;

		if (!dot || dot == linkage_name)
			return length;

		/* ".0": a number belongs to the word before it */
		if ((size_t)(dot - linkage_name) + 1 < length &&
		    strspn(dot + 1, "0123456789") >= length - (size_t)(dot + 1 - linkage_name)) {
			end = (size_t)(dot - linkage_name);
			dot = memrchr(linkage_name, '.', end);
			if (!dot || dot == linkage_name)
				return length;
		}
		if (!demangle_is_clone_suffix(dot + 1, end - (size_t)(dot + 1 - linkage_name)))
			return length;
		length = (size_t)(dot - linkage_name);
	}
}

static bool demangle_is_d(const char *s)
{
	return s[0] == '_' && s[1] == 'D' && (isdigit((unsigned char)s[2]) || !strcmp(s, "_Dmain"));
}

bool demangle_is_mangled(const char *linkage_name)
{
	return strncmp(linkage_name, "_Z", 2) == 0 || strncmp(linkage_name, "_R", 2) == 0 ||
	       demangle_is_d(linkage_name);
}

struct demangle_sink {
	struct buf *out;
	size_t limit;
	jmp_buf overflow;
};

/* A few hundred bytes can unfold into gigabytes, and the demanglers take no for an answer only in
 * this way. */
static void demangle_write(const char *s, size_t size, void *opaque)
{
	struct demangle_sink *sink = opaque;

	if (sink->out->size > sink->limit || size > sink->limit - sink->out->size ||
	    buf_append(sink->out, s, size) < 0)
		longjmp(sink->overflow, 1);
}

static int demangle_into(const char *mangled, int options, struct buf *out, bool rust)
{
	struct demangle_sink sink = { .out = out, .limit = out->size + SYMBOLIZE_MAX_NAME_BYTES };

	if (setjmp(sink.overflow))
		return out->error < 0 ? 0 : 1; /* what there is of a name that is too long */
	if (rust)
		return rust_demangle_callback(mangled, options, demangle_write, &sink) != 0;
	return cplus_demangle_v3_callback(mangled, options, demangle_write, &sink) != 0;
}

/* Copies src without what stands between < and >, unless it belongs to an operator. */
static void demangle_drop_templates(char *s)
{
	size_t depth = 0;
	char *to = s;

	for (const char *p = s; *p; p++) {
		bool operator= to - s >= 8 && memcmp(to - 8, "operator", 8) == 0;

		if (operator&& depth == 0 &&(*p == '<' || *p == '>' || *p == '-')) {
			for (; *p == '<' || *p == '>' || *p == '-' || *p == '='; p++)
				*to++ = *p;
			p--;
			continue;
		}
		if (*p == '<' && to != s) {
			/* `operator<< <char>` */
			to -= depth == 0 && to[-1] == ' ';
			depth++;
		} else if (*p == '>' && depth > 0) {
			depth--;
		} else if (depth == 0) {
			*to++ = *p;
		}
	}
	*to = '\0';
}

/* `a.b!(int).c(char[])` is a.b.c. */
static void demangle_drop_d(char *s)
{
	size_t depth = 0;
	char *to = s;

	for (const char *p = s; *p; p++) {
		if (*p == '(' || (*p == '!' && p[1] == '(')) {
			depth++;
			p += *p == '!';
		} else if (*p == ')' && depth > 0) {
			depth--;
		} else if (depth == 0) {
			*to++ = *p;
		}
	}
	*to = '\0';
}

static int demangle_d(const char *mangled, struct buf *out)
{
	_cleanup_free_ char *readable = NULL;
	unsigned references = 0;

	if (strlen(mangled) > D_MAX_BYTES)
		return 0;
	for (const char *p = mangled; *p; p++)
		references += *p == 'Q';
	if (references > D_MAX_REFERENCES)
		return 0;

	readable = dlang_demangle(mangled, 0);
	if (!readable)
		return 0;
	buf_append(out, readable, strnlen(readable, SYMBOLIZE_MAX_NAME_BYTES));
	return 1;
}

/* 0: it is none of those after all; out may hold a part. */
static int demangle_base(const char *base, bool short_form, struct buf *out)
{
	int options = DMGL_ANSI | (short_form ? 0 : DMGL_PARAMS);
	size_t start = out->size;

	if (demangle_is_d(base))
		return demangle_d(base, out);
	if (demangle_into(base, options, out, true))
		return 1;
	out->size = start;
	return base[1] == 'Z' && demangle_into(base, options, out, false);
}

static void demangle_shorten(const char *base, struct buf *out, size_t start)
{
	if (out->size == start)
		return;
	if (demangle_is_d(base))
		demangle_drop_d(out->data + start);
	else
		demangle_drop_templates(out->data + start);
	out->size = start + strlen(out->data + start);
}

int demangle(const char *linkage_name, bool short_form, struct buf *out)
{
	size_t length = demangle_base_length(linkage_name), start = out->size;
	_cleanup_free_ char *base = NULL;
	int r = 0;

	if (demangle_is_mangled(linkage_name) && length < SYMBOLIZE_MAX_NAME_BYTES) {
		base = strndup(linkage_name, length);
		if (!base)
			return -ENOMEM;
		r = demangle_base(base, short_form, out);
	}
	if (r == 0) {
		out->size = start;
		return buf_append(out, linkage_name, length);
	}
	if (short_form)
		demangle_shorten(base, out, start);
	return out->error < 0 ? out->error : 1;
}
