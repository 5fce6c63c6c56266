# shellcheck shell=bash disable=SC2034,SC2046
# SPDX-License-Identifier: Apache-2.0
#
# The stages of `make check`, cheap ones first. A stage is a function that returns 0 when all is
# well; it runs with set -e from the root of the checkout.

ALL_STAGES="deps build lint layers man unit tables fuzz sanitized cli packages daemon service soak kernels fresh"
SAN_DIR=build-address-undefined
SAN_MAKE="make -s -j$(nproc) SAN=address,undefined"

stage_title()
{
    case $1 in
    deps) echo "packages that the tests need" ;;
    build) echo "the three programs" ;;
    lint) echo "clang-format, clang-tidy, shellcheck" ;;
    layers) echo "each room includes only what it may" ;;
    man) echo "manual pages" ;;
    unit) echo "unit tests" ;;
    tables) echo "unwind tables of large files, row by row as readelf has them" ;;
    fuzz) echo "replay of the fuzzers' corpora" ;;
    sanitized) echo "unit tests, corpora and a capture under ASan and UBSan" ;;
    cli) echo "the command line, against a daemon that is made up" ;;
    packages) echo "make deb, make rpm, lintian, rpmlint" ;;
    service) echo "the package in a booted Debian: service, socket, restart, reload, watchdog, purge" ;;
    soak) echo "processes, libraries and captures at random: memory, descriptors, ticks" ;;
    daemon) echo "the daemon, on this kernel" ;;
    kernels) echo "Linux 6.1 and 6.12 under qemu" ;;
    fresh) echo "make demo and make check's own needs in a minimal Debian" ;;
    esac
}

need_root()
{
    if [ "$(id -u)" -ne 0 ]; then
        echo "SKIP: $1 needs root"
        return 1
    fi
}

stage_deps()
{
    scripts/deps test
}

stage_build()
{
    make -s -j"$(nproc)" all
}

stage_lint()
{
    git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror
    # cppcheck does not follow GNU C's statement expressions and cleanup attributes
    make -s -j"$(nproc)" tidy
    { git ls-files '*.sh' '*.bash'; git ls-files scripts .ci tests | xargs grep -lE '^#!.*\b(ba)?sh\b'; } | sort -u |
        xargs shellcheck -x
    git ls-files '*.bats' | xargs -r shellcheck -x -s bats -e SC2030,SC2031,SC2034,SC2154,SC1091,SC2094,SC2016,SC2086
}

stage_layers()
{
    tests/layers
}

stage_man()
{
    for page in docs/man/*; do
        LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null | { ! grep .; }
    done
}

stage_unit()
{
    make -s -j"$(nproc)" unit-programs
    make -s unit
}

stage_tables()
{
    make -s build/tools/table_dump
    local lib=/usr/lib/x86_64-linux-gnu
    echo 'int g(int); int f(int a) { return g(a) + 1; } int main(void) { return f(1); } int g(int a) { return a * 2; }' |
        gcc -x c -O1 -g -fno-asynchronous-unwind-tables -fno-exceptions -o build/check/debug_frame -
    tests/tables/compare build/tools/table_dump build/check/debug_frame $lib/libc.so.6 $lib/libcrypto.so.3 \
        $lib/libstdc++.so.6 $lib/libgmp.so.10 /lib64/ld-linux-x86-64.so.2 "$(gcc -print-prog-name=cc1)"
}

stage_fuzz()
{
    make -s -j"$(nproc)" fuzz
}

stage_sanitized()
{
    $SAN_MAKE programs unit-programs fuzz-programs
    $SAN_MAKE unit
    $SAN_MAKE fuzz
    need_root "a capture under sanitizers" || return 0
    CPROF_BUILD=$SAN_DIR bats --tap tests/daemon/sanitized.bats
}

stage_cli()
{
    bats --tap -T tests/cli
}

# Files that run side by side, in two lanes of about the same length. All others have the machine for
# themselves: their tests judge shares, counts and costs of samples.
DAEMON_LANE_1=(continuous access hostile targets compaction)
DAEMON_LANE_2=(store query symbols debuginfod jit jvm sanitized)

# The first run: what fails is not judged yet.
daemon_tests() # log, names of files
{
    local log=$1
    shift
    bats --tap -T "${@/%/.bats}" 2>&1 | tee "$log" | sed -u 's/^not ok /failed: /'
}

# The tests that failed in a log: file, tab, name.
failed_tests()
{
    awk '/^ok / { name = "" }
         /^not ok / { name = $0; sub(/^not ok [0-9]+ /, "", name); sub(/ in [0-9]+ms$/, "", name) }
         name ~ /^(setup|teardown)_file/ { name = "" }
         name != "" && match($0, /in test file [^,]*/) { print substr($0, RSTART + 13, RLENGTH - 13) "\t" name; name = "" }' "$@"
}

# These tests judge shares and counts of CPU time, on machines that may have neighbours. What failed runs once
# more, alone; the log has both runs, and what passed only then is named and counted apart. So many failures are no
# neighbour's, and what fails twice has failed.
DAEMON_ONCE_MORE=4

once_more() # logs
{
    local file name n status=0
    n=$(cat "$@" | grep -c '^not ok ')
    if [ "$n" -gt $DAEMON_ONCE_MORE ] || [ "$n" -ne "$(failed_tests "$@" | wc -l)" ]; then
        cat "$@" | grep '^not ok '
        return 1
    fi
    while IFS=$'\t' read -r file name; do
        echo "once more, alone: $name"
        if bats --tap -T -f "^$(sed 's/[][\\.*^$+?(){}|/]/\\&/g' <<<"$name")\$" "$file" </dev/null; then
            echo "passed once more: $name"
        else
            status=1
        fi
    done < <(failed_tests "$@")
    return $status
}

stage_daemon()
{
    need_root "the daemon" || return 0
    export CPROF_BUILD=build
    set -o pipefail
    local status=0 lane file name alone=() first=(build/check/daemon.{lane1,lane2,alone})
    for file in tests/daemon/*.bats; do
        name=$(basename "$file" .bats)
        case " ${DAEMON_LANE_1[*]} ${DAEMON_LANE_2[*]} " in
        *" $name "*) ;;
        *) alone+=("$name") ;;
        esac
    done
    daemon_tests "${first[0]}" "${DAEMON_LANE_1[@]/#/tests/daemon/}" >build/check/daemon.lane &
    lane=$!
    daemon_tests "${first[1]}" "${DAEMON_LANE_2[@]/#/tests/daemon/}" || status=1
    wait $lane || status=1
    cat build/check/daemon.lane
    daemon_tests "${first[2]}" "${alone[@]/#/tests/daemon/}" || status=1
    [ $status -eq 0 ] || once_more "${first[@]}"
}

# Debian's package is built from what scripts/deps installs, and gcc, libc6-dev and make are at hand.
packages_need_what_deps_installs()
{
    local p
    for p in $(scripts/deps list-build); do
        case $p in gcc | libc6-dev | make) continue ;; esac
        grep -qE "^(Build-Depends:| ) *$p( |,|\$)" packaging/deb/control || {
            echo "packaging/deb/control does not build-depend on $p"
            return 1
        }
    done
}

stage_packages()
{
    packages_need_what_deps_installs
    make -s deb
    lintian --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs --allow-root build/deb/cprofd_*.changes
    make -s rpm
    rpmlint -c packaging/rpm/rpmlint.toml build/rpm/*/*.rpm
    systemd-analyze security --offline=true --no-pager --threshold=29 build/deb/cprofd-*/debian/cprofd/lib/systemd/system/cprofd.service >/dev/null
}

stage_service()
{
    tests/service/run
}

stage_soak()
{
    need_root "the daemon" || return 0
    SOAK_SECONDS=${SOAK_SECONDS:-120} tests/soak/run
}

stage_fresh()
{
    need_root "a minimal Debian root" || return 0
    tests/fresh/run
}

stage_kernels()
{
    tests/kernels/run
}
