/* SPDX-License-Identifier: Apache-2.0 */
#include "doc.h"

#include <string.h>
#include <unistd.h>

#include "client.h"
#include "text.h"

#define DOC_STRING_BYTES (1U << 20)
/* So many digits of a decimal fraction come back as they were. */
#define DOC_DIGITS JSON_REAL_PRECISION(15)

static int doc_dump(const json_t *j, size_t flags)
{
	/* jansson escapes only what is below 0x20: C1 controls and turns of direction reach no terminal */
	flags |= DOC_DIGITS | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);

	if (j && json_dumpf(j, stdout, flags) == 0 && putchar('\n') != EOF)
		return 0;
	if (!ferror(stdout)) /* else main() says it, for all verbs */
		say_error("out of memory");
	return -EIO;
}

int doc_print(const json_t *j)
{
	return doc_dump(j, JSON_INDENT(2));
}

int doc_print_line(const json_t *j)
{
	int r = doc_dump(j, JSON_COMPACT);

	if (r == 0 && fflush(stdout) != 0)
		r = -EIO;
	return r;
}

json_t *doc_string(const char *s)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(DOC_STRING_BYTES);

	text_append_utf8(&b, s, strlen(s));
	return json_stringn(b.data ? b.data : "", b.size);
}

json_t *doc_share(int64_t part, int64_t all)
{
	return json_real(all > 0 ? (double)part / (double)all : 0);
}

unsigned long long doc_count(const json_t *object, const char *key)
{
	double v = doc_real(object, key);
	const json_t *j = json_object_get(object, key);

	if (json_is_integer(j))
		return json_integer_value(j) > 0 ? (unsigned long long)json_integer_value(j) : 0;
	return v > 0 && v < 1.8e19 ? (unsigned long long)v : 0;
}

double doc_real(const json_t *object, const char *key)
{
	double v = json_number_value(json_object_get(object, key));

	return v == v ? v : 0;
}

const char *doc_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}
