/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the daemon and the worker say to one another. The client reads it too, which may not look
 * into this room. */
#include "cprof/jobs.h"
