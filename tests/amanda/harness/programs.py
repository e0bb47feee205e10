"""Archivers and filters that misbehave when they are told to, in the place of the true ones."""

import os
from pathlib import Path

from .installation import SCRATCH, Installation
from .stand_in import put_in_place

# A dump's own call of each program, and no other: not an estimate, a restore, or a question for the version.
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
    """The scripts that stand in for tar, bsdtar and gzip from now on. KINDS:

    exits: ends with status 0 half-way; fails: the same with status 2; killed: the same by a signal; lingers: closes its output
    half-way and stays a while; drains: takes all, reports all, and hands on half; grandchild: whole, but leaves a process on the
    pipe; late: whole, but ends with a status that is not 0. Besides, garbage: says that it has written so many bytes, and none of them is an
    archive's.
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
        """Have the program misbehave after so many bytes, in dumps of the directory or in all."""
        new = SCRATCH / "fault.new"
        new.write_text(f"{kind} {size} {directory}\n")
        os.replace(new, self._fault(name))

    def forgive(self) -> None:
        """Have all behave again."""
        for name in _DUMPS:
            self._fault(name).unlink(missing_ok=True)
