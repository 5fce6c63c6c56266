/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "object.h"

/* The object of the kernel's [vdso]: a sealed memfd that holds the image which is mapped into this
 * very process, so that it has tables and symbols like a file. A reference. */
int vdso_object(struct object_table *t, struct object **ret);
