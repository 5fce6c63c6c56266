#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Completion for bash, as the shell calls it, and for zsh; both know every verb and option that the help tells of.

load client.bash

complete_words() # words; the last one is being typed
{
    bash -c '
        . "$0/packaging/completions/cprofctl.bash"
        COMP_WORDS=(cprofctl "$@"); COMP_CWORD=$#
        _cprofctl
        printf "%s\n" "${COMPREPLY[@]}"' "$ROOT" "$@"
}

setup()
{
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    CTL=$ROOT/${CPROF_BUILD:-build}/cprofctl
    PATH=$(dirname "$CTL"):$PATH
}

verbs()
{
    "$CTL" help | grep -v '^  cprofctl ' | sed -n 's/^ \{1,4\}\([a-z]\{3,\}\) .*/\1/p' | sort -u
}

@test "bash: verbs, options and their values, as far as they are typed" {
    [ "$(complete_words sn)" = snapshot ]
    [ "$(complete_words re | sort | paste -sd ' ')" = "record report resume" ]
    [ "$(complete_words list --st)" = --step ]
    [ "$(complete_words list --sort c)" = cpu ]
    [ "$(complete_words list --sort = c)" = cpu ]
    [ "$(complete_words list --by e)" = exe ]
    [ "$(complete_words top --by f)" = function ]
    [ "$(complete_words targets r | sort | paste -sd ' ')" = "remove rules" ]
    [ "$(complete_words diff --base)" = --baseline ]
    cd "$BATS_TEST_TMPDIR"
    touch 'a b.pb.gz'
    [ "$(complete_words report a)" = "a b.pb.gz" ]
}

@test "bash and zsh know all verbs and their options" {
    [ "$(verbs | wc -l)" -ge 14 ]
    for verb in $(verbs); do
        complete_words "$verb" | grep -qx -- "$verb"
        grep -qE "'$verb:" "$ROOT/packaging/completions/_cprofctl"
        for option in $("$CTL" help "$verb" | grep -oE -- '^ +(-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
            grep -qF -- "$option" "$ROOT/packaging/completions/cprofctl.bash" || { echo "bash: $verb $option"; false; }
            grep -qF -- "$option" "$ROOT/packaging/completions/_cprofctl" || grep -qF -- "${option#--}" "$ROOT/packaging/completions/_cprofctl" || { echo "zsh: $verb $option"; false; }
        done
    done
}

@test "the completions are scripts that their shells read" {
    for f in "$ROOT"/packaging/completions/*.bash; do bash -n "$f"; done
    command -v zsh >/dev/null || skip "zsh is not installed"
    for f in "$ROOT"/packaging/completions/_*; do zsh -n "$f"; done
    # as compinit finds them
    run zsh -f -c 'fpath=("$1" $fpath); autoload -Uz compinit; compinit -D -u; print -r -- $_comps[cprofctl] $_comps[cprofd]; autoload +X _cprofctl _cprofd && print loaded' zsh "$ROOT/packaging/completions"
    [ "${lines[0]}" = "_cprofctl _cprofd" ]
    [ "${lines[1]}" = loaded ]
}
