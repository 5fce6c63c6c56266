/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * libcurl, loaded when a verb first speaks HTTP: it brings some thirty libraries, which take longer to
 * start than all of `cprofctl symbolize` or `report`.
 */

#include <curl/curl.h>

/* Named as libcurl's own, without curl_. */
#define LIBCURL_FUNCTIONS(X)   \
	X(easy_cleanup)        \
	X(easy_getinfo)        \
	X(easy_init)           \
	X(easy_setopt)         \
	X(easy_strerror)       \
	X(global_init)         \
	X(multi_add_handle)    \
	X(multi_cleanup)       \
	X(multi_info_read)     \
	X(multi_init)          \
	X(multi_perform)       \
	X(multi_poll)          \
	X(multi_remove_handle) \
	X(slist_append)        \
	X(slist_free_all)

struct libcurl {
#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
	LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};

/* It stays until the process ends. -ELIBACC: there is none, or one that lacks a function. */
int libcurl_load(struct libcurl *ret);
