"""Whole backups of every kind with a real server: enough files and bytes to fill every pipe several times, too few to measure.

Each class is a backup; what must hold for it is in harness/whole_backup.py.
"""

import os

import pytest

from harness.backup import Kind
from harness.whole_backup import SealedBackup, WholeBackup


class TestBsdtcp(WholeBackup):
    kind = Kind()


class TestBsd(WholeBackup):
    kind = Kind(auth="bsd")


class TestBsdudp(WholeBackup):
    kind = Kind(auth="bsdudp")


class TestLocal(WholeBackup):
    kind = Kind(auth="local")


class TestSsh(WholeBackup):
    kind = Kind(auth="ssh")


class TestSsl(WholeBackup):
    kind = Kind(auth="ssl")


class TestKerberos(WholeBackup):
    kind = Kind(auth="krb5")


class TestSealedByKerberos(SealedBackup):
    kind = Kind(auth="krb5", encrypt="kerberos")


class TestCompressed(WholeBackup):
    kind = Kind(compress="client")


class TestEncrypted(WholeBackup):
    kind = Kind(encrypt="client")


class TestAmgtar(WholeBackup):
    kind = Kind(program="amgtar")


class TestAmbsdtar(WholeBackup):
    kind = Kind(program="ambsdtar")


class TestDebianServer(WholeBackup):
    kind = Kind(server="debian")


@pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="no loop devices here, which dump(8) needs")
class TestDump(WholeBackup):
    kind = Kind(program="DUMP")
