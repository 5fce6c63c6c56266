# make install puts everything below $(DESTDIR)$(prefix); units, the configuration and the user's
# definition go where systemd and the daemon look.

sbindir ?= $(prefix)/sbin
bindir ?= $(prefix)/bin
libexecdir ?= $(prefix)/libexec/cprofd
mandir ?= $(prefix)/share/man
sysconfdir ?= /etc
unitdir ?= $(if $(filter /usr,$(prefix)),/lib/systemd/system,/etc/systemd/system)
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
docdir ?= $(prefix)/share/doc/cprofd
bashdir ?= $(prefix)/share/bash-completion/completions
zshdir ?= $(prefix)/share/zsh/vendor-completions
INSTALL ?= install

INSTALLED := $(sbindir)/cprofd $(bindir)/cprofctl $(libexecdir)/cprof-worker $(libexecdir)/cprof-fetch $(unitdir)/cprofd.service \
	$(unitdir)/cprofd.socket $(sysusersdir)/cprofd.conf $(tmpfilesdir)/cprofd.conf \
	$(mandir)/man1/cprofctl.1 $(mandir)/man5/cprofd.conf.5 $(mandir)/man8/cprofd.8 \
	$(bashdir)/cprofctl $(bashdir)/cprofd $(zshdir)/_cprofctl $(zshdir)/_cprofd $(docdir)/LICENSE $(docdir)/README.md

.PHONY: install uninstall deps deb rpm
install: programs
	$(INSTALL) -d $(addprefix $(DESTDIR),$(sort $(dir $(INSTALLED))) $(sysconfdir)/cprofd)
	$(INSTALL) -m 755 $(B)/cprofd $(DESTDIR)$(sbindir)/cprofd
	$(INSTALL) -m 755 $(B)/cprofctl $(DESTDIR)$(bindir)/cprofctl
	$(INSTALL) -m 755 $(B)/cprof-worker $(DESTDIR)$(libexecdir)/cprof-worker
	$(INSTALL) -m 755 $(B)/cprof-fetch $(DESTDIR)$(libexecdir)/cprof-fetch
	$(INSTALL) -m 644 docs/man/cprofctl.1 $(DESTDIR)$(mandir)/man1/
	$(INSTALL) -m 644 docs/man/cprofd.conf.5 $(DESTDIR)$(mandir)/man5/
	$(INSTALL) -m 644 docs/man/cprofd.8 $(DESTDIR)$(mandir)/man8/
	$(INSTALL) -m 644 packaging/completions/cprofctl.bash $(DESTDIR)$(bashdir)/cprofctl
	$(INSTALL) -m 644 packaging/completions/cprofd.bash $(DESTDIR)$(bashdir)/cprofd
	$(INSTALL) -m 644 packaging/completions/_cprofctl $(DESTDIR)$(zshdir)/_cprofctl
	$(INSTALL) -m 644 packaging/completions/_cprofd $(DESTDIR)$(zshdir)/_cprofd
	$(INSTALL) -m 644 LICENSE README.md $(DESTDIR)$(docdir)/
	$(INSTALL) -m 644 systemd/cprofd.sysusers $(DESTDIR)$(sysusersdir)/cprofd.conf
	$(INSTALL) -m 644 systemd/cprofd.tmpfiles $(DESTDIR)$(tmpfilesdir)/cprofd.conf
	$(INSTALL) -m 644 systemd/cprofd.socket $(DESTDIR)$(unitdir)/cprofd.socket
	sed 's|@sbindir@|$(sbindir)|g' systemd/cprofd.service.in > $(DESTDIR)$(unitdir)/cprofd.service
	chmod 644 $(DESTDIR)$(unitdir)/cprofd.service
	test -e $(DESTDIR)$(sysconfdir)/cprofd/cprofd.conf || \
		$(INSTALL) -m 644 packaging/cprofd.conf $(DESTDIR)$(sysconfdir)/cprofd/cprofd.conf
ifeq ($(DESTDIR),)
	-systemd-sysusers $(sysusersdir)/cprofd.conf
	-test ! -d /run/systemd/system || systemctl daemon-reload
endif

# A configuration that was changed stays, and so does what the daemon has kept.
uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	! cmp -s packaging/cprofd.conf $(DESTDIR)$(sysconfdir)/cprofd/cprofd.conf || \
		rm -f $(DESTDIR)$(sysconfdir)/cprofd/cprofd.conf
	-rmdir --ignore-fail-on-non-empty $(DESTDIR)$(libexecdir) $(DESTDIR)$(docdir) $(DESTDIR)$(sysconfdir)/cprofd

deps:
	scripts/deps build

deb: programs
	$(Q)packaging/deb/build $(B)

rpm: programs
	$(Q)packaging/rpm/build $(B)
