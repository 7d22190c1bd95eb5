"""The Merkle root against the recursive definition of RFC 6962 and its published test values."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from uec.services.merkle import merkle_root

# The tree of the Certificate Transparency reference tests: heads over the first 1, 2, 3 and 8 of these leaves.
LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    bytes(range(0x50, 0x58)),
    bytes(range(0x60, 0x70)),
]
HEADS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def defined(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it is written."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + defined(leaves[:half]) + defined(leaves[half:])).digest()


def test_published_heads() -> None:
    assert {count: merkle_root(LEAVES[:count]).hex() for count in HEADS} == HEADS


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_running_root_is_the_defined_one(leaves: list[bytes]) -> None:
    assert merkle_root(iter(leaves)) == defined(leaves)
