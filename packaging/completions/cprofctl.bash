# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# bash completion for cprofctl(1)

# The values of key $1 of `cprofctl targets --json`, one a line; none where no daemon runs. Those with
# escapes other than \\ (of units) are left out: nobody types control characters.
_cprofctl_column() {
	cprofctl targets --json 2>/dev/null | tr '{' '\n' |
		sed -n -e 's/.*"'"$1"'": *"\(\([^"\\]\|\\.\)*\)".*/\1/p' -e 's/.*"'"$1"'": *\([0-9]\{1,\}\).*/\1/p' |
		sed -e 's/\\\\/\x01/g' -e '/\\/d' -e 's/\x01/\\/g' | sort -u
}

# Adds those words of $1 (one a line) that begin with what is typed, quoted for the shell.
_cprofctl_words() {
	local word typed=$2

	while IFS= read -r word; do
		[[ -n $word && $word == "$typed"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
	done <<<"$1"
}

_cprofctl_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# The value of option $1; fails when it has none.
_cprofctl_value() {
	local option=$1 typed=$2 verb=$3

	case $option in
	--socket | -o | --output | --profile | --debug-dir) _cprofctl_files "$typed" ;;
	-p | --pid) _cprofctl_words "$(_cprofctl_column pid)" "$typed" ;;
	--comm) _cprofctl_words "$(_cprofctl_column comm)" "$typed" ;;
	--unit) _cprofctl_words "$(_cprofctl_column unit)" "$typed" ;;
	--container) _cprofctl_words "$(_cprofctl_column container)" "$typed" ;;
	--cgroup)
		compopt -o filenames -o nospace 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "${typed:-/sys/fs/cgroup/}")
		;;
	--format)
		if [[ $verb == report ]]; then
			mapfile -t COMPREPLY < <(compgen -W "folded svg text" -- "$typed")
		else
			mapfile -t COMPREPLY < <(compgen -W "pprof folded svg text" -- "$typed")
		fi
		;;
	--symbols) mapfile -t COMPREPLY < <(compgen -W "full fast" -- "$typed") ;;
	--names) mapfile -t COMPREPLY < <(compgen -W "full short" -- "$typed") ;;
	--user) mapfile -t COMPREPLY < <(compgen -u -- "$typed") ;;
	--sort) mapfile -t COMPREPLY < <(compgen -W "time cpu samples lost" -- "$typed") ;;
	--by)
		if [[ $verb == top ]]; then
			mapfile -t COMPREPLY < <(compgen -W "function comm pid unit" -- "$typed")
		else
			mapfile -t COMPREPLY < <(compgen -W "unit comm exe container pid" -- "$typed")
		fi
		;;
	--exe) _cprofctl_files "$typed" ;;
	--since | --until | --baseline)
		mapfile -t COMPREPLY < <(compgen -W "today yesterday 1h 1d" -- "$typed")
		;;
	--seconds | -F | --hz | --step | --build-id | --rows | -d | --delay | -n | --iterations) ;;
	*) return 1 ;;
	esac
}

_cprofctl_report() {
	local typed=$1 n=$2

	if [[ $typed == -?* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "--json --format -o --output -h --help" -- "$typed")
	elif ((n == 0)); then
		_cprofctl_files "$typed"
	elif ((n == 1)); then
		mapfile -t COMPREPLY < <(compgen -W "top peek tree traces" -- "$typed")
	fi
}

_cprofctl_symbolize() {
	local typed=$1 n=$2

	if [[ $typed == -?* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "-a -f -i -C -s -p --addresses --functions --inlines --demangle
			--basenames --pretty-print -j --section --symbols --debug-dir --profile -o --output -h --help" -- "$typed")
	elif ((n == 0)); then
		_cprofctl_files "$typed"
	fi
}

_cprofctl_targets() {
	local typed=$1 n=$2

	if ((n == 0)); then
		mapfile -t COMPREPLY < <(compgen -W "add remove rules --json --help" -- "$typed")
	elif [[ $typed == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "--pid --comm --unit --cgroup --container --user -p" -- "$typed")
	else
		_cprofctl_words "$(_cprofctl_column pid)" "$typed"
	fi
}

_cprofctl() {
	local verbs="capture record report status symbolize targets list get diff top snapshot pause resume
		version help"
	local filters="--since --until --pid --comm --unit --cgroup --container --exe --build-id --user -p"
	local shared="--pid --comm --unit --cgroup --container --all --no-children --seconds --hz
		--symbols --names --output --format --help -p -a -F -o -h"
	local typed=${COMP_WORDS[COMP_CWORD]} before="" verb="" word i operands=0

	COMPREPLY=()
	# "--option=value" is three words here
	if [[ $typed == "=" ]]; then
		typed=""
		before=${COMP_WORDS[COMP_CWORD - 1]}
	elif ((COMP_CWORD > 2)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == "=" ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	else
		before=${COMP_WORDS[COMP_CWORD - 1]}
	fi

	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--)
			if [[ $verb == record ]]; then
				if declare -F _command_offset >/dev/null; then
					_command_offset $((i + 1))
				elif ((COMP_CWORD == i + 1)); then
					mapfile -t COMPREPLY < <(compgen -c -- "$typed")
				else
					_cprofctl_files "$typed"
				fi
				return
			fi
			;;
		--socket | -p | --pid | --comm | --unit | --cgroup | --container | --seconds | -F | --hz | \
			--since | --until | --baseline | --step | --sort | --by | --exe | --build-id | --rows | -d | --delay | \
			-n | --iterations | --symbols | --names | -o | --output | --format | --user | --profile | --debug-dir)
			[[ ${COMP_WORDS[i + 1]} == "=" ]] && ((i++))
			((i++))
			;;
		-?*) ;;
		*)
			if [[ -z $verb ]]; then
				verb=$word
			else
				((operands++))
			fi
			;;
		esac
	done

	_cprofctl_value "$before" "$typed" "$verb" && return
	case $verb in
	"")
		mapfile -t COMPREPLY < <(compgen -W "$verbs --socket --help --version" -- "$typed")
		;;
	capture)
		if [[ $typed == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$shared" -- "$typed")
		else
			_cprofctl_words "$(_cprofctl_column pid)" "$typed"
		fi
		;;
	record) mapfile -t COMPREPLY < <(compgen -W "$shared --user --" -- "$typed") ;;
	report) _cprofctl_report "$typed" "$operands" ;;
	symbolize) _cprofctl_symbolize "$typed" "$operands" ;;
	status) mapfile -t COMPREPLY < <(compgen -W "--json --help" -- "$typed") ;;
	targets) _cprofctl_targets "$typed" "$operands" ;;
	list)
		mapfile -t COMPREPLY < <(compgen -W "$filters --step --sort --by --ids --json --help" -- "$typed")
		;;
	get) mapfile -t COMPREPLY < <(compgen -W "$filters --output --format --help -o" -- "$typed") ;;
	diff)
		if [[ $typed == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$filters --baseline --cum --rows --json --output --format --help -n -o" -- "$typed")
		else
			_cprofctl_files "$typed"
		fi
		;;
	top)
		if [[ $typed == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "--pid --comm --unit --cgroup --container --all --by --delay
				--iterations --rows --hz --json --help -p -a -d -n -F" -- "$typed")
		else
			_cprofctl_words "$(_cprofctl_column pid)" "$typed"
		fi
		;;
	snapshot) mapfile -t COMPREPLY < <(compgen -W "--output --format --help -o" -- "$typed") ;;
	pause) mapfile -t COMPREPLY < <(compgen -W "30min 1h --help" -- "$typed") ;;
	version) mapfile -t COMPREPLY < <(compgen -W "--json --help" -- "$typed") ;;
	resume) mapfile -t COMPREPLY < <(compgen -W "--help" -- "$typed") ;;
	help) ((operands)) || mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$typed") ;;
	esac
}

complete -F _cprofctl cprofctl
