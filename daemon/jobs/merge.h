/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * JOB_MERGE: pprof files into one. The files come by JOB_MSG_OPEN with kind JOB_OPEN_PROFILE, id: the
 * file's number as 4 bytes; there may be thousands, and they are read one after the other. Input:
 *
 *	struct merge_input
 *	struct merge_file[n_files]	the last n_base of them are the baseline
 *	uint32_t pids[]			those of each file, ascending, file by file
 *	n_terms times: struct merge_term, its text, padded to 4 bytes
 *	n_folds times: struct merge_fold, the comm, padded to 4 bytes
 *
 * Answer:
 *
 *	struct merge_answer
 *	uint32_t bad[n_bad]		numbers of files that are no pprof, or beyond its limits
 *	the gzip pprof
 */

#include <stdint.h>

#define MERGE_MAX_FILES 65536

struct merge_input {
	uint32_t n_files, n_base, n_terms, n_folds;
	uint64_t
		max_bytes; /* that the pprof may take: its detail is reduced until it does; 0: any */
};

struct merge_file {
	uint64_t payload_bytes; /* of the pprof in it, from its start */
	uint32_t n_pids;        /* that samples must be of; */
	uint32_t only_pids;     /* 0: of any */
};

enum merge_term_kind { MERGE_PID = 1, MERGE_COMM, MERGE_UNIT, MERGE_CONTAINER };

struct merge_term {
	uint32_t kind, bytes;
};

/* Of the result: the process of this pid and command name gets another pid (lib/profile/fold.h). */
struct merge_fold {
	uint32_t pid, to, bytes;
};

struct merge_answer {
	uint64_t samples, cpu_ns; /* sums of the result */
	uint32_t n_merged;        /* files that are in it */
	uint32_t n_bad;
};
_Static_assert(sizeof(struct merge_answer) == 24, "wire layout");
