"""Several dumps at once from one amandad, over any driver: a server that reads on demand."""

import re
import select
import socket
import ssl
import time
from dataclasses import dataclass, field

from .installation import Installation
from .peer import ACK, NAK, REP, REQ, DatagramPeer, Dump, NAMES, Peer, streams_of
from .processes import children, name_of

FRAMED = ("bsdtcp", "local", "ssl")
DATAGRAM = ("bsd", "bsdudp")


@dataclass
class Reading:
    """A dump being read, and the sendbackup that amandad started for it."""

    directory: str
    sendbackup: int
    names: set[str]
    dump: Dump = field(default_factory=Dump)
    broken: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        return self.broken or self.names <= self.dump.ended

    @property
    def done(self) -> bool:
        """Whether dumper would call this dump done."""
        return not self.dump.failed


class Channel:
    """A connection of one stream (`raw`), or of many, whose tokens have handles."""

    def __init__(self, connected: socket.socket, raw: tuple[Reading, str] | None = None) -> None:
        self.socket, self.raw = connected, raw
        self.socket.setblocking(False)
        self.buffer = bytearray()
        self.streams: dict[int, tuple[Reading, str]] = {}
        self.packets: list[tuple[int, bytes]] = []

    def read(self) -> int | None:
        """Read what has come, but leave other channels their turn; None at the end."""
        try:
            received = self.socket.recv(1 << 18)
        except (BlockingIOError, ssl.SSLWantReadError):
            return 0
        except OSError:
            self._end(broken=True)
            return None
        if not received:
            self._end(broken=self.raw is None)
            return None
        if self.raw:
            self.raw[0].dump.take(self.raw[1], received, keep=True)
        else:
            self.buffer += received
            self._take_tokens()
        return len(received)

    def _end(self, broken: bool) -> None:
        readings = [self.raw[0]] if self.raw else [reading for reading, _ in self.streams.values()]
        for reading in readings:
            reading.broken = reading.broken or (broken and not reading.over)
        if self.raw:
            self.raw[0].dump.take(self.raw[1], b"", keep=True)

    def _take_tokens(self) -> None:
        while len(self.buffer) >= 8:
            end = 8 + int.from_bytes(self.buffer[:4], "big")
            if len(self.buffer) < end:
                return
            handle, payload = int.from_bytes(self.buffer[4:8], "big"), bytes(self.buffer[8:end])
            del self.buffer[:end]
            if handle not in self.streams:
                self.packets.append((handle, payload))
                continue
            reading, name = self.streams[handle]
            reading.dump.take(name, payload, keep=True)
            if not payload:
                self.send(handle, b"")

    def send(self, handle: int, payload: bytes) -> None:
        """Send a token; reading detects that the peer has gone."""
        self.socket.settimeout(5)
        try:
            self.socket.sendall(len(payload).to_bytes(4, "big") + handle.to_bytes(4, "big") + payload)
        except OSError:
            pass
        finally:
            self.socket.setblocking(False)


class Session:
    """One amandad and the dumps requested from it."""

    def __init__(self, amanda: Installation, auth: str, **options: object) -> None:
        self.auth = auth
        self.peer = Peer(amanda, auth, **options) if auth in FRAMED else DatagramPeer(amanda, auth, **options)
        self.process = self.peer.process
        self.channels: list[Channel] = [Channel(self.peer.socket)] if auth in FRAMED else []
        self.readings: list[Reading] = []
        self.asked = 0

    def begin(self, directory: str, body: str, seconds: float = 30) -> Reading:
        """Ask for a dump, and begin to read it; reads from the others meanwhile. (amandad takes the same body for a repetition.)"""
        self.asked += 1
        before = set(children(self.process.pid))
        # A server that starts amandad itself does not say who it is.
        self._send_packet(REQ, body.partition("\n")[2] if self.auth == "local" else body)
        streams = streams_of(self._reply(seconds))
        mine = {pid for pid in children(self.process.pid) if pid not in before and name_of(pid) == "sendbackup"}
        reading = Reading(directory, min(mine, default=0), set(streams.values()))
        self.readings.append(reading)
        self._send_packet(ACK)
        connected = self.peer.connect(streams) if self.auth in DATAGRAM else {}
        if self.auth == "bsd":
            self.channels += [Channel(one, (reading, streams[port])) for port, one in connected.items()]
            return reading
        self.channels += [Channel(one) for one in connected.values()]
        self.channels[-1].streams.update({handle: (reading, name) for handle, name in streams.items()})
        return reading

    def _send_packet(self, kind: int, body: str = "") -> None:
        if self.auth in FRAMED:
            self.channels[0].send(self.asked, bytes([kind]) + body.encode() + b"\0")
        else:
            self.peer.send_packet(kind, body, handle=f"000-{self.asked:08}")

    def _reply(self, seconds: float) -> str:
        """The reply to the newest request."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.step(0.05)
            for kind, body in self._packets():
                if kind == NAMES[REP]:
                    return body
                assert kind != NAMES[NAK], body
            assert self.auth not in FRAMED or self.channels, "the connection ended before the reply"
        raise TimeoutError("no reply")

    def _packets(self) -> list[tuple[str, str]]:
        """The packets that came for the newest request."""
        if self.auth in FRAMED:
            came = [(NAMES[packet[0]], packet[1:].rstrip(b"\0").decode()) for channel in self.channels
                    for handle, packet in channel.packets if handle == self.asked and packet]
            for channel in self.channels:
                channel.packets.clear()
            return came
        came = []
        while select.select([self.peer.socket], [], [], 0)[0]:
            head, _, body = self.peer.socket.recv(65536).decode(errors="replace").partition("\n")
            found = re.match(r"Amanda \S+ (\w+) HANDLE (\S+) ", head)
            if found and found[2] == f"000-{self.asked:08}":
                came.append((found[1], body.rstrip("\0")))
        return came

    def step(self, seconds: float) -> int:
        """Read once from every ready connection, after waiting at most the given time: the number of bytes."""
        pending = [channel for channel in self.channels if isinstance(channel.socket, ssl.SSLSocket) and channel.socket.pending()]
        ready, _, _ = select.select([channel.socket for channel in self.channels], [], [], 0 if pending else seconds)
        taken = 0
        for channel in [channel for channel in self.channels if channel in pending or channel.socket in ready]:
            count = channel.read()
            if count is None:
                channel.socket.close()
                self.channels.remove(channel)
            taken += count or 0
        return taken

    @property
    def over(self) -> bool:
        """Whether every dump is at its end."""
        return all(reading.over for reading in self.readings)

    @property
    def received(self) -> int:
        """The number of bytes of data received, of all dumps."""
        return sum(reading.dump.size for reading in self.readings)

    def finish(self, seconds: float = 60) -> bool:
        """Read until every dump is at its end; returns whether that was in time."""
        deadline = time.monotonic() + seconds
        while not self.over and time.monotonic() < deadline:
            self.step(0.1)
        return self.over

    def drop(self, reset: bool = False) -> None:
        """End all connections."""
        for channel in self.channels:
            if reset:
                channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            channel.socket.close()
        for reading in self.readings:
            reading.broken = reading.broken or not reading.over
        self.channels.clear()
        if self.auth in DATAGRAM:
            self.peer.socket.close()

    def close(self) -> None:
        """Close everything."""
        self.drop()
        self.peer.close()
