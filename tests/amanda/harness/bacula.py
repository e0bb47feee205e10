"""A Bacula on the loopback interface, of Debian's packages below build/tools: for the measurement of other people's choices."""

import contextlib
import os
import sqlite3
import subprocess
from pathlib import Path

from .processes import processor_seconds, wait_until

_CONFIGURATION = {
    "bacula-dir": """\
Director {{ Name = dir; DIRport = 9101; DirAddress = 127.0.0.1; Password = "p"; Messages = all
  QueryFile = "/dev/null"; WorkingDirectory = "{folder}"; PidDirectory = "{folder}" }}
Catalog {{ Name = catalog; dbname = "bacula"; dbuser = ""; dbpassword = "" }}
Messages {{ Name = all; append = "{folder}/messages" = all }}
Storage {{ Name = storage; Address = 127.0.0.1; SDPort = 9103; Password = "p"; Device = files; Media Type = File }}
Pool {{ Name = pool; Pool Type = Backup; Label Format = "volume" }}
Client {{ Name = client; Address = 127.0.0.1; FDPort = 9102; Catalog = catalog; Password = "p" }}
FileSet {{ Name = tree; Include {{ Options {{ sparse = yes }}
  File = "{tree}" }} }}
Job {{ Name = backup; Type = Backup; Level = Full; Client = client; FileSet = tree; Storage = storage; Pool = pool; Messages = all }}
""",
    "bacula-sd": """\
Storage {{ Name = storage; SDPort = 9103; SDAddress = 127.0.0.1; WorkingDirectory = "{folder}"; Pid Directory = "{folder}" }}
Director {{ Name = dir; Password = "p" }}
Device {{ Name = files; Media Type = File; Archive Device = "{folder}/volumes"; LabelMedia = yes; Random Access = Yes
  AutomaticMount = yes; RemovableMedia = no; AlwaysOpen = no }}
Messages {{ Name = all; director = dir = all }}
""",
    "bacula-fd": """\
Director {{ Name = dir; Password = "p" }}
FileDaemon {{ Name = client; FDport = 9102; FDAddress = 127.0.0.1; WorkingDirectory = "{folder}"; Pid Directory = "{folder}"
  Plugin Directory = "{folder}" }}
Messages {{ Name = all; director = dir = all }}
""",
    "bconsole": 'Director {{ Name = dir; DIRport = 9101; Address = 127.0.0.1; Password = "p" }}\n',
}


class Bacula:
    """Its three daemons, for backups of one tree into a folder."""

    def __init__(self, tools: Path, folder: Path, tree: Path) -> None:
        self.tools, self.folder = tools, folder
        (folder / "volumes").mkdir(parents=True)
        for name, text in _CONFIGURATION.items():
            (folder / f"{name}.conf").write_text(text.format(folder=folder, tree=tree))
        tables = (tools / "usr/share/dbconfig-common/data/bacula-director-sqlite3/install/sqlite3").read_text()
        with contextlib.closing(sqlite3.connect(folder / "bacula.db")) as catalog:
            catalog.executescript(tables)
        self.daemons = {name: self._start("sbin", name, "-f", "-c", folder / f"{name}.conf", stdin=subprocess.DEVNULL)
                        for name in ("bacula-sd", "bacula-fd", "bacula-dir")}
        assert wait_until(lambda: "1000 OK" in self._ask("version\n"), 20), "bacula-dir does not answer"

    def _start(self, place: str, name: str, *words: str | Path, **options: object) -> subprocess.Popen:
        environment = os.environ | {"LD_LIBRARY_PATH": str(self.tools / "usr/lib/bacula")}
        return subprocess.Popen([self.tools / "usr" / place / name, *words], env=environment, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, **options)

    def _ask(self, words: str) -> str:
        console = self._start("sbin", "bconsole", "-c", self.folder / "bconsole.conf", stdin=subprocess.PIPE)
        return console.communicate(words, timeout=300)[0]

    def client_seconds(self) -> float:
        """The processor time of the client's daemon so far."""
        return processor_seconds(self.daemons["bacula-fd"].pid)

    def back_up(self) -> None:
        """Make one full backup."""
        told = self._ask("run job=backup yes\nwait\nmessages\nquit\n") + (self.folder / "messages").read_text(errors="replace")
        assert "Backup OK" in told, told[-3000:]

    def close(self) -> None:
        """End the daemons."""
        for daemon in self.daemons.values():
            daemon.terminate()
            daemon.communicate(timeout=20)
