#!/bin/bash
# fuzz-smoke.sh [TARGET...]: a short run of fuzz targets (the library's if none is named), for every check; scripts/fuzz.sh runs
# them as long as is wanted.
set -euo pipefail
exec "$(dirname "$0")/fuzz.sh" 2 "${@:-library}"
