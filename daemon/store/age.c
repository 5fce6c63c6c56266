/* SPDX-License-Identifier: Apache-2.0 */
#include "age.h"

#include <string.h>

#include "cleanup.h"

#define SETTLE_NS    (3600 * NSEC_PER_SEC)
#define MAX_OFF_NS   (30 * 86400 * NSEC_PER_SEC)
#define TOLERANCE_NS (30 * NSEC_PER_SEC)

/* Within half a minute or a hundredth. */
static bool clocks_agree(uint64_t boot_ns, int64_t real_ns)
{
	uint64_t tolerance = MAX(TOLERANCE_NS, boot_ns / 100);
	int64_t difference = real_ns - (int64_t)boot_ns;

	return (uint64_t)(difference < 0 ? -difference : difference) <= tolerance;
}

static void reboot(struct age_clock *c, const char *boot_id, uint64_t boot_ns)
{
	/* one that comes before the last one was settled: what was before that one counts */
	if (!c->off_pending && c->boot_id[0]) {
		c->off_age_ns = c->age_ns;
		c->off_real_ns = c->real_ns;
		c->off_pending = true;
	}
	c->off_boot_ns = boot_ns;
	snprintf(c->boot_id, sizeof(c->boot_id), "%s", boot_id);
	c->agree = false;
}

static void settle(struct age_clock *c, uint64_t boot_ns, uint64_t real_ns)
{
	int64_t passed = (int64_t)(real_ns - c->off_real_ns);

	if (!c->off_pending || boot_ns - c->off_boot_ns < SETTLE_NS)
		return;
	c->off_pending = false;
	if (passed > 0 && (uint64_t)passed <= MAX_OFF_NS)
		c->age_ns = MAX(c->age_ns, c->off_age_ns + (uint64_t)passed);
}

void age_look(struct age_clock *c, const char *boot_id, uint64_t boot_ns, uint64_t real_ns)
{
	if (strcmp(c->boot_id, boot_id) != 0 || boot_ns < c->boot_ns) {
		bool first = !c->boot_id[0];

		reboot(c, boot_id, boot_ns);
		c->agree = first;
	} else {
		uint64_t passed = boot_ns - c->boot_ns;

		c->age_ns += passed;
		c->agree = clocks_agree(passed, (int64_t)(real_ns - c->real_ns));
		if (c->agree)
			settle(c, boot_ns, real_ns);
		else
			/* it was set: what it says of the time before is heard again in an hour */
			c->off_boot_ns = boot_ns;
	}
	c->boot_ns = boot_ns;
	c->real_ns = real_ns;
}
