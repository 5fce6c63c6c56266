# SPDX-License-Identifier: Apache-2.0

load client

COMPARE=$BATS_TEST_DIRNAME/../tools/compare_names.py

# A C program whose functions are inlined into one another: ./prog, with debug information.
program() {
	cat >prog.c <<-'END'
		#include <stdio.h>
		static inline __attribute__((always_inline)) int inner(int n)
		{
			return n * 77 + printf("%d", n);
		}
		static inline __attribute__((always_inline)) int middle(int n)
		{
			return inner(n + 1) / 3;
		}
		__attribute__((noinline)) int outer(int n)
		{
			return middle(n) + inner(n);
		}
		int main(int argc, char **argv)
		{
			(void)argv;
			return outer(argc);
		}
	END
	gcc -g -O1 -o prog "$test_folder/prog.c"
}

addresses_of() { objdump -d --disassemble="$2" "$1" | sed -n 's/^ *\([0-9a-f]\{4,\}\):.*/\1/p'; }

# Without discriminators, which binutils alone prints.
binutils() { addr2line "$@" | sed 's/ (discriminator [0-9]*)$//'; }

@test "symbolize prints what addr2line prints, with each of its options" {
	program
	addresses_of prog outer >addresses
	addresses_of prog main >>addresses
	[ "$(wc -l <addresses)" -gt 20 ]
	local options
	for options in "-a -f -i -C" "-a" "-f" "-fi" "-aps -fiC" "-psfi" "-aC"; do
		# shellcheck disable=SC2086
		binutils $options -e prog <addresses >theirs
		# shellcheck disable=SC2086
		"$CPROFCTL" symbolize $options prog <addresses >ours
		diff theirs ours
	done
	binutils -afiC -e prog <addresses >theirs
	"$CPROFCTL" symbolize prog <addresses | diff theirs -
	xargs "$CPROFCTL" symbolize prog <addresses | diff theirs -
	sed 's/^/0x/' addresses | "$CPROFCTL" symbolize prog | diff theirs -
}

@test "symbolize: object files have offsets in their sections for addresses, as with addr2line" {
	program
	local options
	for options in "-gdwarf-5 -O2" "-g -O1 -gz" "-gdwarf-4 -O0"; do
		# shellcheck disable=SC2086
		gcc $options -c -o prog.o "$test_folder/prog.c"
		objdump -d prog.o | sed -n 's/^ *\([0-9a-f]\+\):\t.*/\1/p' >addresses
		[ "$(sort -u addresses | wc -l)" -gt 15 ]
		binutils -afiC -e prog.o <addresses >theirs
		"$CPROFCTL" symbolize prog.o <addresses | diff theirs -
	done
	gcc -g -O2 -c -o prog.o "$test_folder/prog.c"
	objdump -d -j .text.startup prog.o | sed -n 's/^ *\([0-9a-f]\+\):\t.*/\1/p' >addresses
	[ -s addresses ]
	binutils -afiC -j .text.startup -e prog.o <addresses >theirs
	"$CPROFCTL" symbolize -j .text.startup prog.o <addresses | diff theirs -
}

@test "symbolize: what is no address in the file has marks" {
	program
	run -0 "$CPROFCTL" symbolize prog 10 ffffffffffffffff
	[ "$output" = $'0x0000000000000010\n??\n??:0\n0xffffffffffffffff\n??\n??:0' ]
	strip prog
	run -0 "$CPROFCTL" symbolize -fi prog 10
}

@test "symbolize answers as addresses come" {
	program
	mkfifo in
	"$CPROFCTL" symbolize -f prog <in >out 3>&- &
	local pid=$! i
	exec 7>in
	for i in 1 2 3; do
		addresses_of prog main | head -1 >&7
		wait_for eval "[ \$(grep -c main out) = $i ]"
	done
	exec 7>&-
	wait $pid
}

# How many seccomp filters a status tells of.
filters_of() {
	sed -n 's/^Seccomp_filters:[ \t]*//p'
}

@test "symbolize reads the file in one other process, which is confined" {
	program
	mkfifo in
	"$CPROFCTL" symbolize -f prog <in >out 3>&- &
	local pid=$! worker status
	exec 7>in
	addresses_of prog main | head -1 >&7
	wait_for grep -q main out
	worker=$(xargs </proc/$pid/task/$pid/children)
	status=$(cat "/proc/$worker/status")
	[ -z "$(cat "/proc/$worker/task/$worker/children")" ]
	exec 7>&-
	wait $pid
	grep -qx 'NoNewPrivs:.*1' <<<"$status"
	grep -qx 'Seccomp:.*2' <<<"$status"
	grep -qx 'CapPrm:.*0000000000000000' <<<"$status"
	grep -qx 'CapEff:.*0000000000000000' <<<"$status"
	# the zygote's and the job's, where the kernel counts them
	[ "$(filters_of <<<"$status")" = "" ] ||
		[ "$(filters_of <<<"$status")" = $(($(filters_of </proc/self/status) + 2)) ]
}

@test "symbolize: many batches of one process" {
	program
	addresses_of prog outer >some
	for _ in {1..3000}; do cat some; done >many
	"$CPROFCTL" symbolize prog <some >once
	"$CPROFCTL" symbolize prog <many | cmp - <(for _ in {1..3000}; do cat once; done)
}

@test "symbolize as an ordinary user, with debug files of that user's" {
	[ "$(id -u)" = 0 ] || skip "needs root to become somebody else"
	program
	objcopy --only-keep-debug prog prog.debug
	local id
	id=$(readelf -n prog | sed -n 's/.*Build ID: //p')
	mkdir -p "dbg/.build-id/${id:0:2}"
	mv prog.debug "dbg/.build-id/${id:0:2}/${id:2}.debug"
	addresses_of prog outer >addresses
	"$CPROFCTL" symbolize prog <addresses >expected
	strip prog
	run -0 setpriv --reuid=65534 --regid=65534 --clear-groups \
		xargs -a addresses "$CPROFCTL" symbolize --debug-dir dbg prog
	diff expected <(echo "$output")
	run -0 setpriv --reuid=65534 --regid=65534 --clear-groups "$CPROFCTL" symbolize --symbols=fast prog 1000
}

@test "symbolize says in one line what it cannot do" {
	echo text >text
	run -1 "$CPROFCTL" symbolize text 10
	[ "$output" = "cprofctl: text: not an ELF file for x86-64" ]
	echo 'int f(void) { return 1; }' | gcc -g -c -x c -o object.o -
	run -1 "$CPROFCTL" symbolize -j .texts object.o 0
	[ "$output" = "cprofctl: object.o: no such section with code" ]
	program
	run -1 "$CPROFCTL" symbolize -j .text prog 0
	[ "$output" = "cprofctl: prog: linked: --section is for object files and kernel modules, whose code has no addresses yet" ]
	run -2 "$CPROFCTL" symbolize -j "$(printf '%056d' 1)" object.o 0
	run -1 "$CPROFCTL" symbolize missing 10
	[ "$output" = "cprofctl: cannot open missing: No such file or directory" ]
	mkfifo fifo
	run -1 timeout 10 "$CPROFCTL" symbolize fifo 10
	[ "${#lines[@]}" = 1 ]
	run -2 "$CPROFCTL" symbolize
	run -2 "$CPROFCTL" symbolize --symbols=some prog
	run -2 "$CPROFCTL" symbolize -o x prog
	run -2 "$CPROFCTL" symbolize --profile p prog
	head -c 3000 /bin/true >cut.elf
	run "$CPROFCTL" symbolize cut.elf 2000
	[ "$status" -le 1 ]
}

@test "symbolize: a file too large to be mapped has names by its symbols" {
	program
	cp --sparse=always prog large
	truncate -s 200G large
	local address
	address=$(nm large | sed -n 's/ T outer$//p')
	run -1 "$CPROFCTL" symbolize -f large "$address"
	[[ ${#lines[@]} = 1 && $output == "cprofctl: large: debug information in a file over 16 GiB"*"--symbols=fast"* ]]
	run -0 "$CPROFCTL" symbolize --symbols=fast -f large "$address"
	[ "${lines[0]}" = outer ]
	# as a program's debug file, too
	objcopy --only-keep-debug prog prog.debug
	strip prog -o bare
	objcopy --add-gnu-debuglink=prog.debug bare stripped
	truncate -s 17G prog.debug
	run -1 "$CPROFCTL" symbolize -f stripped "$address"
	[[ $output == *"over 16 GiB"* ]]
}

@test "names and lines of a thousand addresses of libc are llvm-symbolizer's" {
	local libc=/lib/x86_64-linux-gnu/libc.so.6 id debug text
	id=$(readelf -n "$libc" | sed -n 's/.*Build ID: //p')
	debug=/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
	[ -e "$debug" ] || skip "libc6-dbg is not installed"
	command -v llvm-symbolizer >/dev/null || skip "no llvm-symbolizer"
	text=$(readelf -SW "$libc" | sed -n 's/.* \.text *PROGBITS *//p')
	# shellcheck disable=SC2086
	set -- $text
	awk -v start=$((16#$1)) -v bytes=$((16#$3)) \
		'BEGIN { srand(1); for (i = 0; i < 1000; i++) printf "0x%x\n", start + rand() * bytes }' >addresses
	"$CPROFCTL" symbolize "$libc" <addresses >ours
	llvm-symbolizer --obj="$debug" --output-style=GNU -a -f -i -C <addresses >theirs
	run -0 /usr/bin/python3 "$COMPARE" --show 3 --aliases "$debug" ours theirs
	echo "$output"
	# what differs are lines that the table gives padding between functions
	local rest=${lines[-1]#* of 1000 the same}
	[ "${lines[-1]%% *}" -ge 985 ]
	[[ -z $rest || $rest =~ ^"; a line outside of any function "[0-9]+$ ]]
}

@test "a profile taken elsewhere is named later" {
	program
	local address id
	address=$(addresses_of prog outer | sed -n 3p)
	id=$(readelf -n prog | sed -n 's/.*Build ID: //p')
	mkdir -p dbg/gone
	cp prog dbg/gone/prog
	/usr/bin/python3 "$BATS_TEST_DIRNAME/unnamed_pprof.py" /gone/prog "$id" "$address" >unnamed.pb.gz
	run -0 "$CPROFCTL" symbolize --profile unnamed.pb.gz -o named.pb.gz
	[[ $output == "named.pb.gz: 0 of 1 places"* ]]
	run -0 "$CPROFCTL" symbolize --profile unnamed.pb.gz --debug-dir dbg -o named.pb.gz
	[[ $output == "named.pb.gz: 1 of 1 places"* ]]
	run -0 "$CPROFCTL" report named.pb.gz traces
	[[ $output == *outer* ]]
	[[ $output != *"prog+0x"* ]]
	# as go tool pprof does it
	run -0 env PPROF_TMPDIR="$PWD" go tool pprof -symbolize=force -traces prog unnamed.pb.gz
	[[ $output == *outer* ]]
	[[ $output != *"prog+0x"* ]]
	# another file of that name is not taken for it
	cp /bin/true dbg/gone/prog
	run -0 "$CPROFCTL" symbolize --profile unnamed.pb.gz --debug-dir dbg -o other.pb.gz
	[[ $output == "other.pb.gz: 0 of 1 places"* ]]
	# in its own place
	cp prog dbg/gone/prog
	run -0 "$CPROFCTL" symbolize --profile unnamed.pb.gz --debug-dir dbg
	run -0 "$CPROFCTL" report unnamed.pb.gz top
	[[ $output == *outer* ]]
}
