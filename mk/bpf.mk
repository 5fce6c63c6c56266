# bpf/*.bpf.c → object → skeleton in build/gen. Only daemon/sampling sees it.

BPF_CFLAGS := -O2 -g -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter \
	-mllvm -disable-block-placement
BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_SKEL := $(patsubst bpf/%.bpf.c,$(B)/gen/%.skel.h,$(BPF_SRC))
GENERATED_daemon/sampling := $(BPF_SKEL)

# static patterns: a chain of implicit rules would lose against the rule of a folder above
$(patsubst %.bpf.c,$(B)/%.bpf.o,$(BPF_SRC)): $(B)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo '  BPF     $<')
	$(Q)$(CLANG) $(BPF_CFLAGS) -Iinclude -Ibpf -MMD -MP -c $< -o $@
	$(Q)$(BPFTOOL) gen object $@.tmp $@ && mv $@.tmp $@

$(BPF_SKEL): $(B)/gen/%.skel.h: $(B)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(if $(filter 1,$(V)),,@echo '  SKEL    $@')
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@
