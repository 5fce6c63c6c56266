/* SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include "report.h"

#define RENDER_ROWS_BYTES (1U << 20)

int render_profile(const struct profile *p, enum output_format format, struct buf *out)
{
	switch (format) {
	case FORMAT_FOLDED:
		return profile_folded(p, out);
	case FORMAT_SVG:
		return profile_svg(p, &(struct svg_options){ 0 }, out);
	case FORMAT_TEXT:
		return profile_text(p, NULL, out);
	default:
		return -EINVAL;
	}
}

void render_hottest(const struct profile *p, unsigned rows, FILE *f)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(RENDER_ROWS_BYTES);

	if (profile_text(p, &(struct text_options){ .rows = rows, .bare = true }, &b) >= 0 &&
	    b.size > 0)
		fwrite(b.data, 1, b.size, f);
}
