/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cells of a table, on a stream or in a buffer: foreign text is escaped, columns are counted in characters. */

#include <stdio.h>

#include "buf.h"

/* s in width columns at least; 0: as many as it takes. */
void cell_print(FILE *f, const char *s, int width);
/* The same, cut to most columns (0: never) with an ellipsis. Returns the columns that it took. */
int cell_append(struct buf *b, const char *s, int width, int most);
