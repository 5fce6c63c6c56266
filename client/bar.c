/* SPDX-License-Identifier: Apache-2.0 */
#include "bar.h"

#include <string.h>
#include <sys/ioctl.h>

#include "human.h"

#define BAR_LEAST_CELLS 10
#define BAR_MOST_CELLS  40

void bar_init(struct bar *b)
{
	const char *term = getenv("TERM");

	*b = (struct bar){ .on = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0) };
}

static void bar_fill(char *s, size_t size, unsigned cells, double done)
{
	unsigned full = (unsigned)(done * cells + 0.5);
	size_t o = 0;

	for (unsigned i = 0; i < cells && o + 4 < size; i++)
		o += (size_t)snprintf(s + o, size - o, "%s", i < full ? "#" : "-");
}

void bar_format(char *s, size_t size, unsigned columns, const struct remote_progress *p)
{
	char text[160], samples[32], elapsed[32], duration[32], cells[BAR_MOST_CELLS + 8] = "";
	double done = p->duration_ns ? (double)p->elapsed_ns / (double)p->duration_ns : 0;
	size_t n;

	human_count(samples, sizeof(samples), p->samples);
	human_seconds(elapsed, sizeof(elapsed), (double)(p->elapsed_ns / (NSEC_PER_SEC / 10)) / 10);
	human_seconds(duration, sizeof(duration), (double)p->duration_ns / 1e9);

	if (p->state != REMOTE_RUNNING && p->files)
		snprintf(text, sizeof(text), "%s samples, finding names: %llu of %llu files",
			 samples, (unsigned long long)p->files_named, (unsigned long long)p->files);
	else if (p->state != REMOTE_RUNNING)
		snprintf(text, sizeof(text), "%s samples, finding names", samples);
	else if (p->duration_ns)
		snprintf(text, sizeof(text), "%s of %s  %s samples", elapsed, duration, samples);
	else
		snprintf(text, sizeof(text), "%s  %s samples  (Ctrl-C ends and saves)", elapsed,
			 samples);

	n = strlen(text) + 5;
	if (p->duration_ns && p->state == REMOTE_RUNNING && columns > n + BAR_LEAST_CELLS)
		bar_fill(cells, sizeof(cells), MIN(columns - (unsigned)n, (unsigned)BAR_MOST_CELLS),
			 done > 1 ? 1 : done);
	snprintf(s, size, "%s%s%s%s", cells[0] ? "[" : "", cells, cells[0] ? "]  " : "", text);
	if (strlen(s) >= columns && columns > 0 && columns <= size)
		s[columns - 1] = '\0';
}

void bar_draw(struct bar *b, const struct remote_progress *p)
{
	struct winsize w = { 0 };
	char line[256];

	if (!b->on)
		return;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		w.ws_col = 80;
	bar_format(line, sizeof(line), w.ws_col, p);
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	b->drawn = true;
}

void bar_clear(struct bar *b)
{
	if (b->drawn)
		fprintf(stderr, "\r\033[K");
	b->drawn = false;
}
