"""A real Amanda server: amdump into a holding disk and on to a changer of directories, and amfetchdump back."""

import gzip
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .archive import differences, extract
from .installation import SCRATCH, TOOLS, Installation
from .kerberos import Realm
from .packaged import Programs, private
from .processes import running, wait_until
from .secure_shell import SecureShell

SERVER = {"amdump", "driver", "planner", "dumper", "chunker", "taper", "amfetchdump"}
_INETD = TOOLS / "usr/sbin/inetd"
_SERVICES = "amdump amindexd amidxtaped restore"

# Planner and driver both tidy up the holding disk when they start, and may collide (an upstream fault): nothing is dumped then.
LOST_HOLDING_DISK = re.compile(r"Can't create '.*/pid': (File exists|No such file or directory)")
# Upstream's restore aborts if asked for a part before it has recorded that it is paused.
_LOST_PART = "start_part_impl: assertion failed"

_CONFIGURATION = """\
org "tests"
mailto ""
dumpuser "{user}"
inparallel {at_once}
dumporder "ssss"
dumpcycle 30
runspercycle 30
tapecycle 100
runtapes 1
netusage 10 Gbps
etimeout 120
dtimeout {data_timeout}
ctimeout 30
infofile "{state}/info"
logdir "{state}/log"
indexdir "{state}/index"
define changer vtapes {{
    tpchanger "chg-disk:{state}/tapes"
    property "num-slot" "60"
    property "auto-create-slot" "yes"
}}
tpchanger "vtapes"
labelstr "^daily-[0-9][0-9]*$"
autolabel "daily-%%%%" any
tapetype disk
define tapetype disk {{
    length 200 gbytes
}}
holdingdisk holding {{
    directory "{state}/holding"
    use -1 mbytes
}}
define application-tool amgtar {{
    plugin "amgtar"
}}
define application-tool ambsdtar {{
    plugin "ambsdtar"
    property "STATE-DIR" "{prefix}/var/bsdtar"
    property "COMMAND-OPTIONS" "--options=hdrcharset=BINARY"
}}
{common}
"""

_DUMPTYPE = """\
    auth "{auth}"
    index yes
    holdingdisk required
    estimate {estimate}
    maxdumps {at_once}
"""


@dataclass
class Run:
    """One run of amdump, and what its log says."""

    log: Path
    status: int
    results: dict[str, str] = field(default_factory=dict)
    taped: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    @property
    def stamp(self) -> str:
        """The time in the names of the run's dumps."""
        return self.log.name.split(".")[1]

    def done(self, disk: str) -> bool:
        """Whether the disk's dump counts as done (strange ones do) and is on the tape."""
        return self.results.get(disk) in ("SUCCESS", "STRANGE") and disk in self.taped


def stored_index(disk: str, run: Run, level: int = 0) -> list[bytes]:
    """The lines of a dump's index, sorted: the server sorts them only on request."""
    base = SCRATCH / "server/index/localhost" / disk / f"{run.stamp}_{level}"
    (file,) = [path for path in (Path(f"{base}-{order}.gz") for order in ("unsorted", "sorted")) if path.exists()][:1]
    return sorted(gzip.decompress(file.read_bytes()).splitlines())


class Server:
    """A server's configuration, its state, and its connection to amandad. One at a time."""

    def __init__(self, amanda: Installation, auth: str = "bsdtcp", settings: str = "", data_timeout: int = 60,
                 programs: Programs | None = None, client_settings: str = "", at_once: int = 4) -> None:
        """`settings` are extra lines of the configuration, `client_settings` of the client's; data_timeout is dumper's, in
        seconds; `at_once` is the number of parallel dumps. `programs` are the private Amanda's by default."""
        self.amanda, self.auth, self.at_once = amanda, auth, at_once
        self.programs = programs or private(amanda)
        self.state = SCRATCH / "server"
        self.configuration = self.programs.configuration
        self.logs = SCRATCH / "logs"
        self.disks: dict[str, Path] = {}
        self.daemons: list[Realm | SecureShell] = []
        self.inetd: subprocess.Popen | None = None
        shutil.rmtree(self.state, ignore_errors=True)
        for directory in self.configuration, self.logs, amanda.prefix / "var/bsdtar":
            directory.mkdir(parents=True, exist_ok=True)
        for name in "holding", "tapes", "index", "info", "log":
            (self.state / name).mkdir(parents=True)
        common = self._prepare_connection()
        (self.configuration / "amanda.conf").write_text(settings + _CONFIGURATION.format(
            user=self.programs.user, state=self.state, prefix=amanda.prefix, data_timeout=data_timeout, at_once=at_once,
            common=common))
        (self.configuration / "disklist").write_text("")
        amanda.configure_client('conf "daily"', 'amdump-server "localhost"', 'index-server "localhost"', 'tape-server "localhost"',
                                f'auth "{auth}"', common, self.connection, client_settings)
        amanda.allow("localhost root amdump", f"localhost {self.programs.user} amdump restore", "localhost root amindexd amidxtaped")
        amanda.give(self.logs)
        amanda.give(amanda.prefix / "var")
        amanda.give(amanda.client_config)
        self.programs.give(self.state)
        self.programs.give(self.configuration)
        self._start_inetd()

    def _prepare_connection(self) -> str:
        """Make what the authentication needs; returns its lines for both sides' configurations. `connection` are those of a
        dump type."""
        self.connection = ""
        if self.auth == "ssl":
            return self.amanda.make_certificates()
        if self.auth == "krb5":
            realm = Realm(self.amanda, self.logs)
            self.daemons.append(realm)
            return realm.settings()
        if self.auth == "ssh":
            shell = SecureShell(self.amanda, self.logs)
            self.daemons.append(shell)
            self.connection = shell.settings()
        return ""

    def inetd_line(self) -> str:
        """How inetd starts amandad; a measured server has it start something else.

        Only root can read the host's key; amandad becomes Amanda's user once it knows the caller.
        """
        service, user = ("k5amanda", "root") if self.auth == "krb5" else ("amanda", self.amanda.user)
        kind = "dgram udp wait" if self.auth in ("bsd", "bsdudp") else "stream tcp nowait"
        return f"{service} {kind} {user} {self.amanda.libexec}/amandad amandad -auth={self.auth} {_SERVICES}\n"

    def _start_inetd(self) -> None:
        """Start inetd for amandad if the driver needs it; `local` and `ssh` start amandad themselves."""
        if self.auth in ("local", "ssh"):
            return
        assert _INETD.exists(), f"{_INETD} is missing: scripts/tools.sh openbsd-inetd"
        path = SCRATCH / "inetd.conf"
        path.write_text(self.inetd_line())
        with open(self.logs / "inetd.log", "wb") as log:
            self.inetd = subprocess.Popen([_INETD, "-d", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def close(self) -> None:
        """End the server's listeners."""
        if self.inetd:
            self.inetd.terminate()
            self.inetd.wait()
            self.inetd = None
        while self.daemons:
            self.daemons.pop().close()

    def add_disk(self, name: str, directory: Path, program: str = "GNUTAR", compress: str = "none", settings: str = "",
                 estimate: str = "client") -> None:
        """Add a disk list entry with its own dump type; `settings` are extra lines of that, `estimate` is who
        estimates the size."""
        chosen = f'    program "{program}"\n'
        if program in ("amgtar", "ambsdtar"):
            chosen = f'    program "APPLICATION"\n    application "{program}"\n'
        with open(self.configuration / "disklist", "a", encoding="ascii") as disks:
            usual = _DUMPTYPE.format(auth=self.auth, estimate=estimate, at_once=self.at_once)
            disks.write(f"localhost {name} {directory} {{\n{usual}{chosen}"
                        f"    compress {compress}\n{self.connection}{settings}\n}}\n")
        self.disks[name] = directory

    def command(self, *words: str | Path, **options: object) -> subprocess.Popen:
        """Start a program as the server's user, without root's environment."""
        home = self.programs.home()
        environment = {"HOME": str(home), "LC_ALL": "C", "PATH": f"{self.programs.path}:/usr/bin:/bin"}
        user = self.programs.user
        return subprocess.Popen(words, cwd=home, env=environment, user=user, group=user, extra_groups=[],
                                **{"stdin": subprocess.DEVNULL, **options})

    def force(self, level: int = 0) -> None:
        """Make the next run dump every disk at this level."""
        option = "force" if level == 0 else "force-level-1"
        with open(self.logs / "amadmin.log", "ab") as log:
            status = self.command("amadmin", "daily", option, "localhost", stdout=log, stderr=log).wait()
        assert status == 0, f"amadmin {option} ended with {status}: see {log.name}"

    def begin_amdump(self, *words: str) -> subprocess.Popen:
        """Start amdump with these extra arguments. See finish_amdump."""
        with open(self.logs / "amdump.log", "wb") as log:
            return self.command("amdump", "daily", *words, stdout=log, stderr=log)

    def finish_amdump(self, process: subprocess.Popen, seconds: float = 240) -> Run:
        """Wait for a run's end and read its log."""
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"amdump still runs after {seconds} s; see {self.newest_log()}") from None
        log = self.newest_log()
        run = Run(log, status)
        for line in log.read_text(errors="replace").splitlines():
            found = re.match(r"(SUCCESS|STRANGE|FAIL|DONE) (\w+) (?:\S+ \S+ )?localhost (\S+) ", line)
            if not found:
                continue
            verdict, program, disk = found.groups()
            if program == "dumper":
                run.results[disk] = verdict
            if program == "taper" and verdict == "DONE":
                run.taped.add(disk)
            if verdict == "FAIL":
                run.failed.add(disk)
        return run

    def amdump(self, seconds: float = 240) -> Run:
        """Make a whole run, and again if the driver has lost its holding disk."""
        for _ in range(3):
            run = self.finish_amdump(self.begin_amdump(), seconds)
            if run.status == 0 or not self.lost_holding_disk():
                break
        return run

    def newest_log(self) -> Path:
        """The log of the newest run."""
        logs = sorted((self.state / "log").glob("log.2*"))
        assert logs, f"there is no log; amdump printed: {(self.logs / 'amdump.log').read_text(errors='replace')}"
        return logs[-1]

    def lost_holding_disk(self) -> bool:
        """Whether planner and driver collided in the newest run; the driver may then lack a holding disk (and the run fails)."""
        logs = sorted((self.state / "log").glob("log.2*"))
        return bool(logs) and bool(LOST_HOLDING_DISK.search(logs[-1].read_text(errors="replace")))

    def fetch_to(self, path: Path, disk: str, run: Run, level: int = 0) -> None:
        """Write the dump to a file, as the backup program wrote it, decoded if necessary.

        amfetchdump verifies the checksums of tape, header and log.
        """
        for _ in range(3):
            with path.open("wb") as file:
                process = self.command("amfetchdump", "-a", "-p", "daily", "localhost", disk, run.stamp, str(level),
                                       stdout=file, stderr=subprocess.PIPE)
                errors = process.communicate(timeout=600)[1].decode(errors="replace")
            if process.returncode == 0:
                return
            if _LOST_PART not in errors:
                break
        raise AssertionError(f"amfetchdump of {disk} ended with {process.returncode}: {errors[-2000:]}")

    def fetch(self, disk: str, run: Run, level: int = 0) -> bytes:
        """The same in memory."""
        path = SCRATCH / "fetched"
        self.fetch_to(path, disk, run, level)
        image = path.read_bytes()
        path.unlink()
        return image

    def begin_restore(self, disk: str, run: Run, target: Path) -> subprocess.Popen:
        """Start to restore a disk's dump to the client, into a new folder; only an application extracts where it is told to."""
        target.mkdir(parents=True)
        return self.command("amfetchdump", "-a", "--extract-client=localhost", "--target", target, "daily", "localhost", disk, run.stamp,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def begin_recover(self, disk: str, target: Path, *names: str) -> subprocess.Popen:
        """Start to extract these names of a disk's top folder with amrecover, over the network from the index and the tapes."""
        target.mkdir(parents=True)
        orders = "".join(f"{order}\n" for order in
                         ("sethost localhost", f"setdisk {disk}", *(f"add {name}" for name in names), "extract", "Y", "Y", "quit"))
        process = subprocess.Popen([self.programs.path / "amrecover", "daily"], cwd=target, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        # They fit into the pipe.
        process.stdin.write(orders.encode())
        process.stdin.flush()
        return process

    def recover(self, disk: str, target: Path, *names: str) -> subprocess.CompletedProcess:
        """The same to its end."""
        process = self.begin_recover(disk, target, *names)
        told = process.communicate(timeout=600)[0]
        return subprocess.CompletedProcess(process.args, process.returncode, told)

    def restore_differences(self, disk: str, run: Run, program: str = "tar") -> list[str]:
        """The names by which a restore of a disk's dump differs from its source."""
        restored = SCRATCH / "restored" / disk
        extract(self.fetch(disk, run), restored, program)
        return differences(self.disks[disk], restored)

    def idle(self, seconds: float = 30) -> bool:
        """Whether the server's processes end within the given seconds."""
        return wait_until(lambda: not running(SERVER), seconds)
