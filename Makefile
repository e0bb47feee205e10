# Everything starts here; the work is in scripts/ and in cargo.

.PHONY: help amanda backup check clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

amanda: ## get, patch, build and install a private Amanda (AMANDA_PREFIX, AMANDA_USER, AMANDA_TARBALL, AMRELAY)
	scripts/amanda.sh

backup: ## run a real backup through libamrelay, restore it, compare, show where time went
	scripts/backup.sh

check: ## everything that must hold: format, lints, tests, real backups
	scripts/check.sh

clean: ## remove all that was built
	rm -rf build target 2>/dev/null || sudo rm -rf build target

include mk/library.mk
