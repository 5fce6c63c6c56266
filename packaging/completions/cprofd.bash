# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# bash completion for cprofd(8)

_cprofd() {
	local typed=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}

	case $before in
	--config | --socket)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$typed")
		;;
	--state-dir)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$typed")
		;;
	--listen) mapfile -t COMPREPLY < <(compgen -W "127.0.0.1:6464 [::1]:6464" -- "$typed") ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "--config --socket --state-dir --listen --check-config
			--print-config --version --help" -- "$typed")
		;;
	esac
}

complete -F _cprofd cprofd
