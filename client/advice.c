/* SPDX-License-Identifier: Apache-2.0 */
#include "advice.h"

#include <string.h>

#include "client.h"
#include "debian.h"
#include "text.h"
#include "unnamed.h"

#define MAX_FILES         3
#define MIN_SHARE         0.01
#define INTERPRETER_SHARE 0.2

/* Programs that run others' code, what shows that its names are there, and how to have them. */
static const struct {
	const char *file, *named, *what, *step;
} interpreters[] = {
	{ "node", "JS:", "node", "run it with `node --perf-basic-prof` for the names of its code" },
	{ "libnode.so", "JS:", "node",
	  "run it with `node --perf-basic-prof` for the names of its code" },
	{ "python3", "py::", "Python",
	  "it shows where the interpreter spends time; functions of the script by name need Python "
	  "3.12 and `python3 -X perf`" },
	{ "libpython3", "py::", "Python",
	  "it shows where the interpreter spends time; functions of the script by name need Python "
	  "3.12 and `python3 -X perf`" },
	{ "perl", NULL, "perl",
	  "it shows where the interpreter spends time; for subroutines by name: perl -d:NYTProf" },
	{ "ruby", NULL, "ruby",
	  "it shows where the interpreter spends time; for methods by name: `ruby --yjit "
	  "--yjit-perf`, or a Ruby profiler" },
	{ "libruby", NULL, "ruby",
	  "it shows where the interpreter spends time; for methods by name: a Ruby profiler" },
};

static void advice_package(const struct profile_unnamed *u)
{
	struct debian_debug d;

	if (debian_find(u->file, &d)) {
		say("         apt install %s", d.package);
		if (*d.source)
			say("         with this line in /etc/apt/sources.list: %s", d.source);
	} else if (*u->build_id) {
		say("         its debug file belongs to /usr/lib/debug/.build-id/%.2s/%s.debug, or "
		    "set DebuginfodUrls= in cprofd.conf",
		    u->build_id, u->build_id + 2);
	} else {
		say("         build it with debug information (-g), or without `strip`");
	}
}

static void advice_file(const struct profile_unnamed *u)
{
	_cleanup_free_ char *file = text_printable(u->file);

	if (!file)
		return;
	say("names    %.1f %% of the time has frames without a name in %s%s%s", u->share * 100,
	    file, *u->build_id ? ", build-id " : "", u->build_id);
	advice_package(u);
}

static void advice_jit(const struct profile *p, const struct profile_unnamed *u)
{
	bool java = profile_has_function(p, "JavaMain") || profile_has_function(p, "JavaCalls::") ||
		    profile_leaf_share(p, "libjvm.so") > 0;

	say("names    %.1f %% of the time has frames of code that a JIT compiler made, without "
	    "names",
	    u->share * 100);
	if (java)
		say("         java: while it is profiled, `jcmd PID Compiler.perfmap`; or start it "
		    "with -XX:+PreserveFramePointer -XX:+UnlockDiagnosticVMOptions "
		    "-XX:+DumpPerfMapAtExit; or JvmAttach=yes in cprofd.conf");
	else
		say("         let it write /tmp/perf-PID.map or a jitdump, e.g. `node "
		    "--perf-basic-prof`");
}

static void advice_interpreter(const struct profile *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(interpreters); i++) {
		double share = profile_leaf_share(p, interpreters[i].file);

		if (share < INTERPRETER_SHARE ||
		    (interpreters[i].named && profile_has_function(p, interpreters[i].named)))
			continue;
		say("note     %.0f %% of the time is in the %s interpreter itself", share * 100,
		    interpreters[i].what);
		say("         %s", interpreters[i].step);
		return;
	}
	if (profile_has_function(p, "[truncated: JIT]"))
		say("note     stacks end in code of a JIT compiler; java: start it with "
		    "-XX:+PreserveFramePointer");
}

void advice_print(const struct profile *p)
{
	struct profile_unnamed unnamed[MAX_FILES];
	int n = profile_unnamed(p, unnamed, ARRAY_SIZE(unnamed));

	for (int i = 0; i < n; i++) {
		if (unnamed[i].share < MIN_SHARE)
			continue;
		if (strcmp(unnamed[i].file, "[anon]") == 0)
			advice_jit(p, &unnamed[i]);
		else if (unnamed[i].file[0] == '/')
			advice_file(&unnamed[i]);
	}
	advice_interpreter(p);
}
