/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the daemon and cprof-fetch, its unprivileged client of debuginfod servers, say to one
 * another over a SOCK_SEQPACKET socket, which is descriptor FETCH_FD of cprof-fetch. A process fetches
 * one file and is gone, so that nobody can write to it any more when it is looked at.
 *
 *	daemon → fetch	the servers' addresses, separated by blanks, as they are configured;
 *			then a struct fetch_request, with an empty file to write to attached
 *	fetch → daemon	a struct fetch_reply
 *
 * What was fetched is not looked at here: that it is an ELF file with that build-id is for the
 * daemon to have found out by its worker.
 */

#include <stdint.h>

#define FETCH_FD             3
#define FETCH_MAX_URLS_BYTES 4096
#define FETCH_MAX_ID_BYTES   64

struct fetch_request {
	uint64_t max_bytes;
	uint32_t timeout_ms;
	uint32_t build_id_bytes;
	uint8_t build_id[FETCH_MAX_ID_BYTES];
};

struct fetch_reply {
	uint64_t bytes;
	/* 0: it is there; -ENOENT: no server has it; -EFBIG: over max_bytes; -ETIME; -EIO: servers
	 * that cannot be reached, or answer something else */
	int32_t error;
	int32_t http_status; /* the last one, 0 none */
};

_Static_assert(sizeof(struct fetch_request) == 80 && sizeof(struct fetch_reply) == 16, "layout");
