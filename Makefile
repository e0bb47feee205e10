# Everything starts here. The library needs cargo, a C compiler, make and Python, and cargo needs the network or its
# dependencies at hand (docs/packaging.md); all else is done by scripts/, which install what they need.

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DOCDIR ?= $(PREFIX)/share/doc/amrelay
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=
CARGO ?= cargo
INSTALL ?= install
PYTHON ?= python3

version := $(shell sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q;}' Cargo.toml)
# The number of the ABI: build.rs has it too.
soname := libamrelay.so.0
release := $(or $(CARGO_TARGET_DIR),target)$(addprefix /,$(CARGO_BUILD_TARGET))/release
native := $(release)/amrelay-native-libs
programs := amrelay-index amrelay-relay amrelay-tee
# It reads Linux's /proc.
why := $(if $(filter Linux,$(shell uname -s)),build/programs/amrelay-why)
installed := $(programs:%=build/programs/%) $(why)
# What the man pages of the programs are made of.
program_sources := $(programs:%=examples/%.c) $(if $(why),why/src/main.rs)
pages := build/man/made
c_flags := -std=c99 -O2 -Wall -Wextra -pedantic $(CFLAGS)

.PHONY: help library install examples docs header check-library check-valgrind
.PHONY: amanda backup check test storm bench bench-quick bench-compare bench-peers clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

# Without the rlib of a plain `cargo build`, which would keep the linker from optimizing across crates.
library: $(pages) ## build the shared and the static library, the programs over it, and the man pages
	$(CARGO) rustc --locked --release --lib --crate-type cdylib,staticlib -- --print "native-static-libs=$(native)"
	$(MAKE) --no-print-directory $(installed)

build/programs/amrelay-why: $(shell find why -name '*.rs') why/Cargo.toml Cargo.lock
	$(CARGO) build --locked --release --package amrelay-why
	mkdir -p build/programs
	cp "$(release)/amrelay-why" $@

# For `install`: a library that is newer than its sources is taken as it is, since root may have no cargo.
$(native): $(shell find src -name '*.rs')
	$(MAKE) --no-print-directory library

# The installed programs need the shared library; those that `examples` builds contain it.
$(programs:%=build/programs/%): build/programs/%: examples/%.c include/amrelay.h $(native)
	mkdir -p build/programs
	$(CC) $(c_flags) -Iinclude $< -o $@ "$(release)/libamrelay.so" $(LDFLAGS)

# What rustc reports, without libgcc_s: a C compiler adds it where it is needed, and it does not exist for -static.
native_libs = $(filter-out -lgcc_s,$(shell cat "$(native)"))

# A path below the prefix is written in terms of it, so that pkg-config can move the installation.
below_prefix = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))

$(pages): include/amrelay.h Cargo.toml scripts/lib/c_header.py scripts/lib/man_pages.py $(program_sources)
	rm -rf build/man
	$(PYTHON) -B scripts/lib/man_pages.py include/amrelay.h $(version) build/man $(program_sources)
	touch $@

install: $(native) $(installed) $(pages) ## install library, programs, header, pkg-config file, man pages, licences (DESTDIR, PREFIX, BINDIR, …)
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)"
	$(INSTALL) -m 755 $(installed) "$(DESTDIR)$(BINDIR)"
	$(INSTALL) -d "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(DOCDIR)"
	$(INSTALL) -m 644 LICENSE-APACHE LICENSE-MIT "$(DESTDIR)$(DOCDIR)"
	$(INSTALL) -m 644 include/amrelay.h "$(DESTDIR)$(INCLUDEDIR)/amrelay.h"
	$(INSTALL) -m 644 "$(release)/libamrelay.a" "$(DESTDIR)$(LIBDIR)/libamrelay.a"
	$(INSTALL) -m 755 "$(release)/libamrelay.so" "$(DESTDIR)$(LIBDIR)/libamrelay.so.$(version)"
	ln -sf libamrelay.so.$(version) "$(DESTDIR)$(LIBDIR)/$(soname)"
	ln -sf $(soname) "$(DESTDIR)$(LIBDIR)/libamrelay.so"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@INCLUDEDIR@|$(call below_prefix,$(INCLUDEDIR))|' \
		-e 's|@LIBDIR@|$(call below_prefix,$(LIBDIR))|' -e 's|@VERSION@|$(version)|' \
		-e 's|@NATIVE@|$(native_libs)|' amrelay.pc.in > "$(DESTDIR)$(LIBDIR)/pkgconfig/amrelay.pc"
	chmod 644 "$(DESTDIR)$(LIBDIR)/pkgconfig/amrelay.pc"
	if [ -d build/docs/html ]; then \
		$(INSTALL) -d "$(DESTDIR)$(DOCDIR)/html" && \
			$(INSTALL) -m 644 build/docs/html/* "$(DESTDIR)$(DOCDIR)/html"; \
	fi
	for section in man1 man3; do \
		$(INSTALL) -d "$(DESTDIR)$(MANDIR)/$$section" && \
			$(INSTALL) -m 644 build/man/$$section/* "$(DESTDIR)$(MANDIR)/$$section" || exit; \
	done

examples: library ## build the programs of examples/ into build/examples/
	mkdir -p build/examples
	for name in $(programs); do \
		$(CC) $(c_flags) -Iinclude examples/$$name.c -o build/examples/$$name \
			"$(release)/libamrelay.a" $(native_libs) $(LDFLAGS) || exit; \
	done

docs: $(pages) ## build the reference of the C API: man pages in build/man/, HTML in build/docs/html/
	scripts/packages.sh docs
	rm -rf build/docs
	mkdir -p build/docs
	AMRELAY_VERSION=$(version) doxygen docs/Doxyfile

header: ## write include/amrelay.h anew from src/ffi
	AMRELAY_UPDATE_HEADER=1 $(CARGO) test --locked --quiet --test c header::

check-library: ## everything that must hold for the library alone
	scripts/check-library.sh

check-valgrind: ## run the C tests under valgrind
	AMRELAY_VALGRIND=1 $(CARGO) test --locked --quiet --test c abi::

amanda: ## get, patch, build and install a private Amanda (AMANDA_PREFIX, AMANDA_USER, AMANDA_TARBALL, AMRELAY)
	scripts/amanda.sh

backup: ## run a real backup through libamrelay, restore it, compare, show where time went
	scripts/backup.sh

test: ## the quick loop: format, lints and the tests of the library (two minutes)
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked --workspace

check: ## everything that must hold: format, lints, tests, real backups
	scripts/check.sh

storm: ## random faults over real dumps, for SECONDS=… (60); SEED=… repeats a storm, ROUND=… one of its rounds
	scripts/storm.sh "$(or $(SECONDS),60)" "$(SEED)" "$(ROUND)"

bench: ## measure everything beside upstream's Amanda, write docs/benchmarks.md (about an hour)
	scripts/bench.sh

bench-quick: ## the same with less of everything, printed only (5 minutes)
	AMRELAY_BENCH_QUICK=yes scripts/bench.sh

bench-peers: ## measure what people would pick instead, on the same data: rsync, Bacula, borg, restic
	scripts/bench-peers.sh

bench-compare: ## measure this tree and another revision in turn (REV=…); say what is beyond noise
	scripts/bench-compare.sh "$(REV)"

clean: ## remove all that was built
	rm -rf build target 2>/dev/null || sudo rm -rf build target
