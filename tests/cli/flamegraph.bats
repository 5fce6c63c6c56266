#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The flame graph's script, in a browser's document without a screen.

load client

@test "the flame graph zooms, searches, takes keys and follows the window" {
	/usr/bin/python3 - >stacks <<'END'
print("main;hot;leaf;leaf 300")
print("main;hot 300")
print("main;cold 200")
print('main;<script>alert(1)</script>"&\x1b[2J 99')
print("main;" + "long<" + "a, " * 500 + "> 100")
print("main;" + ";".join("deep%d" % i for i in range(300)) + " 1")
END
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$BATS_TEST_DIRNAME/stacks_pprof.py" <stacks >stacks.pb.gz
	"$CPROFCTL" report stacks.pb.gz --format svg -o stacks.svg
	NODE_PATH=/usr/share/nodejs:/usr/lib/nodejs /usr/bin/node "$BATS_TEST_DIRNAME/flamegraph_page.js" stacks.svg
}
