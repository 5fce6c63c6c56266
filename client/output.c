/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "text.h"

#define OUTPUT_MAX_SUFFIX   10000
#define OUTPUT_FIFO_POLL_MS 100
#define OUTPUT_RESCUE_NAME  200

struct output {
	char path[PATH_MAX];      /* final, or what is written through */
	char temporary[PATH_MAX]; /* "" none */
	char stem[NAME_MAX];      /* of a default name */
	const char *extension;
	int fd;
	enum { OUTPUT_STDOUT, OUTPUT_THROUGH, OUTPUT_REPLACE, OUTPUT_NEW } kind;
};

/* One part of a default name. */
static void output_clean(char *s)
{
	for (char *p = s; *p; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
			    *p))
			*p = '_';
}

void output_default_stem(char *s, size_t size, const struct capture_options *o, time_t now)
{
	char target[96], stamp[32];
	struct tm tm;

	if (o->command) {
		const char *slash = strrchr(o->command[0], '/');

		snprintf(target, sizeof(target), "%s",
			 slash && slash[1] ? slash + 1 : o->command[0]);
	} else if (strcmp(o->targets[0].kind, "all") == 0) {
		snprintf(target, sizeof(target), "all");
	} else {
		const char *value = o->targets[0].value;

		/* of a cgroup's path the end says most, of a container's id the beginning */
		if (strcmp(o->targets[0].kind, "cgroup") == 0)
			value += strlen(value) > 48 ? strlen(value) - 48 : strspn(value, "/");
		snprintf(target, sizeof(target),
			 strcmp(o->targets[0].kind, "container") == 0 ? "%.12s" : "%.48s", value);
	}
	if (o->n_targets > 1)
		snprintf(target + strlen(target), sizeof(target) - strlen(target), "-and-%zu-more",
			 o->n_targets - 1);
	output_clean(target);

	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	snprintf(s, size, "cprofd-%s-%s", target, stamp);
}

/* The user behind sudo; false when there is none, or it is root. */
static bool output_sudo_owner(uid_t *ret_uid, gid_t *ret_gid)
{
	const char *uid = getenv("SUDO_UID"), *gid = getenv("SUDO_GID");
	uint64_t u, g;

	if (getuid() != 0 || geteuid() != 0 || !uid || !gid)
		return false;
	if (text_parse_u64(uid, UINT32_MAX - 1, &u) < 0 ||
	    text_parse_u64(gid, UINT32_MAX - 1, &g) < 0)
		return false;

	*ret_uid = (uid_t)u;
	*ret_gid = (gid_t)g;
	return true;
}

static const char *output_cure(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "make its folder, or choose another place with -o";
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return "free some space, or choose another place with -o";
	case EPIPE:
		return "its reader went away";
	default:
		return "choose another place with -o";
	}
}

static int output_say(const char *path, int error)
{
	say_error("cannot write %s: %s; %s", path, strerror(error), output_cure(error));
	return -error;
}

/* As it stands in a message. */
static const char *output_words(const struct output *out)
{
	return out->kind == OUTPUT_STDOUT ? "to standard output" : out->path;
}

/* The temporary file lies beside the final one: a rename does not cross file systems. */
static int output_make_temporary(struct output *out, const struct stat *old)
{
	const char *slash = strrchr(out->path, '/');
	int folder = slash ? (int)(slash - out->path) + 1 : 0;
	mode_t mask = umask(0);
	uid_t uid;
	gid_t gid;

	umask(mask);
	if (snprintf(out->temporary, sizeof(out->temporary), "%.*s.cprofctl-XXXXXX", folder,
		     out->path) >= (int)sizeof(out->temporary))
		return -ENAMETOOLONG;
	out->fd = mkostemp(out->temporary, O_CLOEXEC);
	if (out->fd < 0) {
		out->temporary[0] = '\0';
		return -errno;
	}

	/* who may not give the file away keeps it */
	if (old && fchown(out->fd, old->st_uid, old->st_gid) < 0 && geteuid() == 0)
		return -errno;
	if (!old && output_sudo_owner(&uid, &gid) && fchown(out->fd, uid, gid) < 0)
		return -errno;
	if (fchmod(out->fd, old ? old->st_mode & 0777 : 0666 & ~mask) < 0)
		return -errno;
	return 0;
}

static int output_open_named(struct output *out, const char *name)
{
	struct stat st;

	if (snprintf(out->path, sizeof(out->path), "%s", name) >= (int)sizeof(out->path))
		return -ENAMETOOLONG;

	if (lstat(name, &st) < 0)
		return errno == ENOENT ? output_make_temporary(out, NULL) : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (S_ISREG(st.st_mode)) {
		/* what its owner has made read-only is not replaced either */
		if (access(name, W_OK) < 0)
			return -errno;
		return output_make_temporary(out, &st);
	}

	out->kind = OUTPUT_THROUGH;
	if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (access(name, W_OK) < 0 && errno != ENOENT) /* a link to nothing makes it */
		return -errno;
	return 0;
}

int output_open(struct output **ret, const struct capture_options *o)
{
	_cleanup_(output_freep) struct output *out = calloc(1, sizeof(*out));
	int r;

	if (!out) {
		say_error("out of memory");
		return -ENOMEM;
	}
	out->fd = -1;
	out->kind = OUTPUT_REPLACE;
	out->extension = output_format_extension(o->format);

	if (o->output && strcmp(o->output, "-") == 0) {
		out->kind = OUTPUT_STDOUT;
		strcpy(out->path, "-");
	} else if (o->output) {
		r = output_open_named(out, o->output);
		if (r < 0)
			return output_say(o->output, -r);
	} else {
		out->kind = OUTPUT_NEW;
		output_default_stem(out->stem, sizeof(out->stem), o, time(NULL));
		snprintf(out->path, sizeof(out->path), "%s%s", out->stem, out->extension);
		r = output_make_temporary(out, NULL);
		if (r < 0)
			return output_say("to the current folder", -r);
	}

	*ret = TAKE_PTR(out);
	return 0;
}

struct output *output_free(struct output *out)
{
	if (!out)
		return NULL;

	if (out->temporary[0])
		unlink(out->temporary);
	safe_close(out->fd);
	free(out);
	return NULL;
}

static int output_write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Without O_NONBLOCK, a FIFO that nobody reads would hold the program where Ctrl-C cannot reach. */
static int output_open_through(const char *path, bool (*cancel)(void *arg), void *arg)
{
	int fd, flags;

	for (;;) {
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
			  0666);
		if (fd >= 0 || errno != ENXIO)
			break;
		if (cancel && cancel(arg))
			return -ECANCELED;
		poll(NULL, 0, OUTPUT_FIFO_POLL_MS);
	}
	if (fd < 0)
		return -errno;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
		safe_close(fd);
		return -errno;
	}
	return fd;
}

/* Never replaces: link() fails where the name is taken, rename() would not. */
static int output_appear(struct output *out)
{
	if (out->kind == OUTPUT_REPLACE) {
		if (rename(out->temporary, out->path) < 0)
			return -errno;
		out->temporary[0] = '\0';
		return 0;
	}

	for (int i = 1; i <= OUTPUT_MAX_SUFFIX; i++) {
		if (renameat2(AT_FDCWD, out->temporary, AT_FDCWD, out->path, RENAME_NOREPLACE) ==
		    0) {
			out->temporary[0] = '\0';
			return 0;
		}
		/* file systems without RENAME_NOREPLACE */
		if (errno == EINVAL && link(out->temporary, out->path) == 0)
			return 0; /* the second name goes with the output */
		if (errno != EEXIST)
			return -errno;
		snprintf(out->path, sizeof(out->path), "%s-%d%s", out->stem, i, out->extension);
	}
	return -EEXIST;
}

/* Says nothing, but that it was given up. */
static int output_try(struct output *out, const void *data, size_t size, bool (*cancel)(void *arg),
		      void *arg)
{
	int fd = out->kind == OUTPUT_STDOUT ? STDOUT_FILENO : out->fd, r;

	if (out->kind == OUTPUT_THROUGH) {
		fd = out->fd = output_open_through(out->path, cancel, arg);
		if (fd == -ECANCELED) {
			out->fd = -1;
			say_error("nobody reads %s: given up", out->path);
			return -ECANCELED;
		}
		if (fd < 0) {
			out->fd = -1;
			return fd;
		}
	}

	r = output_write_all(fd, data, size);
	/* errors of a network file system may come as late as this */
	if (r == 0 && out->fd >= 0 && close(TAKE_FD(out->fd)) < 0)
		r = -errno;
	if (r == 0 && out->temporary[0])
		r = output_appear(out);
	return r;
}

int output_write(struct output *out, const void *data, size_t size, bool (*cancel)(void *arg),
		 void *arg)
{
	int r = output_try(out, data, size, cancel, arg);

	return r < 0 && r != -ECANCELED ? output_say(output_words(out), -r) : r;
}

/* "FOLDER/NAME-XXXXXX.EXTENSION", for this user's eyes; of a device the name is of no use. */
static int output_rescue_name(const struct output *out, const char *folder, char *s, size_t size)
{
	const char *slash = strrchr(out->path, '/'), *name = slash ? slash + 1 : out->path;
	size_t n = strlen(name);

	if (text_ends_with(name, out->extension))
		n -= strlen(out->extension);
	if (out->kind == OUTPUT_STDOUT || out->kind == OUTPUT_THROUGH || n == 0)
		n = strlen(name = "cprofd-profile");
	if (snprintf(s, size, "%s/%.*s-XXXXXX%s", folder, (int)MIN(n, (size_t)OUTPUT_RESCUE_NAME),
		     name, out->extension) >= (int)size)
		return -ENAMETOOLONG;
	return 0;
}

static int output_rescue(struct output *out, const char *folder, const void *data, size_t size)
{
	char path[PATH_MAX];
	uid_t uid;
	gid_t gid;
	int r = output_rescue_name(out, folder, path, sizeof(path)), fd;

	if (r < 0)
		return r;
	fd = mkostemps(path, (int)strlen(out->extension), O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (output_sudo_owner(&uid, &gid) && fchown(fd, uid, gid) < 0)
		r = -errno;
	if (r == 0)
		r = output_write_all(fd, data, size);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r < 0) {
		unlink(path);
		return r;
	}
	strcpy(out->path, path);
	return 0;
}

int output_save(struct output *out, const void *data, size_t size, bool (*cancel)(void *arg),
		void *arg)
{
	int r = output_try(out, data, size, cancel, arg), rescued = -ENOENT;
	const char *folder = getenv("TMPDIR");
	char meant[PATH_MAX];

	if (r >= 0 || r == -ECANCELED)
		return r;
	if (r == -EPIPE)
		return output_say(output_words(out), -r);

	/* what was written of it takes room, perhaps where it shall go now */
	if (out->temporary[0])
		unlink(out->temporary);
	out->temporary[0] = '\0';
	snprintf(meant, sizeof(meant), "%s", output_words(out));
	if (folder && *folder)
		rescued = output_rescue(out, folder, data, size);
	if (rescued < 0)
		rescued = output_rescue(out, folder = "/tmp", data, size);
	if (rescued < 0)
		say_error("cannot write %s: %s, nor to %s: %s; the profile is lost: free some "
			  "space, or name a folder that has some with -o or $TMPDIR, and take it "
			  "again",
			  meant, strerror(-r), folder, strerror(-rescued));
	else
		say_error("cannot write %s: %s; the profile is in %s instead", meant, strerror(-r),
			  out->path);
	return rescued < 0 ? rescued : 1;
}

const char *output_name(const struct output *out)
{
	return out->path;
}
