/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The uid that owns a TCP socket of this network namespace, asked of the kernel by its addresses
 * (sock_diag(7), an exact lookup, no dump). Only an established socket that still has a file counts:
 * for one that was closed, and waits or is in TIME_WAIT, the kernel answers uid 0.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The socket whose own address is `own` and whose peer is `peer`; both AF_INET or both AF_INET6.
 * -ENOENT when there is none that counts. */
int diag_socket_owner(const struct sockaddr_storage *own, const struct sockaddr_storage *peer,
		      uint32_t *ret_uid);

/* The kernel's answer: 0, or what its error message says, -ENOENT for a socket that does not
 * count, -EBADMSG for bytes that are no answer. For diag_socket_owner() and the fuzzer. */
int diag_parse(const void *data, size_t size, uint32_t *ret_uid);
