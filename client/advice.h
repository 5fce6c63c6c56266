/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What to do about frames that have no names, and about interpreters, whose own code is what is
 * seen: a line that says so and one with the exact next step, on stderr.
 */

struct profile;

void advice_print(const struct profile *p);
