# SPDX-License-Identifier: Apache-2.0
#
# One non-recursive Makefile. `make` builds, without root; `make help` lists the rest.
#
# A folder ("room") is a set of permitted includes: each has its own -I list below, and headers are
# included by bare name, so that an include across a wall does not compile.

V ?= 0
Q := $(if $(filter 1,$(V)),,@)
FUZZER ?=
SAN ?= $(if $(FUZZER),address$(comma)undefined)
comma := ,
CC ?= $(if $(FUZZER),clang,gcc)
ifeq ($(origin CC),default)
CC := $(if $(FUZZER),clang,gcc)
endif
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) $(shell command -v bpftool 2>/dev/null) bpftool)
PKG_CONFIG ?= pkg-config
AR ?= ar
prefix ?= /usr/local
DESTDIR ?=

ifeq ($(SAN),)
B ?= build
else
B ?= build-$(if $(FUZZER),fuzz,$(subst $(comma),-,$(SAN)))
SANFLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -DCPROF_SANITIZED=1
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wvla -Wundef -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wno-missing-field-initializers
CFLAGS ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
# libFuzzer sees the branches of what clang compiles, whose warnings and checks (NULL + 0) are not those of gcc
ifneq ($(FUZZER),)
WARN := -w
SANFLAGS += -fsanitize=fuzzer-no-link -fno-sanitize=pointer-overflow
endif
ALL_CFLAGS = -std=gnu11 $(WARN) -fPIE -fstack-protector-strong -fcf-protection $(SANFLAGS) $(CFLAGS)
ifeq ($(SAN),)
CPPFLAGS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections $(SANFLAGS) $(LDFLAGS)

include mk/bpf.mk
# Before the first compiler runs: what is missing, by package, and how to get it.
CHECK_DEPS := $(B)/.deps
$(CHECK_DEPS): scripts/check-deps
	$(Q)CC='$(CC)' CLANG='$(CLANG)' scripts/check-deps $@

include mk/rooms.mk
include mk/programs.mk
include mk/tests.mk
include mk/install.mk

.PHONY: all clean help
all: programs

clean:
	$(Q)rm -rf build build-*

help:
	@sed -n 's/^# make \(.*\)/  make \1/p' Makefile
#
# make            build cprofd, cprofctl and cprof-worker into build/ (no root needed)
# make demo       install what the build needs, build, profile this machine for some seconds
# make check      install what the tests need, build, run every test; STAGES="lint unit" for some of them
# make deps       install what the build needs (Debian packages; root or sudo)
# make install    below $(DESTDIR)$(prefix), default /usr/local, with the systemd units and the user cprofd
# make uninstall  takes it away again
# make deb        a Debian package, in build/deb
# make rpm        an RPM package, in build/rpm
# make soak       an hour of processes, libraries and captures at random; SOAK_SECONDS=180 for less (root)
# make overhead   what the always-on service costs here, beside perf and sysprof (root)
# make unit fuzz  unit tests; replay of the fuzzers' corpora
# make FUZZER=1 fuzz-programs   libFuzzers, in build-fuzz/fuzz/; each takes its corpus' folder
# make tidy       clang-tidy
# make clean      removes build/ and build-*/
# make SAN=address,undefined ...  the same, under sanitizers, in build-address-undefined/
# make V=1 ...    show the commands

-include $(shell find $(addprefix $(B)/,obj bpf tests fuzz tools) -type f -name '*.d' 2>/dev/null)
