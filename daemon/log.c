/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* the caller's is given */
#include <systemd/sd-journal.h>

#define LOG_OWN_FIELDS 6

/* sd-journal's rule: the variable names the device and inode of the stream that leads there, since it
 * is inherited also by those whose output has been sent elsewhere. */
static bool log_to_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static struct iovec log_iovec(const char *s)
{
	return (struct iovec){ (void *)s, strlen(s) };
}

static _printf_(3, 4) struct iovec log_field(char *text, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, size, fmt, ap);
	va_end(ap);
	return log_iovec(text);
}

static int log_send(int priority, const char *file, int line, const char *function,
		    const char *const *fields, const char *message)
{
	char text[LOG_OWN_FIELDS - 1][128];
	struct iovec v[LOG_OWN_FIELDS + LOG_MAX_FIELDS];
	int n = 0;

	v[n++] = log_iovec(message);
	v[n] = log_field(text[n - 1], sizeof(text[0]), "PRIORITY=%d", priority);
	n++;
	v[n] = log_field(text[n - 1], sizeof(text[0]), "SYSLOG_IDENTIFIER=cprofd");
	n++;
	v[n] = log_field(text[n - 1], sizeof(text[0]), "CODE_FILE=%s", file);
	n++;
	v[n] = log_field(text[n - 1], sizeof(text[0]), "CODE_LINE=%d", line);
	n++;
	v[n] = log_field(text[n - 1], sizeof(text[0]), "CODE_FUNC=%s", function);
	n++;
	for (size_t i = 0; fields && fields[i] && i < LOG_MAX_FIELDS; i++)
		v[n++] = log_iovec(fields[i]);
	return sd_journal_sendv(v, n);
}

void log_at(int priority, const char *file, int line, const char *function,
	    const char *const *fields, const char *fmt, ...)
{
	static const char name[] = "MESSAGE=";
	char message[sizeof(name) + 1024], *text = message + sizeof(name) - 1;
	va_list ap;

	memcpy(message, name, sizeof(name));
	va_start(ap, fmt);
	vsnprintf(text, 1024, fmt, ap);
	va_end(ap);

	if (log_to_journal()) {
		if (log_send(priority, file, line, function, fields, message) >= 0)
			return;
		/* sd-daemon(3): "<N>" in front of a line is its priority */
		fprintf(stderr, "<%d>%s\n", priority, text);
		return;
	}
	fprintf(stderr, "cprofd: %s\n", text);
}

bool log_limit_pass(struct log_limit *l, uint64_t now_ns, uint64_t *ret_left_out)
{
	if (l->since_ns == 0 || now_ns - l->since_ns >= LOG_INTERVAL_NS) {
		l->since_ns = now_ns;
		l->count = 0;
	}
	if (l->count == LOG_BURST) {
		l->left_out++;
		return false;
	}

	l->count++;
	*ret_left_out = l->left_out;
	l->left_out = 0;
	return true;
}
