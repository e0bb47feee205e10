#!/bin/bash
# fuzz-smoke.sh [TARGET...]: runs fuzz targets (the library's if none is named) for a short time. scripts/fuzz.sh runs them for
# as long as you want.
set -euo pipefail
exec "$(dirname "$0")/fuzz.sh" 2 "${@:-library}"
