"""What must hold for a whole backup, of whatever kind."""

from pathlib import Path
from typing import Iterator

import pytest

from .archive import differing
from .backup import DISKS, LEVELS, Backup, Kind, Maker
from .evidence import Evidence, client_debug_files, error_lines, expected_index
from .installation import Installation
from .processes import others, wait_until
from .watch import Seen

# More than a process reads before it runs a program: the kernel reads the program's headers on its behalf.
_DATA = 64 << 10
each_level = pytest.mark.parametrize("level", LEVELS)
each_disk = pytest.mark.parametrize("disk", DISKS)


def is_tee(process: Seen) -> bool:
    """Whether it is a sendbackup below a sendbackup that reads the data."""
    return process.parent_name == "sendbackup" and process.names == ["sendbackup"] and process.read >= _DATA


def is_superfluous(process: Seen, program: str) -> bool:
    """Whether libamrelay makes such a process of the client superfluous.

    These are the tee and, for the index of GNU tar, the shell, the second tar and sed; of bsdtar, the second bsdtar. Other
    programs keep their index command.
    """
    if is_tee(process):
        return True
    if program == "GNUTAR":
        return "tar -tf -" in process.arguments or process.arguments.startswith("sed -e s")
    return program == "ambsdtar" and "bsdtar tf -" in process.arguments


def shown(processes: list[Seen]) -> str:
    """One line each."""
    return "the processes were:\n" + "\n".join(map(str, processes))


def only_if(condition: bool, reason: str) -> None:
    """Skip a test where it does not apply."""
    if not condition:
        pytest.skip(reason)


def assert_same(wanted: dict[str, tuple], got: dict[str, tuple]) -> None:
    """Assert that two described trees are the same; shows how the first names differ."""
    assert wanted, "there is nothing to compare with"
    names = differing(wanted, got)
    assert not names, "\n".join(f"{name!r}: {wanted.get(name)} has become {got.get(name)}" for name in names[:10])


class WholeBackup:
    """The tests of one kind of backup, which is made once for all of them."""

    kind = Kind()
    # Where the logs are.
    logs: Path

    @pytest.fixture(scope="class")
    def backup(self, request: pytest.FixtureRequest, installed: Installation) -> Iterator[Backup]:
        """The backup."""
        installed.reset()
        request.cls.logs = installed.kept / request.cls.__name__
        maker = Maker(installed, request.cls.kind, lambda words: print(f"==> {words}", flush=True))
        told = ""
        try:
            yield maker.make()
        except AssertionError as error:
            told = str(error)
        finally:
            maker.close()
            installed.keep_logs(request.cls.__name__)
        if told:
            # There is nothing to test.
            request.session.shouldfail = f"there is no backup of {request.cls.__name__}"
            pytest.fail(told, pytrace=False)

    @pytest.fixture
    def dump(self, backup: Backup, disk: str, level: int) -> Evidence:
        """One dump of it."""
        return backup.dump(disk, level)

    @each_disk
    @each_level
    def test_the_index_is_the_archivers_listing(self, dump):
        wanted = expected_index(dump.image, self.kind.program)
        assert wanted, "there is nothing to compare the index with"
        assert dump.index() == wanted

    @each_disk
    @each_level
    def test_the_native_checksum_is_of_the_image(self, dump):
        checksums = dump.checksums()
        assert checksums.size(checksums.native) == dump.image.stat().st_size

    @each_disk
    @each_level
    def test_the_clients_filters_change_what_is_sent(self, dump):
        checksums = dump.checksums()
        assert (checksums.native != checksums.client) == self.kind.filtered

    @each_disk
    @each_level
    def test_both_sides_have_the_same_checksums(self, dump):
        assert dump.missing_log_lines() == [], "they match none of:\n" + "\n".join(dump.log_lines())

    @each_disk
    @each_level
    def test_debug_files_say_what_was_waited_for(self, backup, dump):
        """For exactly the bytes that were dumped. Over `local` amandad does not see them: they go through shared memory."""
        only_if(backup.amanda.patched, "only libamrelay does this")
        checksums = dump.checksums()
        relayed = 0 if self.kind.auth == "local" else checksums.size(checksums.client)
        assert dump.teed() == [dump.image.stat().st_size]
        assert dump.relayed()[-1:] == [relayed]

    @each_level
    def test_the_watch_on_processes_saw_both_dumps(self, backup, level):
        begun = [process for process in backup.processes[level] if process.parent_name == "amandad"
                 and ("sendbackup" in process.names or "sendbackup" in process.arguments)]
        assert len(begun) >= 2, shown(backup.processes[level])

    @each_level
    def test_no_process_is_superfluous(self, backup, level):
        """Without the library there are some, which proves that the watch works: the tee, and the application's index command."""
        found = [process for process in backup.processes[level] if is_superfluous(process, self.kind.program)]
        if backup.amanda.patched:
            assert not found, shown(found)
        elif self.kind.program == "ambsdtar":
            assert found, shown(backup.processes[level])
        elif self.kind.program != "amgtar":
            assert any(map(is_tee, found)), shown(backup.processes[level])

    @each_level
    def test_amandad_has_one_thread(self, backup, level):
        only_if(backup.amanda.patched, "only libamrelay does this")
        threads = {process.threads for process in backup.processes[level] if process.names[-1] == "amandad"}
        assert threads == {1}, shown(backup.processes[level])

    @each_disk
    def test_both_levels_restore_to_the_source(self, backup, disk):
        assert_same(backup.sources[disk, 1], backup.restored[disk])

    def test_amrecover_restores_to_the_source(self, backup):
        only_if(self.kind.server == "private", "amandad asks the private Amanda's server for the index")
        assert_same(backup.sources["big", 0], backup.recovered)

    def test_debug_files_tell_of_no_error(self, backup):
        files = client_debug_files(backup.amanda)
        assert len(files) >= 8, files
        assert error_lines(files) == []

    def test_nothing_is_left(self, backup):
        """Once inetd has ended, Amanda has no process and no shared memory."""
        wait_until(lambda: not others())
        assert others() == {}
        assert list(Path("/dev/shm").iterdir()) == []


class SealedBackup(WholeBackup):
    """The same for a backup that amandad seals."""

    @each_disk
    @each_level
    def test_kerberos_seals_all_of_a_dump(self, dump):
        assert dump.sealed() > dump.image.stat().st_size
