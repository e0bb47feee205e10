# shellcheck shell=bash
# The data that is backed up.

# write_random FILE MEGABYTES: bytes that no compression or zero detection can shorten.
write_random() { head -c "$2M" /dev/urandom >"$1"; }
