/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Listening sockets: the Unix socket that everybody may connect to, one handed over by systemd, and
 * TCP addresses. Errors come with a line for the operator in *ret_error (freed by the caller).
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>

#define LISTEN_MAX     16
#define LISTEN_BACKLOG 128

struct server;

struct listener {
	struct server *server;
	int fd;
	bool local; /* AF_UNIX */
	char *path; /* to be removed, or NULL */
	dev_t dev;  /* of path: what somebody else has put there since is left alone */
	ino_t ino;
	sd_event_source *source;
};

/* "127.0.0.1:7000" or "[::1]:7000": numbers only, no names. -EINVAL. */
int listen_parse_address(const char *text, size_t size, struct sockaddr_storage *ret,
			 socklen_t *ret_bytes);

int listen_unix(struct listener *ret, const char *path, char **ret_error);
int listen_tcp(struct listener *ret, const char *address, size_t size, bool have_token,
	       char **ret_error);
/* Takes the descriptor over. */
int listen_given(struct listener *ret, int fd, bool have_token, char **ret_error);
void listen_done(struct listener *l);
