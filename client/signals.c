/* SPDX-License-Identifier: Apache-2.0 */
#include "signals.h"

#include <poll.h>

#include "cleanup.h"

int signals_init(struct signals *s, bool with_children)
{
	struct sigaction hup;
	sigset_t mask;

	*s = (struct signals){ .fd = -1 };
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	/* nohup(1) holds. An ignored SIGINT does not: a script's `cprofctl ... & kill -INT $!` ends it. */
	if (sigaction(SIGHUP, NULL, &hup) < 0 || hup.sa_handler != SIG_IGN)
		sigaddset(&mask, SIGHUP);
	if (with_children) {
		sigaddset(&mask, SIGQUIT);
		sigaddset(&mask, SIGCHLD);
	}

	s->fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return -errno;
	if (sigprocmask(SIG_BLOCK, &mask, &s->before) < 0) {
		int r = -errno;

		s->fd = safe_close(s->fd);
		return r;
	}
	return 0;
}

void signals_restore(struct signals *s)
{
	if (s->fd >= 0)
		sigprocmask(SIG_SETMASK, &s->before, NULL);
}

void signals_done(struct signals *s)
{
	signals_restore(s);
	s->fd = safe_close(s->fd);
}

bool signals_next(struct signals *s, int ms, struct signalfd_siginfo *ret)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	if (poll(&p, 1, ms) <= 0 || read(s->fd, ret, sizeof(*ret)) != sizeof(*ret))
		return false;

	if (ret->ssi_signo == SIGINT || ret->ssi_signo == SIGTERM || ret->ssi_signo == SIGHUP)
		s->ends++;
	return true;
}

bool signals_give_up(void *signals)
{
	struct signalfd_siginfo info;
	struct signals *s = signals;

	while (signals_next(s, 0, &info))
		;
	return s->ends > s->patience;
}
