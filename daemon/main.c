/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "cleanup.h"
#include "clock.h"
#include "config.h"
#include "cprof/api.h"
#include "engine.h"
#include "hurry.h"
#include "log.h"
#include "text.h"

#define STATE_DIR       "/var/lib/cprofd"
#define PRINT_MAX_BYTES (1U << 20)
#define STATE_WAIT_NS   (5 * NSEC_PER_SEC)

static const char usage[] =
	"usage: cprofd [--config FILE] [--socket PATH] [--state-dir DIR] [--listen ADDR:PORT] "
	"[--check-config | --print-config]\n"
	"\n"
	"The profiler's daemon: samples the machine and serves profiles to cprofctl and over HTTP, "
	"in the\n"
	"foreground, until SIGTERM.\n"
	"\n"
	"  --config FILE       read FILE and FILE.d/*.conf instead of " CONFIG_PATH "\n"
	"                      and its drop-ins\n"
	"  --socket PATH       listen on PATH instead of " CPROF_SOCKET "\n"
	"  --state-dir DIR     keep what outlives a restart in DIR instead of " STATE_DIR "\n"
	"  --listen ADDR:PORT  serve HTTP on TCP as well\n"
	"  --check-config      say what is wrong with the configuration, and exit\n"
	"  --print-config      print the configuration, each value with the file and line it is "
	"from\n"
	"  --version, --help\n"
	"\n"
	"See cprofd(8), cprofd.conf(5), cprofctl(1).\n";

struct arguments {
	const char *config_path, *socket_path, *state_dir, *listen;
	int private_fd;
	bool check_config, print_config;
};

enum {
	OPT_CONFIG = 256,
	OPT_SOCKET,
	OPT_STATE_DIR,
	OPT_LISTEN,
	OPT_CHECK,
	OPT_PRINT,
	OPT_PRIVATE,
	OPT_VERSION,
	OPT_HELP
};

static int parse_fd(const char *s, int *ret)
{
	uint64_t fd;

	if (text_parse_u64(s, INT32_MAX, &fd) < 0)
		return -EINVAL;
	*ret = (int)fd;
	return 0;
}

/* 1: go on; 0: done; negative: wrong usage. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, OPT_CONFIG },
		{ "socket", required_argument, NULL, OPT_SOCKET },
		{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
		{ "listen", required_argument, NULL, OPT_LISTEN },
		{ "check-config", no_argument, NULL, OPT_CHECK },
		{ "print-config", no_argument, NULL, OPT_PRINT },
		/* for cprofctl alone: the one client is at the other end of this descriptor */
		{ "private-fd", required_argument, NULL, OPT_PRIVATE },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_CONFIG:
			a->config_path = optarg;
			break;
		case OPT_SOCKET:
			a->socket_path = optarg;
			break;
		case OPT_STATE_DIR:
			a->state_dir = optarg;
			break;
		case OPT_LISTEN:
			a->listen = optarg;
			break;
		case OPT_CHECK:
			a->check_config = true;
			break;
		case OPT_PRINT:
			a->print_config = true;
			break;
		case OPT_PRIVATE:
			if (parse_fd(optarg, &a->private_fd) < 0)
				return -EINVAL;
			break;
		case OPT_VERSION:
			puts("cprofd " CPROF_VERSION);
			return 0;
		case OPT_HELP:
			fputs(usage, stdout);
			return 0;
		default:
			return -EINVAL;
		}
	}
	if (optind < argc) {
		_cleanup_free_ char *word = text_printable(argv[optind]);

		fprintf(stderr, "cprofd: does not take '%s'\n", word ? word : "");
		return -EINVAL;
	}
	return 1;
}

/* arg: a counter of them, or NULL. */
static void on_config_problem(void *arg, enum config_level level, const char *file, unsigned line,
			      const char *message)
{
	int priority = level == CONFIG_ERROR ? LOG_ERR : LOG_WARNING;
	_cleanup_free_ char *file_field = NULL, *line_field = NULL;
	const char *fields[] = { LOG_ID_CONFIG, NULL, NULL, NULL };
	unsigned *problems = arg;

	if (problems)
		(*problems)++;
	if (asprintf(&file_field, "CONFIG_FILE=%s", file) >= 0 &&
	    asprintf(&line_field, "CONFIG_LINE=%u", line) >= 0) {
		fields[1] = file_field;
		fields[2] = line > 0 ? line_field : NULL;
	}
	if (line > 0)
		log_fields(priority, fields, "%s:%u: %s", file, line, message);
	else
		log_fields(priority, fields, "%s: %s", file, message);
}

/* Descriptors are the limit of how many files can be held; stacks of others never reach a core. */
static void set_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_CORE, &(struct rlimit){});
	signal(SIGPIPE, SIG_IGN);
	umask(0077);
}

/* What runs, for the handlers of signals. */
struct program {
	const struct arguments *arguments;
	struct config *config;
	struct engine *engine;
};

static void on_config_change(void *arg, const char *section, const char *name, const char *from,
			     const char *to, bool applied)
{
	unsigned *changes = arg;

	(*changes)++;
	if (applied)
		log_info("[%s] %s=%s, was %s", section, name, to, *from ? from : "empty");
	else
		log_warning("[%s] %s=%s waits for a restart, until then it is %s", section, name,
			    to, *from ? from : "empty");
}

/* A file with an error changes nothing, and a daemon that runs goes on. */
static int reload(struct program *p)
{
	struct config loaded;
	unsigned changes = 0;
	int r;

	r = config_load(&loaded, p->arguments->config_path, on_config_problem, NULL);
	if (r >= 0)
		r = config_adopt(p->config, &loaded, on_config_change, &changes);
	if (r < 0) {
		log_fields(LOG_ERR, (const char *const[]){ LOG_ID_CONFIG, NULL },
			   "the configuration was not read again: the one in force stays");
		return r;
	}

	engine_reload(p->engine);
	log_fields(LOG_INFO, (const char *const[]){ LOG_ID_RELOADED, NULL },
		   "the configuration was read again: %u change%s", changes,
		   changes == 1 ? "" : "s");
	return 0;
}

/* The protocol of Type=notify-reload, which Type=notify of older systemd takes as well. */
static int on_hangup(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si,
		     void *arg)
{
	int r;

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)(clock_ns(CLOCK_MONOTONIC) / NSEC_PER_USEC));
	r = reload(arg);
	sd_notify(0, r < 0 ? "READY=1\nSTATUS=The configuration has an error: that of before is in "
			     "force"
			   : "READY=1\nSTATUS=");
	return 0;
}

static int on_end(sd_event_source *source, _unused_ const struct signalfd_siginfo *si, void *arg)
{
	const struct program *p = arg;

	if (!p->engine)
		return sd_event_exit(sd_event_source_get_event(source), 0);
	sd_notify(0, "STOPPING=1");
	engine_stop(p->engine);
	return 0;
}

static int watch_signals(sd_event *event, struct program *p)
{
	static const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = { { SIGTERM, on_end }, { SIGINT, on_end }, { SIGHUP, on_hangup } };
	sigset_t set;
	int r;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i].number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		/* a private daemon ends with its terminal */
		bool hangup_ends = signals[i].number == SIGHUP && p->arguments->private_fd >= 0;

		r = sd_event_add_signal(event, NULL, signals[i].number,
					hangup_ends ? on_end : signals[i].handler, p);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The socket that systemd listens on for us takes the place of our own; one is enough. */
static int take_socket(void)
{
	int n = sd_listen_fds(1);

	if (n > 1)
		log_warning("%d sockets were passed: the first is served, the others are closed",
			    n);
	for (int i = 1; i < n; i++)
		close(SD_LISTEN_FDS_START + i);
	return n > 0 ? SD_LISTEN_FDS_START : -1;
}

/* A private daemon keeps nothing and listens nowhere. */
static void engine_options_from(const struct arguments *a, const struct config *config,
				struct engine_options *ret)
{
	bool is_private = a->private_fd >= 0;
	int socket_fd = is_private ? -1 : take_socket();

	*ret = (struct engine_options){
		.config = config,
		.socket_path = is_private || socket_fd >= 0 ? NULL : a->socket_path ?: CPROF_SOCKET,
		.state_dir = is_private ? NULL : a->state_dir ?: STATE_DIR,
		.listen = is_private ? NULL : a->listen,
		.socket_fd = socket_fd,
		.private_fd = a->private_fd,
	};
	if (ret->state_dir && mkdir(ret->state_dir, 0750) < 0 && errno != EEXIST) {
		log_warning("%s: %s: nothing is kept over a restart", ret->state_dir,
			    strerror(errno));
		ret->state_dir = NULL;
	}
}

/* Two daemons would store all time twice. One that has just been killed still has its hand on the folder for a
 * moment. Returns a descriptor that holds it, -1 where nothing is kept. */
static int hold_state_dir(const char *path)
{
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	uint64_t give_up_ns = clock_ns(CLOCK_MONOTONIC) + STATE_WAIT_NS;

	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		if (clock_ns(CLOCK_MONOTONIC) > give_up_ns) {
			log_error("%s: another cprofd keeps its profiles there: end that one, or "
				  "give this one another --state-dir",
				  path);
			return -EBUSY;
		}
		usleep(50000);
	}
	return TAKE_FD(fd);
}

DEFINE_CLEANUP(struct engine *, engine_free);

static int run(const struct arguments *a, struct config *config)
{
	_cleanup_(engine_freep) struct engine *engine = NULL;
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	_cleanup_close_ int state_fd = -1;
	struct program program = { .arguments = a, .config = config };
	struct engine_options options;
	int r;

	r = sd_event_default(&event);
	if (r < 0)
		return r;
	r = watch_signals(event, &program);
	if (r < 0)
		return r;
	engine_options_from(a, config, &options);
	state_fd = hold_state_dir(options.state_dir);
	if (state_fd == -EBUSY)
		return state_fd;
	r = engine_new(&engine, event, &options);
	if (r < 0)
		return r;
	program.engine = engine;

	/* side-band is read in this thread; it burns little, and the workers do not inherit it */
	session_hurry();
	thread_hurry();
	sd_event_set_watchdog(event, true);
	if (a->private_fd < 0)
		log_fields(LOG_INFO, (const char *const[]){ LOG_ID_READY, NULL },
			   "cprofd " CPROF_VERSION " is ready");
	sd_notify(0, "READY=1");
	return sd_event_loop(event);
}

static int print_config(const struct config *config)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(PRINT_MAX_BYTES);
	int r = config_print(config, &b);

	if (r < 0) {
		log_error("the configuration cannot be printed: %s", strerror(-r));
		return r;
	}
	return fwrite(b.data, 1, b.size, stdout) == b.size && fflush(stdout) == 0 ? 0 : -EIO;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { .private_fd = -1 };
	_cleanup_(config_done) struct config config = {};
	unsigned problems = 0;
	int r;

	r = parse_arguments(argc, argv, &arguments);
	if (r < 0)
		fputs("usage: cprofd [--config FILE] [--socket PATH] [--state-dir DIR] [--listen "
		      "ADDR:PORT] "
		      "[--check-config | --print-config]; see cprofd --help\n",
		      stderr);
	if (r <= 0)
		return r < 0 ? 2 : 0;

	r = config_load(&config, arguments.config_path, on_config_problem, &problems);
	if (r >= 0 && arguments.print_config)
		r = print_config(&config);
	if (r >= 0 && arguments.check_config && problems)
		r = -EINVAL;
	if (r < 0 || arguments.check_config || arguments.print_config)
		return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

	set_limits();
	return run(&arguments, &config) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
