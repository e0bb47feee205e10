"""What `ssl` needs: an authority, and one certificate for both sides, which share a machine. The layout is amssl's."""

import subprocess
from pathlib import Path


def make(directory: Path) -> None:
    """Fill a new ssl-dir."""
    (directory / "CA").mkdir(parents=True)
    (directory / "me/private").mkdir(parents=True)
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for command in (
            [*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "CA/key.pem", "-out", "CA/crt.pem"],
            [*new, "-subj", "/CN=localhost", "-keyout", "me/private/key.pem", "-out", "me/csr.pem"],
            ["openssl", "x509", "-req", "-days", "2", "-CA", "CA/crt.pem", "-CAkey", "CA/key.pem", "-CAcreateserial",
             "-in", "me/csr.pem", "-out", "me/crt.pem"]):
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
