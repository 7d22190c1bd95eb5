"""Signatures of a token in DER: what the library would write."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from issuance.keys.pkcs11_chest import dss

EDGES = (1, 0x7F, 0x80, 0xFF, 0x100, 1 << 255, (1 << 256) - 1)


@given(size=st.sampled_from((32, 48)), numbers=st.data())
def test_two_numbers_become_what_the_library_writes(size: int, numbers: st.DataObject) -> None:
    r, s = (numbers.draw(st.integers(1, (1 << (8 * size)) - 1)) for _ in range(2))
    assert dss([r.to_bytes(size, "big") + s.to_bytes(size, "big")]) == [encode_dss_signature(r, s)]


@pytest.mark.parametrize("r", EDGES)
@pytest.mark.parametrize("s", EDGES)
def test_edges_of_length_and_sign(r: int, s: int) -> None:
    assert dss([r.to_bytes(32, "big") + s.to_bytes(32, "big")]) == [encode_dss_signature(r, s)]


def test_a_batch_keeps_its_order() -> None:
    pairs = [(1, 1 << 255), ((1 << 256) - 1, 2), (0x7F << 248, 0x80 << 248), (1, 1), (0xFF << 240, 5)]
    raw = [r.to_bytes(32, "big") + s.to_bytes(32, "big") for r, s in pairs]
    assert dss(raw) == [encode_dss_signature(r, s) for r, s in pairs]
    assert dss([]) == []
