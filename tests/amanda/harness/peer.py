"""A server that speaks Amanda's protocol to an amandad it starts, and can misbehave as a real one does not.

Sources: protocol packets, common-src/packet.c and protocol.c; tokens, common-src/security-util.c (tcpm_send_token); the data
streams of a dump, amandad-src/amandad.c and server-src/dumper.c.
"""

import itertools
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
from dataclasses import dataclass, field
from typing import Callable

from crcmod.predefined import mkCrcFun

from .installation import Installation

REQ, REP, PREP, ACK, NAK = range(5)
NAMES = ("REQ", "REP", "PREP", "ACK", "NAK")
crc32c = mkCrcFun("crc-32c")

# Ports below 1024, the only ones amandad trusts; the peers of a process take one after the other.
_ports = itertools.cycle(range(601, 880))


def request(service: str, *lines: str, user: str = "root") -> str:
    """The body of a request for a service."""
    return f"SECURITY USER {user}\nSERVICE {service}\n" + "".join(f"{line}\n" for line in lines)


def dump_request(directory: str, program: str = "GNUTAR", application: str = "", index: bool = True, level: int = 0,
                 extra: str = "", auth: str = "BSDTCP", user: str = "root", features: str = "f" * 40, record: bool = False,
                 filters: str = "") -> str:
    """The body of a request for a dump of a directory. With `application`, program is ignored. `extra` is for the
    application; `filters` compress and encrypt on the client."""
    if application:
        program, extra = "APPLICATION", f"<backup-program><plugin>{application}</plugin>{extra}</backup-program>"
    return request(
        "sendbackup", f"OPTIONS features={features};hostname=localhost;config=daily;",
        f"<dle><program>{program}</program>{extra}<disk>{directory}</disk><diskdevice>{directory}</diskdevice>"
        f"<level>{level}</level><auth>{auth}</auth>{filters}"
        f"<record>{'YES' if record else 'NO'}</record><index>{'YES' if index else 'NO'}</index></dle>", user=user)


@dataclass
class Dump:
    """What a server received of a dump."""

    data: bytearray = field(default_factory=bytearray)
    messages: str = ""
    index: bytearray = field(default_factory=bytearray)
    size: int = 0
    crc: int = 0
    ended: set[str] = field(default_factory=set)

    @property
    def failed(self) -> bool:
        """Whether dumper would fail this dump: an error line, no size or no end, no data, or a CRC that is not the reported one, where
        0 means none (server-src/dumper.c)."""
        told = [re.search(rf"^sendbackup: {word}", self.messages, re.M) for word in ("error", "size", "end")]
        reported = self.checksum("client")
        differs = reported is not None and reported[0] != 0 and reported != (self.crc, self.size)
        return bool(told[0]) or not told[1] or not told[2] or self.size == 0 or differs

    @property
    def errors(self) -> list[str]:
        """The texts of the error lines."""
        return re.findall(r"^sendbackup: error \[(.*)\]$", self.messages, re.M)

    @property
    def strange(self) -> bool:
        """Whether there is a strange message."""
        return bool(re.search(r"^\?", self.messages, re.M))

    def checksum(self, kind: str) -> tuple[int, int] | None:
        """The native or client CRC that sendbackup reported, and its number of bytes."""
        found = re.search(rf"^sendbackup: {kind}-CRC (\w+):(\d+)", self.messages, re.M)
        return (int(found[1], 16), int(found[2])) if found else None

    def take(self, name: str, payload: bytes, keep: bool) -> None:
        """Record what came through a stream; an empty payload is its end."""
        if not payload:
            self.ended.add(name)
        elif name == "DATA":
            self.size += len(payload)
            self.crc = crc32c(payload, self.crc)
            if keep:
                self.data += payload
        elif name == "INDEX":
            self.index += payload
        elif name == "MESG":
            self.messages += payload.decode(errors="replace")


def listener() -> socket.socket:
    """A socket that accepts the peers' connections instead of inetd."""
    taking = socket.socket()
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taking.bind(("127.0.0.1", 0))
    taking.listen(16)
    return taking


class Peer:
    """One connection of a server, and the amandad that inetd would start for it (bsdtcp)."""

    def __init__(self, amanda: Installation, auth: str = "bsdtcp", privileged: bool = True, wrap: tuple[str, ...] = (),
                 services: tuple[str, ...] = ("amdump",), environment: dict[str, str] | None = None,
                 handshake: bool = True, listen: Callable[[], socket.socket] = listener) -> None:
        """`listen` makes the socket that the connection is made to."""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if privileged:
            self.socket.bind(("", next(_ports)))
        with listen() as taking:
            self.socket.connect(taking.getsockname())
            accepted, _ = taking.accept()
        with accepted:
            self.process = subprocess.Popen(
                [*wrap, amanda.libexec / "amandad", f"-auth={auth}", *services], stdin=accepted, stdout=accepted, stderr=accepted,
                preexec_fn=None if auth == "krb5" else amanda.demote, env={"PATH": "/usr/bin:/bin", **(environment or {})})
        if auth == "ssl" and handshake:
            self.socket = self._over_tls(amanda)
        self.buffer = bytearray()

    def _over_tls(self, amanda: Installation) -> ssl.SSLSocket:
        """Do the TLS handshake with the certificate of both sides; the client's configuration must say where it is."""
        directory = amanda.prefix / "etc/amanda/ssl"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(directory / "CA/crt.pem")
        context.load_cert_chain(directory / "me/crt.pem", directory / "me/private/key.pem")
        self.socket.settimeout(30)
        return context.wrap_socket(self.socket)

    def send_token(self, handle: int, payload: bytes) -> None:
        """Send one token: its length, its handle, its bytes."""
        self.socket.sendall(struct.pack(">II", len(payload), handle & 0xFFFFFFFF) + payload)

    def send_packet(self, kind: int, body: str = "", handle: int = 1) -> None:
        """Send a protocol packet."""
        self.send_token(handle, bytes([kind]) + body.encode() + b"\0")

    def _fill(self, size: int) -> bool:
        while len(self.buffer) < size:
            received = self.socket.recv(1 << 20)
            if not received:
                return False
            self.buffer += received
        return True

    def receive(self, seconds: float = 30) -> tuple[int, bytes] | None:
        """The next token, as its handle and its bytes; None at the connection's end. TimeoutError if none comes in time."""
        self.socket.settimeout(seconds)
        if not self._fill(8):
            return None
        length, handle = struct.unpack(">II", self.buffer[:8])
        if not self._fill(8 + length):
            return None
        payload = bytes(self.buffer[8:8 + length])
        del self.buffer[:8 + length]
        return handle, payload

    def reply(self, kind: int = REP) -> str:
        """Read up to a packet of this kind; its body."""
        while True:
            token = self.receive()
            assert token, "the connection ended before the reply"
            if token[1][:1] == bytes([kind]):
                return token[1][1:].rstrip(b"\0").decode()
            assert token[1][:1] != bytes([NAK]), token[1]

    def begin_dump(self, body: str) -> dict[int, str]:
        """Ask for a dump and acknowledge the reply: the streams' names by their handles."""
        self.send_packet(REQ, body)
        streams = streams_of(self.reply())
        self.send_packet(ACK)
        return streams

    def continue_dump(self, dump: Dump, streams: dict[int, str], size: int | None = None, keep: bool = True,
                      seconds: float = 60) -> None:
        """Read more of a dump, until all its streams or the connection have ended, or its data have this size."""
        while not set(streams.values()) <= dump.ended and (size is None or dump.size < size):
            token = self.receive(seconds)
            if token is None:
                break
            handle, payload = token
            if handle in streams:
                dump.take(streams[handle], payload, keep)
                if not payload:
                    self.send_token(handle, b"")

    def finish_dump(self, streams: dict[int, str], keep: bool = True, seconds: float = 60) -> Dump:
        """Read a dump until all its streams or the connection have ended."""
        dump = Dump()
        self.continue_dump(dump, streams, keep=keep, seconds=seconds)
        return dump

    def next_answer(self, streams: dict[int, str], dump: Dump, seconds: float = 30) -> tuple[int, bytes]:
        """The next packet: its handle and its bytes. Records what comes of a dump meanwhile."""
        while token := self.receive(seconds):
            handle, payload = token
            if handle not in streams:
                if payload:
                    return token
                continue
            dump.take(streams[handle], payload, keep=True)
            if not payload:
                self.send_token(handle, b"")
        raise AssertionError("the connection ended before the answer")

    def dump(self, body: str, keep: bool = True) -> Dump:
        """Make a whole dump."""
        return self.finish_dump(self.begin_dump(body), keep)

    def reset(self) -> None:
        """End the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def exit_status(self, seconds: float = 60) -> int | None:
        """amandad's exit status once it has ended; None if it still runs after the given seconds."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Close everything."""
        self.socket.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def streams_of(reply: str) -> dict[int, str]:
    """The streams a reply offers: handle (or port) to name."""
    line = re.search(r"^CONNECT (.*)$", reply, re.M)
    assert line, reply
    words = line[1].split()
    return {int(number): name for name, number in zip(words[::2], words[1::2]) if int(number) != -1}


def datagram_socket(address: str = "127.0.0.1", port: int | None = None) -> socket.socket:
    """A socket to send packets from; by default on a reserved port."""
    sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sending.bind((address, next(_ports) if port is None else port))
    return sending


class SharedConnection:
    """The connection of all streams of a dump under bsdudp: tokens, as under bsdtcp."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.buffer = bytearray()

    send_token = Peer.send_token
    _fill = Peer._fill
    receive = Peer.receive
    continue_dump = Peer.continue_dump

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


class OwnConnections:
    """The connections of a dump's streams under bsd, one for each, whose end is the end of the stream."""

    def __init__(self, connected: dict[int, socket.socket]) -> None:
        self.sockets = connected

    def continue_dump(self, dump: Dump, streams: dict[int, str], size: int | None = None, keep: bool = True,
                      seconds: float = 60) -> None:
        """See Peer."""
        while not set(streams.values()) <= dump.ended and (size is None or dump.size < size):
            open_ports = {self.sockets[port]: port for port in streams if streams[port] not in dump.ended}
            ready, _, _ = select.select(list(open_ports), [], [], seconds)
            if not ready:
                raise TimeoutError
            for one in ready:
                dump.take(streams[open_ports[one]], one.recv(1 << 18), keep)

    def close(self) -> None:
        """End all connections."""
        for one in self.sockets.values():
            one.close()


class DatagramPeer:
    """A server under bsd or bsdudp: packets are datagrams, streams are connections to the ports a reply names."""

    def __init__(self, amanda: Installation, auth: str = "bsdudp", wrap: tuple[str, ...] = (),
                 services: tuple[str, ...] = ("amdump",), environment: dict[str, str] | None = None) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inetd:
            inetd.bind(("127.0.0.1", 0))
            self.address = inetd.getsockname()
            self.process = subprocess.Popen(
                [*wrap, amanda.libexec / "amandad", f"-auth={auth}", *services], stdin=inetd, stdout=inetd,
                stderr=subprocess.DEVNULL, preexec_fn=amanda.demote, env={"PATH": "/usr/bin:/bin", **(environment or {})})
        self.auth = auth
        self.connections: list[SharedConnection | OwnConnections] = []
        self.socket = datagram_socket()

    @staticmethod
    def packet(kind: int, body: str = "", handle: str = "000-00000001", sequence: int = 1) -> bytes:
        """A packet in the form of a datagram."""
        return f"Amanda 3.5 {NAMES[kind]} HANDLE {handle} SEQ {sequence}\n{body}".encode()

    def send_packet(self, kind: int, body: str = "", handle: str = "000-00000001", sequence: int = 1) -> None:
        """Send a protocol packet."""
        self.socket.sendto(self.packet(kind, body, handle, sequence), self.address)

    def reply(self, kind: int = REP, seconds: float = 30, handle: str = "") -> str:
        """Read up to a packet of this kind and handle; its body."""
        self.socket.settimeout(seconds)
        while True:
            head, _, body = self.socket.recv(65536).decode(errors="replace").partition("\n")
            if f" {NAMES[kind]} HANDLE {handle}" in head:
                return body.rstrip("\0")
            assert f" {NAMES[NAK]} " not in head, body

    def begin_dump(self, body: str, handle: str = "000-00000001") -> tuple[dict[int, str], SharedConnection | OwnConnections]:
        """Ask for a dump, acknowledge the reply, connect: the streams' names by their handles, and their connections."""
        self.send_packet(REQ, body, handle)
        streams = streams_of(self.reply())
        self.send_packet(ACK, handle=handle)
        connected = self.connect(streams)
        self.connections.append(OwnConnections(connected) if self.auth == "bsd" else SharedConnection(*connected.values()))
        return streams, self.connections[-1]

    def connect(self, streams: dict[int, str]) -> dict[int, socket.socket]:
        """The connections of a dump's streams, by their ports: under bsdudp the first is for all."""
        ports = list(streams) if self.auth == "bsd" else list(streams)[:1]
        return {port: socket.create_connection(("127.0.0.1", port)) for port in ports}

    exit_status = Peer.exit_status

    def close(self) -> None:
        """Close everything."""
        for connection in self.connections:
            connection.close()
        Peer.close(self)
