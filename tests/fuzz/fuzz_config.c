/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(void *arg, enum config_level level, const char *file, unsigned line,
		  const char *message)
{
	(void)line;
	if (level == CONFIG_ERROR)
		*(int *)arg = 1;
	if (strcmp(file, "fuzz") != 0 || strchr(message, '\n') || strchr(message, '\033') ||
	    !text_is_utf8(message, strlen(message)))
		abort();
}

/* Any bytes: what is accepted is in range, and a failure has been told. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;
	int told = 0, r;

	config_defaults(&c);
	r = config_parse(&c, (const char *)data, size, "fuzz", check, &told);
	if ((r < 0) != told)
		abort();
	if (c.sampling.frequency_hz < 1 || c.sampling.frequency_hz > 10000 ||
	    c.budget.cpu_ppm == 0 || c.budget.cpu_ppm > 1000000 || c.server.connections < 16)
		abort();
	if (c.server.listen && strlen(c.server.listen) > CONFIG_MAX_LIST_BYTES)
		abort();
	config_done(&c);
	return 0;
}
