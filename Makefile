# Everything starts here; the work is in scripts/ and in cargo.

.PHONY: help amanda backup check storm bench bench-quick clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

amanda: ## get, patch, build and install a private Amanda (AMANDA_PREFIX, AMANDA_USER, AMANDA_TARBALL, AMRELAY)
	scripts/amanda.sh

backup: ## run a real backup through libamrelay, restore it, compare, show where time went
	scripts/backup.sh

check: ## everything that must hold: format, lints, tests, real backups
	scripts/check.sh

storm: ## random faults over real dumps, for SECONDS=… (60); SEED=… repeats a storm, ROUND=… one of its rounds
	scripts/storm.sh "$(or $(SECONDS),60)" "$(SEED)" "$(ROUND)"

bench: ## measure everything beside upstream's Amanda, write BENCHMARKS.md and its charts (about 40 minutes)
	scripts/bench.sh

bench-quick: ## the same with less of everything, printed only (5 minutes)
	AMRELAY_BENCH_QUICK=yes scripts/bench.sh

clean: ## remove all that was built
	rm -rf build target 2>/dev/null || sudo rm -rf build target

include mk/library.mk
