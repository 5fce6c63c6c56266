# Each room: its folder, the folders it may include from, the libraries whose headers it may use.
# tests/layers checks the library headers; the compiler checks the rest.

LIBS_base :=
LIBS_elf := libelf libdw libdeflate libzstd
LIBS_profile := libprotobuf-c zlib libdeflate libxxhash
LIBS_daemon := libsystemd
LIBS_bpf := libbpf
LIBS_http := libmicrohttpd jansson
LIBS_hash := libxxhash
LIBS_store := sqlite3 zlib libxxhash

CONTRACTS := include
BASE := lib/base
LIBROOMS := lib/base lib/elf lib/unwind lib/proc lib/symbols lib/profile

INC_lib/base := $(CONTRACTS)
INC_lib/elf := $(CONTRACTS) $(BASE)
INC_lib/unwind := $(CONTRACTS) $(BASE) lib/elf bpf
INC_lib/proc := $(CONTRACTS) $(BASE)
INC_lib/symbols := $(CONTRACTS) $(BASE)
INC_lib/profile := $(CONTRACTS) $(BASE) $(B)/gen
INC_daemon/object := $(CONTRACTS) $(BASE)
INC_daemon/jobs := $(CONTRACTS) $(BASE) lib/proc
INC_daemon/worker := $(CONTRACTS) $(LIBROOMS) daemon/jobs bpf $(B)/gen
INC_daemon/sampling := $(CONTRACTS) $(BASE) lib/proc $(B)/gen
INC_daemon/unwind := $(CONTRACTS) $(BASE) lib/elf daemon/object daemon/jobs daemon/sampling
INC_daemon/tracking := $(CONTRACTS) $(BASE) lib/proc daemon/object daemon/jobs daemon/unwind daemon/sampling
INC_daemon/debuginfod := $(CONTRACTS) $(BASE) lib/proc daemon/jobs
INC_daemon/fetch := $(CONTRACTS) $(BASE)
INC_daemon/symbols := $(CONTRACTS) $(BASE) lib/proc lib/symbols daemon/object daemon/jobs
INC_daemon/session := $(CONTRACTS) $(BASE) lib/proc lib/profile daemon/object daemon/symbols daemon/sampling
INC_daemon/store := $(CONTRACTS) $(BASE)
INC_daemon/history := $(CONTRACTS) $(BASE) daemon/object daemon/jobs daemon/sampling daemon/session daemon/store
INC_daemon/server := $(CONTRACTS) $(BASE) lib/proc daemon/object daemon/session daemon/sampling daemon/store daemon/history
INC_daemon := $(CONTRACTS) $(LIBROOMS) daemon $(addprefix daemon/,object jobs sampling unwind tracking debuginfod symbols session store history server)
INC_client := $(CONTRACTS) lib/base lib/proc lib/symbols lib/profile

ROOMS := $(LIBROOMS) daemon/object daemon/jobs daemon/worker daemon/sampling daemon/unwind \
	daemon/tracking daemon/fetch daemon/debuginfod daemon/symbols daemon/session daemon/store daemon/history daemon/server daemon client

SRC = $(wildcard $(1)/*.c)
OBJ = $(patsubst %.c,$(B)/obj/%.o,$(call SRC,$(1)))

# Before the rules that name them as prerequisites: those are expanded as they are read.
GENERATED_lib/profile := $(addprefix $(B)/gen/,profile.pb-c.h flamegraph.css.inc flamegraph.js.inc)
GENERATED_daemon/worker := $(B)/gen/filters.inc
EXTRA_lib/profile := $(B)/obj/gen/profile.pb-c.o

define room
$(B)/obj/$(1)/%.o: $(1)/%.c $$(GENERATED_$(1)) | $$(CHECK_DEPS)
	@mkdir -p $$(@D)
	$$(if $$(filter 1,$$(V)),,@echo '  CC      $$<')
	$$(Q)$$(CC) $$(CPPFLAGS) $$(addprefix -I,$(1) $$(INC_$(1))) $$(ALL_CFLAGS) -MMD -MP -c $$< -o $$@
endef

# daemon/*.c only: the rooms below it have their own rules, and the longer stem loses
$(foreach r,$(ROOMS),$(eval $(call room,$(r))))

define archive
$(B)/$(1).a: $$(call OBJ,$(1)) $$(EXTRA_$(1))
	@mkdir -p $$(@D)
	$$(if $$(filter 1,$$(V)),,@echo '  AR      $$@')
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
endef
$(foreach r,$(filter-out daemon daemon/worker daemon/fetch client,$(ROOMS)),$(eval $(call archive,$(r))))
ARCHIVES := $(foreach r,$(filter-out daemon daemon/worker daemon/fetch client,$(ROOMS)),$(B)/$(r).a)

# profile.proto compiled by protoc-c; generated code is not held to our warnings
$(B)/gen/profile.pb-c.c $(B)/gen/profile.pb-c.h &: lib/profile/profile.proto
	@mkdir -p $(B)/gen
	$(if $(filter 1,$(V)),,@echo '  PROTOC  $<')
	$(Q)protoc-c --c_out=$(B)/gen --proto_path=lib/profile $<
$(B)/obj/gen/%.o: $(B)/gen/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -I$(B)/gen -std=gnu11 -fPIE $(SANFLAGS) $(CFLAGS) -c $< -o $@

# The flame graph's style and script as C strings, without comments and indentation
$(B)/gen/flamegraph.%.inc: lib/profile/flamegraph.%
	@mkdir -p $(@D)
	$(Q)sed -e 's/^[ \t]*//' -e '/^\/\//d' -e '/^\/\*.*\*\/$$/d' -e '/^$$/d' -e 's/\\/\\\\/g' -e 's/"/\\"/g' \
		-e 's/.*/"&\\n"/' $< > $@

# The worker's seccomp filters as libseccomp makes them
$(B)/tools/filters: daemon/worker/filters/filters.c
	@mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo '  TOOL    $@')
	$(Q)$(CC) $(CPPFLAGS) -Ilib/base -std=gnu11 $(WARN) $(CFLAGS) $(LDFLAGS) -o $@ $< $(call pkglibs,libseccomp)
$(B)/gen/filters.inc: $(B)/tools/filters
	@mkdir -p $(@D)
	$(Q)$< > $@

# clang-tidy on chosen checks, each room with its own includes
TIDY_CHECKS := -*,bugprone-suspicious-memset-usage,bugprone-suspicious-memory-comparison,bugprone-infinite-loop,$\
	bugprone-suspicious-semicolon,bugprone-terminating-continue,bugprone-assert-side-effect,$\
	misc-redundant-expression
TIDY := $(addprefix tidy!,$(ROOMS))
.PHONY: tidy $(TIDY)
tidy: $(TIDY)
$(TIDY): tidy!%: $(BPF_SKEL) $(GENERATED_lib/profile) $(GENERATED_daemon/worker)
	$(Q)clang-tidy --quiet --warnings-as-errors='*' --checks='$(TIDY_CHECKS)' $(call SRC,$*) -- $(CPPFLAGS) \
		-std=gnu11 $(addprefix -I,$* $(INC_$*)) 2>/dev/null
