"""The root of a Merkle tree over any number of leaves, in constant memory; the path of one leaf to it.

Spec: RFC 6962, sections 2.1 and 2.1.1 (leaf hash over 00 | leaf, node hash over 01 | left | right, SHA-256; an empty
tree hashes the empty string).
"""

import hashlib
from collections.abc import Iterable, Sequence
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


def audit_path(leaves: Sequence[bytes], place: int) -> list[bytes]:
    """The hashes (32 bytes each) that lead from the leaf with an index to the root, the lowest first (section 2.1.1).

    Raises `ValueError` for a leaf that is not there.
    """
    if not 0 <= place < len(leaves):
        raise ValueError(f"there is no leaf {place} among {len(leaves)}")
    path = []
    first, last = 0, len(leaves)
    while last - first > 1:
        middle = first + _left_of(last - first)
        other = leaves[middle:last] if place < middle else leaves[first:middle]
        path.append(merkle_root(other))
        first, last = (first, middle) if place < middle else (middle, last)
    return path[::-1]


def root_of_path(leaf: bytes, place: int, count: int, *, path: Sequence[bytes]) -> bytes:
    """The root to which a path leads from a leaf with an index in a tree of `count` leaves.

    The root binds the leaf, but neither `place` nor `count`: they only say on which side each hash of the path stands,
    which other numbers may say as well.
    Raises `ValueError` where the path is none of such a tree.
    """
    sides = []
    first, last = 0, count
    if not 0 <= place < count:
        raise ValueError(f"there is no leaf {place} among {count}")
    while last - first > 1:
        middle = first + _left_of(last - first)
        sides.append(place < middle)
        first, last = (first, middle) if place < middle else (middle, last)
    if len(path) != len(sides) or any(len(node) != _sha256().digest_size for node in path):
        raise ValueError(f"a path of {len(path)} hashes leads nowhere in a tree of {count} leaves")
    node = _sha256(b"\x00" + leaf).digest()
    for other, left in zip(path, reversed(sides), strict=True):
        node = _parent(node, other) if left else _parent(other, node)
    return node


def _left_of(size: int) -> int:
    """How many leaves of a tree stand to the left of its root: the largest power of two below its size."""
    return 1 << (size - 1).bit_length() - 1


def _head(level: list[bytes]) -> bytes:
    """The head over hashed leaves; an odd one at the end of a level goes up as it is."""
    while len(level) > 1:
        even = len(level) & ~1
        pairs = zip(level[:even:2], level[1:even:2], strict=True)
        level = [_sha256(b"\x01" + left + right).digest() for left, right in pairs] + level[even:]
    return level[0]


def _parent(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()
