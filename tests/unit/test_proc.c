/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cgroup.h"
#include "cleanup.h"
#include "maps.h"
#include "stat.h"

#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define USER "/user.slice/user-1000.slice/user@1000.service"

/* Folders whose path contains "owned" belong to somebody else. */
static bool trusted(void *arg, const char *path, size_t size)
{
	(void)arg;
	return !memmem(path, size, "owned", 5);
}

static const struct {
	const char *path, *unit, *user_unit, *container;
} cgroups[] = {
	{ "/", "", "", "" },
	{ "", "", "", "" },
	{ "relative/nginx.service", "", "", "" },
	{ "/init.scope", "init.scope", "", "" },
	{ "/system.slice", "", "", "" },
	{ "/system.slice/nginx.service", "nginx.service", "", "" },
	{ "/system.slice/nginx.service/worker", "nginx.service", "", "" },
	{ "/system.slice/nginx.service/sshd.service", "nginx.service", "", "" },
	{ "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", "" },
	{ "/system.slice/system-pg.slice/postgresql@15-main.service", "postgresql@15-main.service",
	  "", "" },
	{ "/system.slice/dev-hugepages.mount", "dev-hugepages.mount", "", "" },
	{ "/system.slice/_cpu.service", "cpu.service", "", "" },
	{ "/system.slice/cups.socket", "cups.socket", "", "" },
	{ "/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", "" },
	{ USER, "user@1000.service", "", "" },
	{ USER "/init.scope", "user@1000.service", "init.scope", "" },
	{ USER "/app.slice/foo.service", "user@1000.service", "foo.service", "" },
	{ USER "/app.slice/nginx.service", "user@1000.service", "nginx.service", "" },
	{ USER "/user.slice/libpod-" ID ".scope/container", "user@1000.service",
	  "libpod-" ID ".scope", "" },
	{ USER "/app.slice/docker-" ID ".scope", "user@1000.service", "docker-" ID ".scope", "" },
	{ "/nginx", "", "", "" },
	{ "/foo/nginx.service", "", "", "" },
	{ "/foo/system.slice/nginx.service", "", "", "" },
	{ "/system.slice/.service", "", "", "" },
	{ "/system.slice/@.service", "", "", "" },
	{ "/system.slice/a b.service", "", "", "" },
	{ "/system.slice/\033[2J;a.service", "", "", "" },
	{ "/system.slice/a@b@c.service", "a@b@c.service", "", "" },
	{ "/-.slice/nginx.service", "nginx.service", "", "" },
	{ "/a--b.slice/nginx.service", "", "", "" },
	{ "/docker/" ID, "", "", ID },
	{ "/docker/" ID "/system.slice/nginx.service", "", "", ID },
	{ "/docker/" ID "/docker/f" ID, "", "", ID },
	{ "/system.slice/docker-" ID ".scope", "docker-" ID ".scope", "", ID },
	{ "/system.slice/docker-" ID ".scope/init.scope", "docker-" ID ".scope", "", ID },
	{ "/system.slice/docker-short.scope", "docker-short.scope", "", "" },
	{ "/machine.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope", "", ID },
	{ "/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", "", "" },
	{ "/machine.slice/crio-" ID ".scope", "crio-" ID ".scope", "", ID },
	{ "/libpod_parent/libpod-" ID, "", "", ID },
	{ "/kubepods/besteffort/pod1-2/" ID, "", "", ID },
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/"
	  "cri-containerd-" ID ".scope",
	  "cri-containerd-" ID ".scope", "", ID },
	{ "/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope", "crio-" ID ".scope", "", ID },
	{ "/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:" ID,
	  "containerd.service", "", ID },
	{ "/system.slice/nerdctl-" ID ".scope", "nerdctl-" ID ".scope", "", ID },
	{ "/lxc/web", "", "", "web" },
	{ "/lxc.payload.web/system.slice/nginx.service", "", "", "web" },
	{ "/lxc.monitor.web", "", "", "" },
	{ "/lxc/we b", "", "", "" },
	{ "/machine.slice/systemd-nspawn@web.service/payload", "systemd-nspawn@web.service", "",
	  "web" },
	{ "/machine.slice/machine-foo\\x2dbar.scope", "machine-foo\\x2dbar.scope", "", "foo-bar" },
	{ "/machine.slice/machine-a\\x00b.scope", "machine-a\\x00b.scope", "", "" },
	{ "/system.slice/machine-foo.scope", "machine-foo.scope", "", "" },
	{ "/owned/" ID, "", "", "" },
	{ "/owned/" ID "/" ID, "", "", "" },
	{ "/system.slice/owned.service/docker-" ID ".scope", "owned.service", "", "" },
};

static void test_cgroup_names(void **state)
{
	struct cgroup_names n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cgroups); i++) {
		cgroup_names(cgroups[i].path, trusted, NULL, &n);
		if (strcmp(n.unit, cgroups[i].unit) || strcmp(n.user_unit, cgroups[i].user_unit) ||
		    strcmp(n.container, cgroups[i].container))
			fail_msg("%s: unit '%s' user '%s' container '%s'", cgroups[i].path, n.unit,
				 n.user_unit, n.container);
	}
	cgroup_names("/docker/" ID, NULL, NULL, &n);
	assert_string_equal(n.container, "");
}

static void test_cgroup_parse(void **state)
{
	static const char text[] = "4:memory:/a\n1:name=systemd:/system.slice/x.service\n0::/\n";
	struct cgroup_paths p;

	(void)state;
	cgroup_parse(text, strlen(text), &p);
	assert_int_equal(p.v2_bytes, 1);
	assert_int_equal(p.systemd_bytes, strlen("/system.slice/x.service"));
	assert_memory_equal(p.systemd, "/system.slice/x.service", p.systemd_bytes);
	cgroup_parse("0:/x\n0:", 8, &p);
	assert_int_equal(p.v2_bytes, 0);
}

static void test_maps(void **state)
{
	static const char good[] = "7f00-7fff r-xs 00002000 fe:0a 247026     /usr/a b (deleted)";
	static const char *const bad[] = {
		"",
		"7f00-7f00 r-xp 0 0:0 0",
		"7f00-7e00 r-xp 0 0:0 0",
		"fffffffffffffffff-2 r-xp 0 0:0 0",
		"1-2 r-xq 0 0:0 0",
		"1-2 r-xp 0 100000000:0 0",
		"1-2 r-xp 0 0:0",
		"1-2 r-xp 0 0:0 5x",
	};
	struct maps_entry e;

	(void)state;
	assert_int_equal(maps_parse_line(good, strlen(good), &e), 0);
	assert_int_equal(e.start, 0x7f00);
	assert_int_equal(e.limit, 0x7fff);
	assert_int_equal(e.offset, 0x2000);
	assert_int_equal(e.major, 0xfe);
	assert_int_equal(e.minor, 0xa);
	assert_int_equal(e.inode, 247026);
	assert_true(e.readable && !e.writable && e.executable && e.shared);
	assert_memory_equal(e.path, "/usr/a b (deleted)", e.path_bytes);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(maps_parse_line(bad[i], strlen(bad[i]), &e), -EBADMSG);
}

static void test_stat(void **state)
{
	static const char good[] = "42 (a) R 1 (b)\n) S 7 1 1 0 -1 4194560 1 2 3 4 100 50 0 0 20 "
				   "0 3 0 9876 1 2\n";
	struct proc_stat s;

	(void)state;
	assert_int_equal(stat_parse(good, strlen(good), &s), 0);
	assert_int_equal(s.pid, 42);
	assert_string_equal(s.comm, "a) R 1 (b)\n");
	assert_int_equal(s.state, 'S');
	assert_int_equal(s.ppid, 7);
	assert_int_equal(s.flags, 4194560);
	assert_int_equal(s.utime_ticks, 100);
	assert_int_equal(s.stime_ticks, 50);
	assert_int_equal(s.n_threads, 3);
	assert_int_equal(s.start_ticks, 9876);
	for (size_t n = 0; n < strlen(good) - 10; n++)
		assert_int_equal(stat_parse(good, n, &s), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cgroup_names),
		cmocka_unit_test(test_cgroup_parse),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_stat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
