/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <string.h>

#include "client.h"
#include "text.h"

#define SAY_MAX_BYTES 65536

/* One write, so that lines of several programs on one terminal do not mix. */
static void say_line(const char *prefix, const char *fmt, va_list ap)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT(SAY_MAX_BYTES);
	_cleanup_(buf_done) struct buf line = BUF_INIT(SAY_MAX_BYTES * 8);
	const char *message = "out of memory";

	if (buf_vprintf(&raw, fmt, ap) >= 0)
		message = raw.data;

	buf_puts(&line, prefix);
	text_append_printable(&line, message, strlen(message));
	buf_putc(&line, '\n');
	if (line.size > 0)
		fwrite(line.data, 1, line.size, stderr);
	fflush(stderr);
}

int say_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line("cprofctl: ", fmt, ap);
	va_end(ap);
	return EXIT_FAILURE;
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line("", fmt, ap);
	va_end(ap);
}

int say_usage(const struct verb *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line("cprofctl: ", fmt, ap);
	va_end(ap);

	say("usage: cprofctl %s%s%s", v->name, *v->usage ? " " : "", v->usage);
	return EXIT_USAGE;
}
