/* SPDX-License-Identifier: Apache-2.0 */
#include "screen.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define SCREEN_SAID_BYTES 65536

static void screen_hold_stderr(struct screen *s)
{
	fflush(stderr);
	s->said_fd = memfd_create("said", MFD_CLOEXEC);
	s->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (s->said_fd >= 0 && s->stderr_fd >= 0)
		dup2(s->said_fd, STDERR_FILENO);
}

static void screen_release_stderr(struct screen *s)
{
	_cleanup_(buf_done) struct buf said = BUF_INIT(SCREEN_SAID_BYTES);

	fflush(stderr);
	if (s->said_fd >= 0 && s->stderr_fd >= 0) {
		dup2(s->stderr_fd, STDERR_FILENO);
		if (lseek(s->said_fd, 0, SEEK_SET) == 0 && buf_read_fd(&said, s->said_fd) == 0 &&
		    said.size > 0)
			fwrite(said.data, 1, said.size, stderr);
	}
	s->said_fd = safe_close(s->said_fd);
	s->stderr_fd = safe_close(s->stderr_fd);
}

static void screen_measure(struct screen *s)
{
	struct winsize w = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0 || w.ws_row == 0)
		w = (struct winsize){ .ws_col = 80, .ws_row = 24 };
	s->columns = w.ws_col;
	s->rows = w.ws_row;
}

static int screen_resize_fd(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGWINCH);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -1;
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

void screen_init(struct screen *s)
{
	const char *term = getenv("TERM");
	struct termios t;

	*s = SCREEN_INIT;
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0 ||
	    tcgetattr(STDIN_FILENO, &s->before) < 0)
		return;

	t = s->before;
	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	/* Ctrl-\ and Ctrl-Z would leave the terminal as it is now */
	t.c_cc[VQUIT] = t.c_cc[VSUSP] = _POSIX_VDISABLE;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &t) < 0)
		return;

	s->on = true;
	screen_hold_stderr(s);
	s->resize_fd = screen_resize_fd();
	screen_measure(s);
	fputs("\033[?1049h\033[?25l", stdout);
	fflush(stdout);
}

void screen_done(struct screen *s)
{
	s->resize_fd = safe_close(s->resize_fd);
	if (!s->on)
		return;
	s->on = false;
	/* cursor, the other screen, and whatever was typed meanwhile is dropped */
	fputs("\033[0m\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &s->before);
	screen_release_stderr(s);
}

/* At most so many characters of a line; the text holds no escape sequences and no tabs. */
static size_t screen_cut(const char *line, size_t size, unsigned columns)
{
	size_t i = 0;

	for (; i < size; i++)
		if (((unsigned char)line[i] & 0xc0) != 0x80 && columns-- == 0)
			break;
	return i;
}

void screen_draw(struct screen *s, const char *text, size_t size)
{
	const char *end = text + size;

	if (!s->on) {
		fwrite(text, 1, size, stdout);
		fflush(stdout);
		return;
	}

	fputs("\033[H", stdout);
	for (unsigned row = 0; row < s->rows && text < end; row++) {
		const char *line = memchr(text, '\n', (size_t)(end - text));
		size_t n = line ? (size_t)(line - text) : (size_t)(end - text);

		/* no newline behind the last row: the page would move up */
		printf("%s%.*s\033[K", row ? "\r\n" : "", (int)screen_cut(text, n, s->columns),
		       text);
		text += n + 1;
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}

static bool screen_key_quits(void)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	for (ssize_t i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == 4)
			return true;
	return false;
}

enum screen_event screen_wait(struct screen *s, struct signals *signals, int ms)
{
	struct pollfd p[] = { { .fd = signals->fd, .events = POLLIN },
			      { .fd = s->on ? STDIN_FILENO : -1, .events = POLLIN },
			      { .fd = s->resize_fd, .events = POLLIN } };
	struct signalfd_siginfo info;

	if (poll(p, ARRAY_SIZE(p), ms) <= 0)
		return SCREEN_NOTHING;
	if (signals_give_up(signals))
		return SCREEN_QUIT;
	/* a terminal that is gone is one that nobody looks at */
	if (p[1].revents & (POLLHUP | POLLERR))
		return SCREEN_QUIT;
	if ((p[1].revents & POLLIN) && screen_key_quits())
		return SCREEN_QUIT;
	if (p[2].revents & POLLIN) {
		while (read(s->resize_fd, &info, sizeof(info)) == sizeof(info))
			;
		screen_measure(s);
		return SCREEN_RESIZED;
	}
	return SCREEN_NOTHING;
}
