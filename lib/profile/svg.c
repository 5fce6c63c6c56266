/* SPDX-License-Identifier: Apache-2.0 */
/* The flame graph. Without script it is a plain picture; flamegraph.js makes it live. */
#include <string.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "flame.h"
#include "report.h"
#include "scale.h"
#include "text.h"

#define SVG_WIDTH      1200U
#define SVG_MIN_WIDTH  320U
#define SVG_MAX_WIDTH  20000U
#define SVG_SIDE       12
#define SVG_HEAD       84
#define SVG_FOOT       46
#define SVG_ROW        18
#define SVG_MIN_FRAME  0.1  /* pixels */
#define SVG_CHAR       6.93 /* pixels of a character of the frames' font */
#define SVG_NAME_BYTES 8192

static const char svg_css[] =
#include "flamegraph.css.inc"
	;
static const char svg_js[] =
#include "flamegraph.js.inc"
	;

struct svg {
	const struct flame *f;
	const struct svg_options *o;
	struct buf *out;
	struct buf name; /* scratch: a name made printable */
	size_t type;
	const char *unit;
	double width;  /* of the root, pixels */
	double height; /* of the picture */
	uint32_t shown;
};

/* A node that waits to be drawn. */
struct svg_item {
	uint64_t start;
	uint32_t node, depth;
};

DEFINE_CLEANUP(struct flame *, flame_free);

static const struct svg_kind {
	const char *label;
	double hue, hue_range, saturation, light; /* degrees, shares */
} svg_kinds[FLAME_KIND_MAX] = {
	[FLAME_SYNTHETIC] = { "process", 215, 0, 0.16, 0.82 },
	[FLAME_PROGRAM] = { "program", 29, 17, 0.93, 0.68 },
	[FLAME_LIBRARY] = { "library", 196, 18, 0.66, 0.75 },
	[FLAME_KERNEL] = { "kernel", 350, 14, 0.76, 0.75 },
	[FLAME_JIT] = { "JIT", 132, 20, 0.44, 0.71 },
};

/* Text for XML: also without U+FFFE and U+FFFF, which it does not allow. s is valid UTF-8. */
static void svg_escape(struct buf *b, const char *s, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (s[i] == '<')
			buf_puts(b, "&lt;");
		else if (s[i] == '>')
			buf_puts(b, "&gt;");
		else if (s[i] == '&')
			buf_puts(b, "&amp;");
		else if (s[i] == '"')
			buf_puts(b, "&quot;");
		else if (s[i] == '\'')
			buf_puts(b, "&#39;");
		else if (size - i >= 3 && memcmp(s + i, "\xef\xbf", 2) == 0 &&
			 (s[i + 2] & 0xfe) == 0xbe)
			buf_puts(b, "\xef\xbf\xbd"), i += 2;
		else
			buf_putc(b, s[i]);
	}
}

/* Foreign text; at most SVG_NAME_BYTES of it, cut between characters. */
static void svg_text(struct svg *s, const char *text)
{
	size_t size = strlen(text);

	if (size > SVG_NAME_BYTES)
		for (size = SVG_NAME_BYTES; size > 0 && (text[size] & 0xc0) == 0x80;)
			size--;
	buf_reset(&s->name);
	text_append_printable(&s->name, text, size);
	if (s->name.size > 0)
		svg_escape(s->out, s->name.data, s->name.size);
}

/* What of the name fits, with an ellipsis. */
static void svg_label(struct svg *s, const char *name, double width)
{
	size_t room = width < 6 ? 0 : (size_t)((width - 6) / SVG_CHAR), n = 0, i, cut = 0;

	if (room < 3)
		return;
	buf_reset(&s->name);
	text_append_printable(&s->name, name, strnlen(name, SVG_NAME_BYTES));
	for (i = 0; i < s->name.size; i++) {
		if ((s->name.data[i] & 0xc0) == 0x80)
			continue;
		if (n == room - 1)
			cut = i;
		n++;
	}
	if (s->name.size == 0)
		return;
	svg_escape(s->out, s->name.data, n > room ? cut : s->name.size);
	if (n > room)
		buf_puts(s->out, "\xe2\x80\xa6");
}

static unsigned svg_channel(double p, double q, double t)
{
	double v;

	t = t < 0 ? t + 1 : t > 1 ? t - 1 : t;
	v = t < 1.0 / 6   ? p + (q - p) * 6 * t
	    : t < 0.5     ? q
	    : t < 2.0 / 3 ? p + (q - p) * (2.0 / 3 - t) * 6
			  : p;
	return (unsigned)(v * 255 + 0.5);
}

/* The kind's colour, a little different for each name so that neighbours can be told apart. */
static unsigned svg_colour(enum flame_kind kind, const char *name)
{
	const struct svg_kind *k = &svg_kinds[kind];
	uint64_t hash = XXH3_64bits(name, strlen(name));
	double hue = (k->hue + (double)(hash & 0xff) / 255 * k->hue_range) / 360;
	double light = k->light + ((double)(hash >> 8 & 0xff) / 255 - 0.5) * 0.07;
	double q = light + k->saturation - light * k->saturation, p = 2 * light - q;

	hue = hue >= 1 ? hue - 1 : hue;
	return svg_channel(p, q, hue + 1.0 / 3) << 16 | svg_channel(p, q, hue) << 8 |
	       svg_channel(p, q, hue - 1.0 / 3);
}

static void svg_amount(struct svg *s, uint64_t value, uint64_t samples)
{
	char v[SCALE_TEXT_BYTES], percent[SCALE_TEXT_BYTES];
	uint64_t total = flame_at(s->f, 0)->value;
	const char *p = scale_percent(percent, (int64_t)(value / 2), (int64_t)(total / 2));

	if (total < 2)
		p = scale_percent(percent, (int64_t)value, (int64_t)total);
	else if (value < 1ULL << 62)
		p = scale_percent(percent, (int64_t)value,
				  (int64_t)MIN(total, (uint64_t)INT64_MAX));
	buf_printf(s->out, "%s%s (%s)",
		   scale_value(v, (int64_t)MIN(value, (uint64_t)INT64_MAX), s->unit, "auto"),
		   s->type == 0 ? " samples" : "", p + strspn(p, " "));
	if (s->type != 0)
		buf_printf(s->out, ", %llu sample%s", (unsigned long long)samples,
			   samples == 1 ? "" : "s");
}

static void svg_object(struct svg *s, const struct flame_node *n)
{
	const char *file, *base;

	if (n->mapping == 0)
		return;
	file = profile_get_string(s->f->p, model_mapping_at(s->f->p, n->mapping)->filename);
	base = strrchr(file, '/');
	base = base && base[1] ? base + 1 : file;
	if (*base) {
		buf_putc(s->out, '\n');
		svg_text(s, base);
	}
}

static void svg_frame(struct svg *s, const struct svg_item *item)
{
	const struct flame_node *n = flame_at(s->f, item->node);
	double total = (double)flame_at(s->f, 0)->value;
	double x = SVG_SIDE + (double)item->start / total * s->width,
	       w = (double)n->value / total * s->width;
	double y = s->o->icicle ? SVG_HEAD + (double)item->depth * SVG_ROW
				: s->height - SVG_FOOT - (double)(item->depth + 1) * SVG_ROW;

	s->shown++;
	buf_printf(s->out, "<g data-s=\"%llu\" data-v=\"%llu\"><title>",
		   (unsigned long long)item->start, (unsigned long long)n->value);
	svg_text(s, n->name);
	buf_putc(s->out, '\n');
	svg_amount(s, n->value, n->samples);
	svg_object(s, n);
	buf_printf(s->out,
		   "</title><rect x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" height=\"%d\" rx=\"1.5\" "
		   "fill=\"#%06x\"/>"
		   "<text x=\"%.2f\" y=\"%.0f\">",
		   x, y, w, SVG_ROW - 1, svg_colour((enum flame_kind)n->kind, n->name), x + 3,
		   y + 12.5);
	svg_label(s, n->name, w);
	buf_puts(s->out, "</text></g>\n");
}

/* Parents before children, without recursion: stacks may be thousands of frames deep. */
static int svg_frames(struct svg *s)
{
	_cleanup_free_ struct svg_item *stack = calloc(s->f->nodes.n, sizeof(*stack));
	double total = (double)flame_at(s->f, 0)->value;
	uint32_t n = 0;

	if (!stack)
		return -ENOMEM;
	buf_puts(s->out, "<g id=\"frames\">\n");
	if (total > 0)
		stack[n++] = (struct svg_item){};
	while (n > 0 && !s->out->error) {
		struct svg_item item = stack[--n];
		const struct flame_node *node = flame_at(s->f, item.node);
		uint64_t start = item.start;

		svg_frame(s, &item);
		for (uint32_t i = 0; i < node->n_children; i++) {
			uint32_t child = s->f->order[node->first_child + i];
			uint64_t value = flame_at(s->f, child)->value;

			if ((double)value / total * s->width >= SVG_MIN_FRAME)
				stack[n++] = (struct svg_item){ start, child, item.depth + 1 };
			start += value;
		}
	}
	return buf_puts(s->out, "</g>\n");
}

static void svg_subtitle(struct svg *s)
{
	const struct profile *p = s->f->p;
	time_t t = (time_t)(p->time_ns / (int64_t)NSEC_PER_SEC);
	char a[SCALE_TEXT_BYTES];
	struct tm tm;

	if (s->o->subtitle) {
		svg_text(s, s->o->subtitle);
		return;
	}
	if (p->time_ns && localtime_r(&t, &tm) &&
	    strftime(a, sizeof(a), "%Y-%m-%d %H:%M:%S %Z", &tm))
		buf_printf(s->out, "%s, ", a);
	if (p->duration_ns)
		buf_printf(s->out, "%s, ", scale_value(a, p->duration_ns, "ns", "auto"));
	svg_text(s, profile_get_type(p, s->type).type);
	buf_puts(s->out, ": ");
	svg_amount(s, flame_at(s->f, 0)->value, flame_at(s->f, 0)->samples);
}

static void svg_title(struct svg *s)
{
	const struct profile *p = s->f->p;
	const char *file = "", *base;

	if (s->o->title) {
		svg_text(s, s->o->title);
		return;
	}
	if (p->mappings.n > 0)
		file = profile_get_string(p, model_mapping_at(p, 1)->filename);
	base = file[0] == '[' ? NULL : strrchr(file, '/');
	base = base && base[1] ? base + 1 : file;
	svg_text(s, *base ? base : "Flame graph");
}

static void svg_legend(struct svg *s)
{
	bool present[FLAME_KIND_MAX] = {};
	double x = SVG_SIDE;

	for (uint32_t i = 1; i < s->f->nodes.n; i++)
		present[flame_at(s->f, i)->kind] = true;
	buf_puts(s->out, "<g class=\"legend\">");
	for (unsigned kind = 1; kind <= FLAME_KIND_MAX; kind++) {
		unsigned k = kind % FLAME_KIND_MAX;

		if (!present[k])
			continue;
		buf_printf(s->out,
			   "<rect x=\"%.0f\" y=\"58\" width=\"11\" height=\"11\" rx=\"2\" "
			   "fill=\"#%06x\"/>"
			   "<text x=\"%.0f\" y=\"68\">%s</text>",
			   x, svg_colour((enum flame_kind)k, svg_kinds[k].label), x + 16,
			   svg_kinds[k].label);
		x += 34 + 7 * (double)strlen(svg_kinds[k].label);
	}
	buf_puts(s->out, "</g>");
}

static void svg_head(struct svg *s, unsigned width)
{
	buf_printf(s->out,
		   "<g id=\"head\"><rect class=\"bg wide\" x=\"0\" y=\"0\" width=\"%u\" "
		   "height=\"%d\"/>"
		   "<text class=\"title\" x=\"%d\" y=\"27\">",
		   width, SVG_HEAD - 6, SVG_SIDE);
	svg_title(s);
	buf_printf(s->out, "</text><text class=\"sub\" x=\"%d\" y=\"46\">", SVG_SIDE);
	svg_subtitle(s);
	buf_puts(s->out, "</text>");
	svg_legend(s);
	buf_printf(s->out,
		   "<foreignObject id=\"search\" x=\"%u\" y=\"10\" width=\"300\" "
		   "height=\"30\"></foreignObject>"
		   "<text id=\"matched\" class=\"matched right\" x=\"%u\" y=\"57\" "
		   "text-anchor=\"end\"></text>"
		   "<text id=\"reset\" class=\"button hidden\" x=\"%u\" y=\"27\" "
		   "text-anchor=\"end\">Reset zoom</text>"
		   "<line class=\"rule wide\" x1=\"0\" y1=\"%d\" x2=\"%u\" y2=\"%d\"/></g>\n",
		   width - SVG_SIDE - 300, width - SVG_SIDE, width - SVG_SIDE - 316, SVG_HEAD - 6,
		   width, SVG_HEAD - 6);
}

static void svg_foot(struct svg *s, unsigned width)
{
	double y = s->height - SVG_FOOT + 8;
	uint32_t left_out = s->f->nodes.n - s->shown;

	buf_printf(s->out,
		   "<g id=\"foot\"><rect class=\"bg wide\" x=\"0\" y=\"%.0f\" width=\"%u\" "
		   "height=\"%d\"/>"
		   "<line class=\"rule wide\" x1=\"0\" y1=\"%.0f\" x2=\"%u\" y2=\"%.0f\"/>"
		   "<text id=\"note\" class=\"note\" x=\"%d\" y=\"%.0f\">%s</text>"
		   "<text class=\"small right\" x=\"%u\" y=\"%.0f\" text-anchor=\"end\">",
		   y, width, SVG_FOOT - 8, y, width, y, SVG_SIDE, y + 23,
		   flame_at(s->f, 0)->value ? "" : "No samples.", width - SVG_SIDE, y + 23);
	if (left_out > 0 && flame_at(s->f, 0)->value)
		buf_printf(s->out, "%u frame%s narrower than 0.1 px left out", left_out,
			   left_out == 1 ? "" : "s");
	buf_puts(s->out, "</text></g>\n");
}

static int svg_write(struct svg *s, unsigned width)
{
	int r;

	buf_printf(s->out,
		   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%.0f\" "
		   "viewBox=\"0 0 %u %.0f\" "
		   "data-row=\"%d\" data-head=\"%d\" data-foot=\"%d\" data-side=\"%d\" "
		   "data-total=\"%llu\" "
		   "data-height=\"%.0f\" data-icicle=\"%d\">\n<style><![CDATA[\n",
		   width, s->height, width, s->height, SVG_ROW, SVG_HEAD, SVG_FOOT, SVG_SIDE,
		   (unsigned long long)flame_at(s->f, 0)->value, s->height, s->o->icicle);
	buf_puts(s->out, svg_css);
	buf_printf(s->out, "]]></style>\n<rect class=\"bg wide\" width=\"%u\" height=\"%.0f\"/>\n",
		   width, s->height);
	r = svg_frames(s);
	if (r < 0)
		return r;

	svg_head(s, width);
	svg_foot(s, width);
	buf_puts(s->out, "<script><![CDATA[\n");
	buf_puts(s->out, svg_js);
	buf_puts(s->out, "]]></script>\n</svg>\n");
	/* the last piece may fit where one before it did not */
	return s->out->error;
}

int profile_svg(const struct profile *p, const struct svg_options *o, struct buf *out)
{
	static const struct svg_options defaults = {};
	struct svg s = { .o = o ? o : &defaults,
			 .out = out,
			 .name = BUF_INIT(SVG_NAME_BYTES * 16) };
	_cleanup_(flame_freep) struct flame *f = NULL;
	int type = profile_find_type(p, s.o->type), r;
	unsigned width;

	if (type < 0)
		return type;
	width = s.o->width ? MAX(SVG_MIN_WIDTH, MIN(s.o->width, SVG_MAX_WIDTH)) : SVG_WIDTH;
	r = flame_new(&f, p, (size_t)type);
	if (r < 0)
		return r;

	s.f = f;
	s.type = (size_t)type;
	s.unit = profile_get_type(p, s.type).unit;
	s.width = (double)width - 2 * SVG_SIDE;
	s.height = SVG_HEAD + SVG_FOOT + (double)(f->depth + 1) * SVG_ROW;
	r = svg_write(&s, width);
	buf_done(&s.name);
	return r;
}
