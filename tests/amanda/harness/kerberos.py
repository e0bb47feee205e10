"""A Kerberos realm of the sandbox: its KDC, the client's key and the server's."""

import subprocess
from pathlib import Path

from .installation import TOOLS, Installation
from .keytab import REALM
from .processes import wait_until

# The server's identity, in its keytab.
PRINCIPAL = "amanda/localhost"

# Everything is in one file, for the KDC as well.
_CONFIGURATION = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    default_rcache_name = file2:{directory}/replay
[realms]
    {realm} = {{
        kdc = 127.0.0.1
        database_name = {directory}/principal
        key_stash_file = {directory}/stash
        database_module = db2
        kdc_listen = 127.0.0.1:88
        kdc_tcp_listen = 127.0.0.1:88
    }}
[dbmodules]
    db_module_dir = {modules}
    db2 = {{
        db_library = db2
    }}
"""


class Realm:
    """The realm, and its KDC until it is closed."""

    def __init__(self, amanda: Installation, logs: Path) -> None:
        self.directory = amanda.prefix / "etc/amanda/kerberos"
        self.directory.mkdir()
        modules = next((TOOLS / "usr/lib").glob("**/krb5/plugins/kdb"))
        Path("/etc/krb5.conf").write_text(_CONFIGURATION.format(realm=REALM, directory=self.directory, modules=modules))
        self.keytab = self.directory / "keytab"
        self._make_keys(logs / "kerberos.log")
        amanda.give(self.keytab)
        # Whom amandad lets in.
        permission = amanda.home / ".k5amandahosts"
        permission.write_text(f"localhost {PRINCIPAL}@{REALM}\n")
        permission.chmod(0o600)
        amanda.give(permission)
        self._start_kdc(logs / "kdc.log")

    def _make_keys(self, log: Path) -> None:
        """amandad is a host service, whose key belongs to root."""
        programs = TOOLS / "usr/sbin"
        # The keys of a realm before would be taken for this one's.
        Path("/etc/krb5.keytab").unlink(missing_ok=True)
        with log.open("wb") as output:
            for words in (["kdb5_util", "create", "-s", "-P", "loopback"],
                          ["kadmin.local", "addprinc", "-randkey", "host/localhost"],
                          ["kadmin.local", "ktadd", "-k", "/etc/krb5.keytab", "host/localhost"],
                          ["kadmin.local", "addprinc", "-randkey", PRINCIPAL],
                          ["kadmin.local", "ktadd", "-k", str(self.keytab), PRINCIPAL]):
                status = subprocess.run([programs / words[0], *words[1:]], stdout=output, stderr=output).returncode
                assert status == 0, f"{' '.join(words)} ended with {status}: {log.read_text(errors='replace')}"

    def _start_kdc(self, log: Path) -> None:
        with log.open("wb") as output:
            self.kdc = subprocess.Popen([TOOLS / "usr/sbin/krb5kdc", "-n"], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        # It says so once it listens.
        started = wait_until(lambda: self.kdc.poll() is not None or "starting..." in log.read_text(errors="replace"))
        assert started and self.kdc.poll() is None, f"krb5kdc does not listen: {log.read_text(errors='replace')}"

    def settings(self) -> str:
        """Lines of both sides' configurations."""
        return f'krb5keytab "{self.keytab}"\nkrb5principal "{PRINCIPAL}"\n'

    def close(self) -> None:
        """End the KDC."""
        self.kdc.terminate()
        self.kdc.wait()
