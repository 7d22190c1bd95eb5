"""The root of a Merkle tree over any number of leaves, in constant memory.

Spec: RFC 6962, section 2.1 (leaf hash over 00 | leaf, node hash over 01 | left | right, SHA-256; an empty tree hashes
the empty string).
"""

import hashlib
from collections.abc import Iterable


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The tree head (32 bytes) over the leaves in their order."""
    # Complete subtrees, largest first; after n leaves their sizes are the binary digits of n.
    peaks: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, node = 1, hashlib.sha256(b"\x00" + leaf).digest()
        while peaks and peaks[-1][0] == size:
            size, node = 2 * size, _parent(peaks.pop()[1], node)
        peaks.append((size, node))
    if not peaks:
        return hashlib.sha256(b"").digest()
    _, root = peaks.pop()
    while peaks:
        root = _parent(peaks.pop()[1], root)
    return root


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
