PROGRAMS := $(B)/cprofd $(B)/cprofctl $(B)/cprof-worker $(B)/cprof-fetch
.PHONY: programs
programs: $(PROGRAMS)

pkglibs = $(shell $(PKG_CONFIG) --libs $(1))

LINK_DAEMON := $(foreach r,server history store session symbols debuginfod tracking unwind sampling jobs object,$(B)/daemon/$(r).a) \
	$(foreach r,profile symbols proc elf base,$(B)/lib/$(r).a)
LINK_WORKER := $(foreach r,elf unwind proc profile base,$(B)/lib/$(r).a)
LINK_CLIENT := $(foreach r,profile symbols proc base,$(B)/lib/$(r).a)

define program
$(1): $(2) $(3)
	@mkdir -p $$(@D)
	$$(if $$(filter 1,$$(V)),,@echo '  LD      $$@')
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $(2) -Wl,--start-group $(3) -Wl,--end-group $(4)
endef

LIBS_CPROFD = $(call pkglibs,libbpf libsystemd libmicrohttpd jansson libprotobuf-c zlib libdeflate libcap-ng libxxhash libelf sqlite3) -linih -lpthread
LIBS_WORKER = $(call pkglibs,libdw libelf libcap-ng libprotobuf-c zlib libdeflate libxxhash liblzma libzstd) -liberty
# libcurl is loaded by the verbs that use it: client/libcurl.h
LIBS_CLIENT = $(call pkglibs,jansson libprotobuf-c zlib libdeflate)

$(eval $(call program,$(B)/cprofd,$$(call OBJ,daemon),$$(LINK_DAEMON),$$(LIBS_CPROFD)))
$(eval $(call program,$(B)/cprof-worker,$$(call OBJ,daemon/worker),$$(LINK_WORKER),$$(LIBS_WORKER)))
$(eval $(call program,$(B)/cprof-fetch,$$(call OBJ,daemon/fetch),$(B)/lib/base.a,$$(call pkglibs,libcurl)))
$(eval $(call program,$(B)/cprofctl,$$(call OBJ,client),$$(LINK_CLIENT),$$(LIBS_CLIENT)))
