/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names for a profile that was taken where its files' symbols were not: what has no name, or no
 * file and line, is asked of the files of this machine. A file counts only with the build-id that the
 * profile gives.
 */

/* Writes the named profile to output ("-": standard output, NULL: in place of the file). Says what it did and
 * what failed; the program's exit status. debug_folder: NULL none. */
int symbolize_profile(const char *path, const char *output, const char *debug_folder);
