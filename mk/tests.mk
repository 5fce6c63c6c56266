# tests/unit/test_NAME.c → build/tests/test_NAME, linked with every archive and cmocka.
# tests/fuzz/fuzz_NAME.c → build/fuzz/fuzz_NAME, replays tests/fuzz/corpus/NAME; with FUZZER=1 a libFuzzer.

UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/tests/%,$(UNIT_SRC))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
TEST_INC := include $(LIBROOMS) bpf $(addprefix daemon/,object jobs worker sampling unwind tracking debuginfod symbols session store history server) daemon client tests/unit $(B)/gen
TEST_LIBS = $(call pkglibs,cmocka libbpf libsystemd libmicrohttpd jansson libprotobuf-c zlib libdeflate libcap-ng libxxhash libdw libelf liblzma libzstd libcurl sqlite3) -liberty -linih -lpthread

$(B)/tests/worker-objects.a: $(filter-out %/main.o,$(call OBJ,daemon/worker)) $(patsubst %.c,$(B)/obj/%.o,$(wildcard daemon/config*.c) daemon/log.c daemon/trouble.c)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/tests/test_%: tests/unit/test_%.c $(ARCHIVES) $(B)/tests/worker-objects.a
	@mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo '  TEST    $@')
	$(Q)$(CC) $(CPPFLAGS) $(addprefix -I,$(TEST_INC)) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< \
		-Wl,--start-group $(B)/tests/worker-objects.a $(ARCHIVES) -Wl,--end-group $(TEST_LIBS)

# run the program itself
$(B)/tests/test_pool $(B)/tests/test_jobs $(B)/tests/test_worker $(B)/tests/test_kernel_lines $(B)/tests/test_kernel_modules $(B)/tests/test_changing: | $(B)/cprof-worker

FUZZ_CC = $(CC) $(if $(FUZZER),-fsanitize=fuzzer)
$(B)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/driver.c $(ARCHIVES) $(B)/tests/worker-objects.a
	@mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo '  FUZZ    $@')
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(addprefix -I,$(TEST_INC)) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< \
		$(if $(FUZZER),,tests/fuzz/driver.c) \
		-Wl,--start-group $(B)/tests/worker-objects.a $(ARCHIVES) -Wl,--end-group $(TEST_LIBS)

# Prints what is made of a file's CFI; tests/tables/compare reads it.
$(B)/tools/table_dump: tests/tools/table_dump.c $(B)/lib/elf.a $(B)/lib/base.a
	@mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo '  TOOL    $@')
	$(Q)$(CC) $(CPPFLAGS) -Iinclude -Ilib/base -Ilib/elf $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< \
		-Wl,--start-group $(B)/lib/elf.a $(B)/lib/base.a -Wl,--end-group $(call pkglibs,libdw libelf libxxhash liblzma libzstd libdeflate) -liberty

.PHONY: unit fuzz unit-programs fuzz-programs check demo soak overhead
unit-programs: $(UNIT_BIN) $(PROGRAMS)
fuzz-programs: $(FUZZ_BIN)
check:
	@scripts/check $(STAGES)
demo:
	@scripts/demo
soak: programs
	@tests/soak/run
overhead: programs
	@tests/bench/always-on
unit: $(UNIT_BIN)
	$(Q)failed=; for t in $(UNIT_BIN); do $$t || failed="$$failed $$t"; done; \
		[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }
fuzz: $(FUZZ_BIN)
	$(Q)for f in $(FUZZ_BIN); do n=$${f##*/fuzz_}; d=tests/fuzz/corpus/$$n; \
		if [ -d $$d ]; then $$f $$d || exit 1; fi; done

# tests/bench/merge/NAME.c → build/bench/NAME, for tests/bench/merge/run
$(B)/bench/%: tests/bench/merge/%.c $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(addprefix -I,$(TEST_INC)) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< \
		-Wl,--start-group $(B)/lib/profile.a $(B)/lib/base.a -Wl,--end-group $(call pkglibs,libprotobuf-c zlib libdeflate)
$(B)/bench/days: tests/bench/store/days.c $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(addprefix -I,$(TEST_INC)) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< \
		-Wl,--start-group $(B)/daemon/store.a $(B)/lib/profile.a $(B)/lib/base.a -Wl,--end-group \
		$(call pkglibs,libprotobuf-c zlib libdeflate sqlite3 libxxhash)
