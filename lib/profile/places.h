/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Mappings of many profiles in one, for lib/profile only: the same piece of the same file is one mapping
 * (file name, build-id, offset and size agree), and ranges do not overlap: one that would gets a free
 * place with the same offset in its page.
 */

#include "model.h"

struct places {
	struct profile *p;  /* whose mappings they are; its bytes are charged */
	struct index index; /* of the mappings, by what unifies them */
	struct vec ranges;  /* of the mappings, sorted, without the empty ones */
};

/* Takes in the mappings that p has. On failure, too, places_done() is due. */
int places_init(struct places *m, struct profile *p);
void places_done(struct places *m);
/*
 * The mapping of p that is a, whose strings are p's: one that is there (what it claims to have is then
 * what both have), or a new one, perhaps moved (start and limit of a are then where it is). Its mappings
 * come by this function only.
 */
int places_mapping(struct places *m, struct profile_mapping *a, uint32_t *ret_id);
