/* SPDX-License-Identifier: Apache-2.0 */
#include "doc.h"

#include <string.h>
#include <unistd.h>

#include "client.h"

int doc_print(const json_t *j)
{
	/* jansson escapes only what is below 0x20: C1 controls and turns of direction reach no terminal */
	size_t flags = JSON_INDENT(2) | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);

	if (json_dumpf(j, stdout, flags) < 0 || putchar('\n') == EOF) {
		say_error("cannot write to standard output: %s", strerror(errno));
		return -EIO;
	}
	return 0;
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
