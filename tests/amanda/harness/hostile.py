"""Malicious clients, each with its own connection (bsdtcp) or datagrams."""

import contextlib
import random
import socket
import struct
from typing import Callable

from .installation import Installation
from .peer import ACK, REP, REQ, Peer, dump_request, request


def drops(peer: Peer, chance: random.Random, directory: str) -> bool:
    """Asks for a dump and leaves at some moment."""
    peer.send_packet(REQ, dump_request(directory))
    if chance.random() < 0.3:
        return False
    peer.reply(REP)
    if chance.random() < 0.7:
        peer.send_packet(ACK)
        for _ in range(chance.randrange(4)):
            peer.receive()
    return True


def repeats(peer: Peer, chance: random.Random, directory: str) -> bool:
    """Asks for the same dump again and again, under the same handle and under others."""
    for number in range(30):
        peer.send_packet(REQ, dump_request(directory), handle=1 + number % chance.randint(1, 5))
    peer.reply(REP)
    return True


def opens_many_handles(peer: Peer, chance: random.Random, directory: str) -> bool:
    """Asks for unknown services, each time under another handle."""
    for handle in range(1, 300):
        peer.send_packet(chance.choice([REQ, REQ, ACK]), request("nonsense"), handle=handle)
    return False


def claims_huge_lengths(peer: Peer, chance: random.Random, directory: str) -> bool:
    """Begins a token larger than the maximum."""
    length = chance.choice([0xFFFFFFFF, 0x80000000, 128 * 32768 + 1, 0x7FFFFFFF])
    peer.socket.sendall(struct.pack(">II", length, 1) + b"x" * 100)
    return False


def sends_garbage(peer: Peer, chance: random.Random, directory: str) -> bool:
    """Sends bytes that are not a token."""
    peer.socket.sendall(chance.randbytes(chance.randint(8, 4096)))
    return False


# Each returns whether amandad is known to have answered.
HOSTILE: tuple[Callable[[Peer, random.Random, str], bool], ...] = (
    drops, repeats, opens_many_handles, claims_huge_lengths, sends_garbage)


def attack(amanda: Installation, kind: Callable, chance: random.Random, directory: str) -> Peer:
    """Runs a peer that does its harm and leaves; its amandad may still run."""
    peer = Peer(amanda)
    answered = False
    with contextlib.suppress(OSError):
        # amandad may end the connection at any moment.
        answered = kind(peer, chance, directory)
    # An amandad whose connection is reset when it starts waits for half a minute, as upstream's does.
    if answered and chance.random() < 0.5:
        peer.reset()
    else:
        peer.socket.close()
    return peer


def datagrams(address: tuple[str, int], chance: random.Random) -> None:
    """Send a stranger's datagrams of every kind, from an untrusted port, to an amandad that serves others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number in range(20):
            body = chance.choice([b"", chance.randbytes(50), request("noop").encode()])
            kind = chance.choice([b"REQ", b"ACK", b"REP", b"NAK", b"XXX"])
            stranger.sendto(b"Amanda 3.5 %s HANDLE 000-%08d SEQ %d\n%s" % (kind, chance.randrange(3), number, body), address)
