"""The Merkle root against the recursive definition of RFC 6962 and its published test values."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.services.merkle import audit_path, merkle_root, root_of_path

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


# The paths of the same reference tests, in trees of 8, 3 and 7 leaves.
PATHS = {
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
}


def test_paths_are_those_of_the_reference_tests() -> None:
    for (place, count), path in PATHS.items():
        assert [node.hex() for node in audit_path(LEAVES[:count], place)] == list(path)


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=70), st.data())
def test_every_path_leads_to_the_root_and_from_no_other_place(leaves: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(leaves) - 1))
    path = audit_path(leaves, place)
    assert root_of_path(leaves[place], place, len(leaves), path=path) == merkle_root(leaves)
    assert root_of_path(leaves[place] + b"!", place, len(leaves), path=path) != merkle_root(leaves)
    other = data.draw(st.integers(0, len(leaves) - 1))
    if leaves[other] != leaves[place]:
        try:
            assert root_of_path(leaves[place], other, len(leaves), path=path) != merkle_root(leaves)
        except ValueError:
            assert len(audit_path(leaves, other)) != len(path)


def test_a_path_of_another_tree_is_refused() -> None:
    for place, count, path in ((3, 3, []), (-1, 3, []), (0, 3, [b"x" * 32]), (0, 2, [b"short"]), (0, 0, [])):
        with pytest.raises(ValueError, match=r"leaf|leads nowhere"):
            root_of_path(b"a", place, count, path=path)
    with pytest.raises(ValueError, match="no leaf 3"):
        audit_path(LEAVES[:3], 3)


def test_a_root_binds_neither_the_count_nor_the_place_that_a_path_is_given_with() -> None:
    path = audit_path(LEAVES[:5], 0)
    assert {root_of_path(LEAVES[0], 0, count, path=path) for count in (5, 6, 7, 8)} == {merkle_root(LEAVES[:5])}
    last = audit_path(LEAVES[:3], 2)
    assert root_of_path(LEAVES[2], 1, 2, path=last) == merkle_root(LEAVES[:3])
