"""Frames on the vault's socket: a small JSON header and byte strings behind it.

Layout, big-endian: 4 bytes length of all that follows, 4 bytes length of the header, the header (UTF-8 JSON object
whose member `sizes` lists the byte strings' lengths), the byte strings. Secrets travel as byte strings only, so the
header may be looked at.
"""

import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from issuance.errors import VaultProtocolError

MAX_FRAME_BYTES = 64 << 20
MAX_HEADER_BYTES = 4 << 20
_PREFIX_BYTES = 4
_AT_MOST_BYTES = 1 << 20
_LEAST_WAIT_S = 0.001
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
        if head_end > MAX_HEADER_BYTES:
            raise VaultProtocolError("the frame's header is too long")
        header = json.loads(body[4:head_end])
        sizes = header.pop("sizes")
        blobs = []
        for size in sizes:
            if not isinstance(size, int) or size < 0:
                raise VaultProtocolError("a frame names an impossible size")
            blobs.append(body[head_end : head_end + size])
            head_end += size
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise VaultProtocolError("this is no frame of the vault's protocol") from error
    if head_end != len(body):
        raise VaultProtocolError("the frame's sizes do not add up")
    return header, blobs


def send(connection: socket.socket, header: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Send one frame."""
    connection.sendall(encode(header, blobs))


def receive(connection: socket.socket, *, within_s: float | None = None) -> Frame | None:
    """Receive one frame; None when the peer has closed between frames; raises `VaultProtocolError`.

    Reads no byte beyond it: the next frame may be there already. With `within_s` a frame may be waited for as long as
    it takes, but once it has begun the rest of it comes within so many seconds; the socket's own timeout is changed.
    """
    if within_s is not None:
        connection.settimeout(None)
    prefix = connection.recv(_PREFIX_BYTES)
    if not prefix:
        return None
    end = None if within_s is None else time.monotonic() + within_s
    while len(prefix) < _PREFIX_BYTES:
        prefix += _more(connection, _PREFIX_BYTES - len(prefix), end)
    size = int.from_bytes(prefix, "big")
    if not 4 <= size <= MAX_FRAME_BYTES:
        raise VaultProtocolError("the frame's length is impossible")
    parts = [_more(connection, size, end)]
    missing = size - len(parts[0])
    while missing:
        parts.append(_more(connection, missing, end))
        missing -= len(parts[-1])
    return decode(b"".join(parts))


def _more(connection: socket.socket, most: int, end: float | None) -> bytes:
    if end is None:
        part = connection.recv(min(most, _AT_MOST_BYTES))
    else:
        try:
            connection.settimeout(max(end - time.monotonic(), _LEAST_WAIT_S))
            part = connection.recv(min(most, _AT_MOST_BYTES))
        except TimeoutError:
            raise VaultProtocolError("the rest of the frame did not come in time") from None
    if not part:
        raise VaultProtocolError("the peer closed in the middle of a frame")
    return part
