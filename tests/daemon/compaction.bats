#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Old windows are merged by the running daemon: what list and get tell stays the same, also when it is killed
# in the middle. Windows grow old by the store's own clock, which is set forward while the daemon is down.

load common.bash

setup()
{
    require_root
    cd "$BATS_TEST_TMPDIR" || return 1
    printf '[Continuous]\nWindow=5s\n[Store]\nKeepFree=0\n' >conf
}

teardown()
{
    end_background
    stop_daemon
}

# The same state and socket once more, with nothing new to store.
again()
{
    "$BUILD/cprofd" --config quiet --socket "$CPROFD_SOCKET" --state-dir "$RUN/state" 2>>"$RUN/log" 3>&- &
    DAEMON=$!
    answers && return 0
    cat "$RUN/log" >&2
    return 1
}

stop_only() # signal
{
    kill "$1" "$DAEMON"
    wait "$DAEMON" || true
    DAEMON=
}

# daemon/store/age.h: age_ns lies behind the boot id and two flags
older() # hours
{
    python3 - "$RUN/state/index.sqlite" "$1" <<'END'
import sqlite3, struct, sys
db = sqlite3.connect(sys.argv[1])
(age,) = db.execute("select value from value where key='age'").fetchone()
ns = struct.unpack_from("<Q", age, 40)[0] + int(sys.argv[2]) * 3600 * 10**9
db.execute("update value set value=? where key='age'", (age[:40] + struct.pack("<Q", ns) + age[48:],))
db.commit()
END
}

# All that may not change: sums of the list, by command; sums, functions and labels of the profile.
truth() # file
{
    "$CTL" list --since 1d --json | jq -c '[map(.samples), map(.cpu_ns), map(.duration_ns), map(.lost)] | map(add)' >"$1"
    for comm in $COMMS; do "$CTL" list --since 1d --comm "$comm" --json | jq -c --arg c "$comm" '[$c, (map(.cpu_ns) | add)]' >>"$1"; done
    "$CTL" get --since 1d -o "$1.pb.gz"
    check_pprof "$1.pb.gz"
    go tool pprof -top -nodecount 100000 -nodefraction 0 "$1.pb.gz" 2>/dev/null | sed 1,/flat%/d | sort >>"$1"
    for key in comm thread; do go tool pprof -tags "$1.pb.gz" 2>/dev/null | awk -v key="$key:" '$1 == key { on = 1 } on && !NF { on = 0 } on' | sort >>"$1"; done
}

stored()
{
    "$CTL" list --since 1d --json | jq length
}

merged() # waits until there are fewer windows, and no fewer yet for some seconds
{
    local i n last=-1 same=0
    for ((i = 0; i < 300; i++)); do
        n=$(stored)
        if [ "$n" -lt "$1" ] && [ "$n" = "$last" ]; then same=$((same + 1)); else same=0; fi
        [ "$same" -ge 10 ] && return 0
        last=$n
        sleep 0.2
    done
    "$CTL" status --json | jq .store >&2
    return 1
}

@test "compaction: list and get tell the same before and after, and after kill -9 at any moment of it" {
    start_daemon --config conf
    printf '[Continuous]\nEnabled=no\n[Store]\nKeepFree=0\n' >quiet
    background perl -e '$0 = "busy"; 1 while 1'
    background sh -c 'while :; do python3 -c pass; done'
    COMMS="busy python3"
    for _ in $(seq 12); do
        sleep 0.5
        curl -sS --fail-with-body --unix-socket "$CPROFD_SOCKET" -X POST http://cprofd/api/v1/snapshot >/dev/null
    done
    end_background
    stop_only -TERM
    again
    truth before
    windows=$(stored)
    [ "$windows" -ge 12 ]
    stop_only -TERM
    # killed around the moment at which it merges, five seconds after its start
    cp -a "$RUN/state" "$RUN/kept"
    for late in 4.9 5.0 5.1 5.3 5.6; do
        rm -rf "$RUN/state"
        cp -a "$RUN/kept" "$RUN/state"
        older 2
        again
        sleep "$late"
        stop_only -KILL
        again
        truth killed
        diff before killed
        stop_only -KILL
    done
    # and to its end
    again
    merged "$windows"
    truth after
    diff before after
    "$CTL" status --json | jq -e '.store | .set_aside == 0 and .index_rebuilt == 0 and .compaction_failures == 0 and .compaction_aside == 0'
    [ -z "$(find "$RUN/state/profiles" -name '*.tmp')" ]
}
