#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a capture can be of: processes, names, cgroups of both kinds, units, containers, several at once.

bats_require_minimum_version 1.5.0
load common

setup_file() {
    file_daemon
}

teardown_file() {
    file_daemon_end
}

setup() {
    file_daemon_use
    MADE=()
    ID=$(printf '%s' "$BATS_TEST_NAME$$" | sha256sum | cut -c1-64)
    program shares
}

teardown() {
    end_background
    for ((i = ${#MADE[@]} - 1; i >= 0; i--)); do
        for _ in 1 2 3 4 5 6 7 8 9 10; do rmdir "${MADE[$i]}" 2>/dev/null && break; sleep 0.1; done
    done
}

# The hierarchies of this machine in which processes can be moved: v2, and v1's name=systemd.
hierarchies() {
    awk '{ for (i = 7; i <= NF; i++) if ($i == "-") { if ($(i + 1) == "cgroup2" || ($(i + 1) == "cgroup" && $NF ~ /name=systemd/)) print $5 } }' /proc/self/mountinfo
}

# Starts `shares` in a group; its pid in LAST.
in_group() { # hierarchy, path
    local at=$1 part
    while read -r part; do
        at=$at/$part
        [ -d "$at" ] || { mkdir "$at" && MADE+=("$at"); }
    done < <(tr / '\n' <<<"${2#/}")
    # shellcheck disable=SC2016
    background sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$at" "$PROGRAM" 60 47
    runs "$LAST" shares
}

# The pids in a profile, sorted.
pids_of() {
    go tool pprof -tags "$1" 2>/dev/null | awk '/^ *[a-z]+: Total/ { at = $1 } at == "pid:" && /%): / { print $NF }' | sort -n
}

label_of() { # profile, key
    go tool pprof -tags "$1" 2>/dev/null | awk -v key="$2:" '/^ *[a-z]+: Total/ { at = $1 } at == key && /%): / { print $NF }'
}

only() { # pid, capture's arguments...
    local pid=$1
    shift
    rm -f t.pb.gz
    "$CTL" capture "$@" --seconds 1 --hz 499 -o t.pb.gz
    check_pprof t.pb.gz
    [ "$(pids_of t.pb.gz)" = "$pid" ]
}

@test "cgroups, v1 and v2, units and containers: what is inside, nothing else" {
    [ -n "$(hierarchies)" ]
    background "$PROGRAM" 60 47
    while read -r h; do
        in_group "$h" /cprofdtest.slice/inner
        inner=$LAST
        in_group "$h" /cprofdtest.slice/cprofdtest.service
        unit=$LAST
        in_group "$h" "/cprofdtest.slice/docker-$ID.scope"
        container=$LAST
        only "$inner" --cgroup /cprofdtest.slice/inner
        only "$inner" --cgroup "$h/cprofdtest.slice/inner"
        only "$unit" --unit cprofdtest.service
        [ "$(label_of t.pb.gz unit)" = cprofdtest.service ]
        only "$unit" --unit cprofdtest
        only "$container" --container "${ID:0:12}"
        [ "$(label_of t.pb.gz container)" = "$ID" ]
        only "$(printf '%s\n' "$inner" "$unit" "$container" | sort -n)" --cgroup /cprofdtest.slice
        only "$(printf '%s\n' "$inner" "$container" | sort -n)" --cgroup /cprofdtest.slice/inner --container "$ID"
        "$CTL" targets --json >targets
        "$CTL" targets | grep -E "^ +$unit +[0-9.]+ +root +shares +cprofdtest.service\$"
        jq -e --argjson p "$unit" '.[] | select(.pid == $p) | .unit == "cprofdtest.service"' targets
        jq -e --arg id "$ID" --argjson p "$container" '.[] | select(.pid == $p) | .container == $id' targets
        end_background
        background "$PROGRAM" 60 47
    done < <(hierarchies)
}

@test "a unit that somebody made up below a user's manager is not the system's" {
    h=$(hierarchies | head -n 1)
    in_group "$h" /user.slice/user-61000.slice/user@61000.service/app.slice/cprofdtest.service
    first=$LAST
    run --separate-stderr "$CTL" capture --unit cprofdtest.service --seconds 1 -o out.pb.gz
    echo "$stderr"
    [ "$status" -eq 1 ]
    grep -q 'no running unit is called cprofdtest.service: ' <<<"$stderr"
    # nor a container, in a folder that is the user's
    chown 61000 "$h/user.slice/user-61000.slice/user@61000.service/app.slice"
    in_group "$h" "/user.slice/user-61000.slice/user@61000.service/app.slice/docker-$ID.scope"
    run "$CTL" capture --container "$ID" --seconds 1 -o out.pb.gz
    [ "$status" -eq 1 ]
    only "$(printf '%s\n' "$first" "$LAST" | sort -n)" --unit user@61000.service
}

@test "several targets at once are their union" {
    background "$PROGRAM" 60 47
    a=$LAST
    cp "$PROGRAM" cprofd-named
    background ./cprofd-named 60 47
    b=$LAST
    background "$PROGRAM" 60 47
    runs "$LAST" shares
    runs "$a" shares
    runs "$b" cprofd-named
    only "$(printf '%s\n' "$a" "$b" | sort -n)" --pid "$a" --comm cprofd-named
    only "$b" --comm cprofd-named
    only "$a" "$a"
    # once, though it is named twice
    rm -f t.pb.gz
    before=$(cpu_ticks "$b")
    "$CTL" capture --pid "$b" --comm cprofd-named --pid "$b" --seconds 3 -o t.pb.gz
    used=$(($(cpu_ticks "$b") - before))
    folded t.pb.gz folded
    n=$(folded_count folded .)
    echo "$n samples, $used ticks of CPU time"
    [ "$n" -le $((used + used / 10 + 60)) ]
    [ "$n" -gt 0 ]
}
