/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The store's own clock: how long it has existed, as far as that is known. Ages are told by it, for
 * the wall clock jumps: by years when a battery is empty or a time server lies, and back again. While
 * the machine runs it follows CLOCK_BOOTTIME, which nobody sets. Over a reboot there is only the wall
 * clock to tell how long the machine was off; that is believed once the two clocks have agreed for an
 * hour (time servers have been heard by then), and never more than thirty days.
 */

#include <stdbool.h>
#include <stdint.h>

#include "window.h"

struct age_clock {
	char boot_id[WINDOW_BOOT_ID_BYTES + 1];
	bool agree;       /* the clocks went alike since the last look, or this is the first */
	bool off_pending; /* how long the machine was off is not decided */
	uint64_t age_ns;  /* now */
	uint64_t boot_ns, real_ns; /* CLOCK_BOOTTIME and CLOCK_REALTIME at the last look */
	uint64_t off_age_ns, off_real_ns,
		off_boot_ns; /* before the machine was off; first look after */
};

/* Looks at the clocks; c->age_ns never goes backwards. */
void age_look(struct age_clock *c, const char *boot_id, uint64_t boot_ns, uint64_t real_ns);
