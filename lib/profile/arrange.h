/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The same profile in the order in which its file is smallest: a compressor that sees stacks beside those
 * that they share most with packs the samples of a busy host into less than half. Locations go by mapping
 * and address, functions as locations first refer to them, samples by their stacks from the root on, then
 * by their labels. Locations and functions that no sample refers to are left out. Sums, names and labels
 * stay as they are; mappings and strings keep their places.
 */

#include "profile.h"

/*
 * In place. p may be read, written and freed afterwards, but nothing be added: it is not known any more
 * what it holds already. -ENOMEM: p is as it was.
 */
int profile_arrange(struct profile *p);
