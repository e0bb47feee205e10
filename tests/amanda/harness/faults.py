"""The faults of a storm; each says which dumps it may harm."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Callable

from . import hostile
from .installation import Installation
from .peer import Peer
from .processes import descendants, descriptors, name_of
from .session import DATAGRAM, FRAMED, Reading, Session
from .stand_in import StandIn

NOBODY, TARGET, ALL = "nobody", "its target", "all dumps of its amandad"
# Ignored by every process that does not handle them.
_HARMLESS_SIGNALS = (signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH, signal.SIGURG)
# What stand-ins for archivers and filters do, see StandIn.
_MISBEHAVIOURS = ("exits", "lingers", "fails", "killed", "late", "grandchild")


@dataclass
class Scene:
    """The dumps of a round, and what faults need."""

    amanda: Installation
    stand_ins: dict[str, StandIn]
    chance: random.Random
    session: Session
    directory: str
    attackers: list[Peer]
    undo: contextlib.ExitStack

    @property
    def target(self) -> Reading:
        """The dump that a fault of one dump is for."""
        return next(reading for reading in self.session.readings if reading.directory == self.directory)

    def pick(self, *names: str) -> int | None:
        """A process of the target, of one of these names if any is given; None if there is none."""
        found = [pid for pid in descendants(self.target.sendbackup) if not names or name_of(pid) in names]
        return self.chance.choice(found) if found else None


@dataclass(frozen=True)
class Fault:
    """`act` returns False if it found nothing to harm. An `early` fault happens before the dumps begin.

    A fault that `loses_index` takes the target's index from its server, which knows that; nobody else has to.
    """

    name: str
    harms: str
    act: Callable[[Scene], object]
    early: bool = False
    auths: tuple[str, ...] = FRAMED + DATAGRAM
    needs: str = ""
    loses_index: bool = False


def send_signal(pid: int | None, number: int) -> bool:
    """Whether there was a process to signal."""
    if not pid:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _signalled(number: int, *names: str) -> Callable[[Scene], bool]:
    return lambda scene: send_signal(scene.pick(*names), number)


def _amandad_signalled(number: int) -> Callable[[Scene], bool]:
    return lambda scene: send_signal(scene.session.process.pid, number)


def stop_for(pid: int | None, seconds: float) -> bool:
    """Stop a process for a while."""
    if not send_signal(pid, signal.SIGSTOP):
        return False
    time.sleep(seconds)
    return send_signal(pid, signal.SIGCONT)


def _stops(scene: Scene) -> bool:
    everybody = descendants(scene.session.process.pid)
    return stop_for(scene.chance.choice(everybody), scene.chance.uniform(0.05, 1))


def storm_of_signals(pids: Callable[[], list[int]], chance: random.Random) -> None:
    """Send several hundred harmless signals to the processes."""
    for _ in range(300):
        for pid in pids():
            send_signal(pid, chance.choice(_HARMLESS_SIGNALS))
        time.sleep(0.001)


def _storm(scene: Scene) -> None:
    storm_of_signals(lambda: descendants(scene.session.process.pid), scene.chance)


def hole(seconds: float) -> None:
    """Drop all packets for a while."""
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    try:
        time.sleep(seconds)
    finally:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def use_up_descriptors(amanda: Installation, pid: int) -> bool:
    """Limit a process of Amanda's user to its open descriptors. Returns whether there was one."""
    try:
        used = descriptors(pid)
    except FileNotFoundError:
        return False
    lowest_free = next(number for number in range(len(used) + 1) if number not in used)
    # As the user: root may lack the right to limit others.
    command = ["prlimit", f"--pid={pid}", f"--nofile={lowest_free}:{lowest_free}"]
    return subprocess.run(command, preexec_fn=amanda.demote, stderr=subprocess.DEVNULL).returncode == 0


# Opens pipes of a megabyte until the kernel refuses, prints how many, and holds them.
_HOG = """
import fcntl, os
held = []
try:
    while len(held) < 400:
        held.append(os.pipe())
        fcntl.fcntl(held[-1][0], 1031, 1 << 20)
except OSError:
    pass
print(len(held), flush=True)
os.read(0, 1)
"""


@contextlib.contextmanager
def pipe_memory_used_up(amanda: Installation):
    """Uses up the pipe memory of Amanda's user: new pipes hold a page or two. Yields how many pipes that took."""
    hog = subprocess.Popen([sys.executable, "-c", _HOG], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=amanda.demote)
    try:
        yield int(hog.stdout.readline())
    finally:
        hog.communicate()


def _no_pipe_memory(scene: Scene) -> None:
    scene.undo.enter_context(pipe_memory_used_up(scene.amanda))


def _attacked(scene: Scene) -> None:
    if scene.session.auth in DATAGRAM:
        hostile.datagrams(scene.session.peer.address, scene.chance)
    else:
        kind = scene.chance.choice(hostile.HOSTILE)
        scene.attackers.append(hostile.attack(scene.amanda, kind, scene.chance, scene.directory))


def _half_closed(scene: Scene) -> bool:
    for channel in scene.session.channels:
        with contextlib.suppress(OSError):
            channel.socket.shutdown(socket.SHUT_WR)
    return bool(scene.session.channels)


def _index_unread(scene: Scene) -> bool:
    """Reset only the connection of the target's index (bsd)."""
    for channel in scene.session.channels:
        if channel.raw == (scene.target, "INDEX"):
            channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            channel.socket.close()
            scene.session.channels.remove(channel)
            scene.target.dump.take("INDEX", b"", keep=True)
            return True
    return False


def _misbehaves(program: str, kind: str) -> Callable[[Scene], None]:
    def act(scene: Scene) -> None:
        stand_in = scene.stand_ins[program]
        stand_in.goes_wrong(kind, scene.chance.randint(1, 8 << 20), "" if program == "gzip" else scene.directory)
        scene.undo.callback(stand_in.behave)
    return act


FAULTS = [
    Fault("none", NOBODY, lambda scene: None),
    Fault("amandad is killed", ALL, _amandad_signalled(signal.SIGKILL)),
    Fault("amandad is terminated", ALL, _amandad_signalled(signal.SIGTERM)),
    Fault("sendbackup is killed", TARGET, _signalled(signal.SIGKILL, "sendbackup")),
    Fault("sendbackup is terminated", TARGET, _signalled(signal.SIGTERM, "sendbackup")),
    Fault("the archiver is killed", TARGET, _signalled(signal.SIGKILL, "tar", "bsdtar")),
    Fault("the archiver is terminated", TARGET, _signalled(signal.SIGTERM, "tar", "bsdtar")),
    Fault("the application is killed", TARGET, _signalled(signal.SIGKILL, "amgtar", "ambsdtar")),
    Fault("the filter is killed", TARGET, _signalled(signal.SIGKILL, "gzip"), needs="gzip"),
    Fault("a process stops for a while", NOBODY, _stops),
    Fault("a storm of signals", NOBODY, _storm),
    Fault("the server pauses", NOBODY, lambda scene: time.sleep(scene.chance.uniform(0.1, 2))),
    Fault("a hole in the network", NOBODY, lambda scene: hole(scene.chance.uniform(0.1, 2))),
    Fault("the connection is reset", ALL, lambda scene: scene.session.drop(reset=True)),
    Fault("the connection is dropped", ALL, lambda scene: scene.session.drop()),
    Fault("the connection is closed one way", ALL, _half_closed),
    Fault("the index is not read", TARGET, _index_unread, auths=("bsd",), loses_index=True),
    Fault("amandad may open nothing more", ALL, lambda scene: use_up_descriptors(scene.amanda, scene.session.process.pid)),
    Fault("sendbackup may open nothing more", TARGET, lambda scene: use_up_descriptors(scene.amanda, scene.target.sendbackup)),
    Fault("no pipe memory is left", NOBODY, _no_pipe_memory),
    Fault("no pipe memory is there", NOBODY, _no_pipe_memory, early=True),
    Fault("a hostile peer", NOBODY, _attacked),
]
FAULTS += [Fault(f"the archiver: {kind}", TARGET, _misbehaves(program, kind), early=True, needs=program)
           for program in ("tar", "bsdtar") for kind in (*_MISBEHAVIOURS, "silent", "without end mark", "pauses")]
# A filter that takes all its input and ends well cannot be told from one that has done its work.
FAULTS += [Fault(f"the filter: {kind}", ALL, _misbehaves("gzip", kind), early=True, needs="gzip") for kind in _MISBEHAVIOURS]
