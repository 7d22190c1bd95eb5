"""Frames on the vault's socket: a small JSON header and byte strings behind it.

Layout, big-endian: 4 bytes length of all that follows, 4 bytes length of the header, the header (UTF-8 JSON object
whose member `sizes` lists the byte strings' lengths), the byte strings. Secrets travel as byte strings only, so the
header may be looked at.
"""

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from issuance.errors import VaultProtocolError

MAX_FRAME_BYTES = 64 << 20
_PREFIX_BYTES = 4
_AT_MOST_BYTES = 1 << 20
Frame = tuple[dict[str, Any], list[bytes]]


def encode(header: Mapping[str, Any], blobs: Sequence[bytes]) -> bytes:
    """Return a frame; raises `VaultProtocolError` when it would be longer than `MAX_FRAME_BYTES`."""
    head = json.dumps({**header, "sizes": [len(blob) for blob in blobs]}).encode()
    body = b"".join((len(head).to_bytes(4, "big"), head, *blobs))
    if len(body) > MAX_FRAME_BYTES:
        raise VaultProtocolError(f"the request has {len(body)} bytes: send smaller batches, or digests")
    return len(body).to_bytes(4, "big") + body


def decode(body: bytes) -> Frame:
    """Read a frame without its first length; raises `VaultProtocolError`."""
    try:
        head_end = 4 + int.from_bytes(body[:4], "big")
        header = json.loads(body[4:head_end])
        sizes = header.pop("sizes")
        blobs = []
        for size in sizes:
            if not isinstance(size, int) or size < 0:
                raise VaultProtocolError("a frame names an impossible size")
            blobs.append(body[head_end : head_end + size])
            head_end += size
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise VaultProtocolError("this is no frame of the vault's protocol") from error
    if head_end != len(body):
        raise VaultProtocolError("the frame's sizes do not add up")
    return header, blobs


def send(connection: socket.socket, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Send one frame."""
    connection.sendall(encode(header, blobs))


def receive(connection: socket.socket) -> Frame | None:
    """Receive one frame; None when the peer has closed between frames; raises `VaultProtocolError`.

    Reads no byte beyond it: the next frame may be there already.
    """
    prefix = connection.recv(_PREFIX_BYTES)
    if not prefix:
        return None
    while len(prefix) < _PREFIX_BYTES:
        prefix += _more(connection, _PREFIX_BYTES - len(prefix))
    size = int.from_bytes(prefix, "big")
    if not 4 <= size <= MAX_FRAME_BYTES:
        raise VaultProtocolError("the frame's length is impossible")
    parts = [_more(connection, size)]
    while missing := size - sum(map(len, parts)):
        parts.append(_more(connection, missing))
    return decode(b"".join(parts))


def _more(connection: socket.socket, most: int) -> bytes:
    part = connection.recv(min(most, _AT_MOST_BYTES))
    if not part:
        raise VaultProtocolError("the peer closed in the middle of a frame")
    return part
