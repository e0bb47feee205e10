"""Archivers and filters that misbehave on demand, in place of the real ones."""

import os
from pathlib import Path

from .installation import SCRATCH, Installation
from .stand_in import put_in_place

# The call of each program that makes a dump: not an estimate, a restore, or a version query.
_DUMPS = {"tar": "--create --file - ", "bsdtar": "--create --file - ", "gzip": "--fast "}

_SCRIPT = """\
#!/bin/sh
real={real} fault={fault}
[ -e $fault ] || exec $real "$@"
read kind bytes directory <$fault
case "$* " in *"{dumps}"*) ;; *) exec $real "$@" ;; esac
case "$* " in *"$directory "*) ;; *) exec $real "$@" ;; esac
half() {{ $real "$@" | head -c $bytes; }}
case $kind in
    exits) half "$@" ;;
    fails) half "$@"; exit 2 ;;
    killed) half "$@"; kill -KILL $$ ;;
    lingers) half "$@"; exec >&-; sleep 2 ;;
    drains) $real "$@" | {{ head -c $bytes; cat >/dev/null; }} ;;
    grandchild) $real "$@"; status=$?; sleep 2 & exit $status ;;
    late) $real "$@"; exit 3 ;;
    garbage) head -c $bytes /dev/urandom; echo "Total bytes written: $bytes (1MiB, 1MiB/s)" >&2 ;;
esac
exit 0
"""
KINDS = ("exits", "fails", "killed", "lingers", "drains", "grandchild", "late")


class Programs:
    """Scripts in place of tar, bsdtar and gzip. KINDS:

    exits: ends with status 0 half-way; fails: the same with status 2; killed: the same by a signal; lingers: closes its output
    half-way and stays a while; drains: reads all, reports all, and passes on half; grandchild: whole, but leaves a process on the
    pipe; late: whole, but ends with a status other than 0. Also garbage: reports that many bytes written, but none of them is
    an archive's.
    """

    def __init__(self) -> None:
        for name, dumps in _DUMPS.items():
            path = Path(Installation.real(name))
            real, script = SCRATCH / "real" / name, SCRATCH / "stand-in" / name
            for file in real, script:
                file.parent.mkdir(exist_ok=True)
            script.write_text(_SCRIPT.format(real=real, fault=self._fault(name), dumps=dumps))
            script.chmod(0o755)
            put_in_place(path, script, real)

    @staticmethod
    def _fault(name: str) -> Path:
        return SCRATCH / f"fault-{name}"

    def tell(self, name: str, kind: str, size: int, directory: str = "") -> None:
        """Make the program misbehave after the given bytes, in dumps of the directory or in all."""
        new = SCRATCH / "fault.new"
        new.write_text(f"{kind} {size} {directory}\n")
        os.replace(new, self._fault(name))

    def forgive(self) -> None:
        """Make all behave again."""
        for name in _DUMPS:
            self._fault(name).unlink(missing_ok=True)
