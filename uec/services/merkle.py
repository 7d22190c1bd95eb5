"""The root of a Merkle tree over any number of leaves, in constant memory.

Spec: RFC 6962, section 2.1 (leaf hash over 00 | leaf, node hash over 01 | left | right, SHA-256; an empty tree hashes
the empty string).
"""

import hashlib
from collections.abc import Iterable
from itertools import islice

_sha256 = hashlib.sha256
_AT_ONCE = 1024
"""Leaves whose subtree is made level by level, in half the time; a power of two."""


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The tree head (32 bytes) over the leaves in their order."""
    # Complete subtrees, largest first; their sizes are the binary digits of the number of leaves so far.
    peaks: list[tuple[int, bytes]] = []
    coming = iter(leaves)
    while level := [_sha256(b"\x00" + leaf).digest() for leaf in islice(coming, _AT_ONCE)]:
        size, node = len(level), _head(level)
        while peaks and peaks[-1][0] == size:
            size, node = 2 * size, _parent(peaks.pop()[1], node)
        peaks.append((size, node))
    if not peaks:
        return hashlib.sha256(b"").digest()
    _, root = peaks.pop()
    while peaks:
        root = _parent(peaks.pop()[1], root)
    return root


def _head(level: list[bytes]) -> bytes:
    """The head over hashed leaves; an odd one at the end of a level goes up as it is."""
    while len(level) > 1:
        even = len(level) & ~1
        pairs = zip(level[:even:2], level[1:even:2], strict=True)
        level = [_sha256(b"\x01" + left + right).digest() for left, right in pairs] + level[even:]
    return level[0]


def _parent(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()
