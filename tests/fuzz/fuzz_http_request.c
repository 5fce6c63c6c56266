/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "diag.h"
#include "listen.h"
#include "origin.h"
#include "spec.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct capture_spec *spec, int r, char *error)
{
	if (r < 0) {
		if (r != -ENOMEM && !error)
			abort();
		free(error);
		return;
	}
	if (spec->n_targets == 0 || spec->n_targets > CPROF_MAX_TARGETS ||
	    spec->hz < CPROF_MIN_HZ || spec->hz > CPROF_MAX_HZ ||
	    spec->duration_ns > CPROF_MAX_SECONDS * NSEC_PER_SEC)
		abort();
	for (size_t i = 0; i < spec->n_targets; i++) {
		const struct capture_target *t = &spec->targets[i];

		if ((t->kind == CAPTURE_ALL) != (t->value == NULL) ||
		    (t->value && !text_is_utf8(t->value, strlen(t->value))))
			abort();
	}
	spec_done(spec);
}

/* The first byte chooses the parser; the rest is what a client, or a file, sends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct capture_spec spec = { 0 };
	struct sockaddr_storage address;
	char *text, *error = NULL;
	socklen_t bytes;
	uint32_t number;
	int r;

	if (size == 0)
		return 0;
	size--;
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data + 1, size);
	text[size] = '\0';

	switch (data[0] % 6) {
	case 0:
		r = spec_from_query(&spec, text, &error);
		check(&spec, r, error);
		break;
	case 1:
		r = spec_from_json(&spec, text, size, &error);
		check(&spec, r, error);
		break;
	case 2:
		(void)origin_host_allowed(text, "a.example b.example", data[0] & 64);
		(void)origin_is_foreign(text, "localhost", NULL);
		break;
	case 3:
		(void)auth_group_parse(text, size, "cprofd", &number);
		break;
	case 4:
		(void)diag_parse(text, size, &number);
		break;
	case 5:
		(void)listen_parse_address(text, size, &address, &bytes);
		break;
	}
	free(text);
	return 0;
}
