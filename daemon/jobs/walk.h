/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JOB_WALK's bytes. lib/unwind reads them too, which may not look into this room. */
#include "cprof/walk.h"
