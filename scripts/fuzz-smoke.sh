#!/bin/bash
# A short run of each fuzz target, for every check; scripts/fuzz.sh runs them as long as is wanted.
set -euo pipefail
exec "$(dirname "$0")/fuzz.sh" "${1:-15}"
