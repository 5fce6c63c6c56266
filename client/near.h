/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The word that somebody may have meant: one that begins with what was written (three letters or more), or that is
 * one slip away, two where it is longer than four letters. */

struct near {
	const char *word; /* as it was written */
	const char *best; /* the nearest of those offered so far, NULL none is near */
	unsigned slips;   /* between the two */
};

/* Fields but word are to be zero at the first call. name stays the caller's. */
void near_offer(struct near *n, const char *name);
