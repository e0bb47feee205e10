"""A Kerberos keytab for a service whose realm has no KDC: enough to wait for a peer's first token, but not to understand it.

Source: MIT Kerberos, "The Kerberos V5 keytab file format", version 2.
"""

import os
import struct
from pathlib import Path

REALM = "LOOPBACK"
AES256, NT_PRINCIPAL = 18, 1


def counted(text: bytes) -> bytes:
    """A string with its length in front."""
    return struct.pack(">H", len(text)) + text


def make(keytab: Path, *components: str) -> None:
    """Write a keytab with a random key for one principal, and a krb5.conf that names its realm."""
    entry = struct.pack(">H", len(components)) + counted(REALM.encode())
    entry += b"".join(counted(component.encode()) for component in components)
    entry += struct.pack(">IIBH", NT_PRINCIPAL, 0, 1, AES256) + counted(os.urandom(32))
    keytab.write_bytes(b"\x05\x02" + struct.pack(">i", len(entry)) + entry)
    keytab.chmod(0o600)
    Path("/etc/krb5.conf").write_text(
        f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\ndns_canonicalize_hostname = false\n")
