"""Sealed bytes: both passphrases, every flipped byte, no key in clear."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io.secret import Secret
from issuance.errors import VaultUnlockError, WeakPassphrase
from issuance.keys.sealing import MAGIC, Damaged, ScryptCost, check, new_seal, seal, unseal
from tests.support.keys import CHEAP, PASSPHRASES

CONTENT = b'{"keys": "very secret content"}'
SEALED = seal(new_seal(PASSPHRASES, CHEAP), CONTENT)
WRONG = Secret(b"nobody's passphrase")


def test_both_passphrases_open_it() -> None:
    opened, content = unseal(SEALED, PASSPHRASES)
    assert content == CONTENT
    assert CONTENT not in SEALED
    assert unseal(seal(opened, b"new content"), PASSPHRASES)[1] == b"new content"


@pytest.mark.parametrize(
    "passphrases",
    [(WRONG, PASSPHRASES[1]), (PASSPHRASES[0], WRONG), (PASSPHRASES[1], PASSPHRASES[0]), (PASSPHRASES[0],) * 2],
    ids=["first", "second", "swapped", "one-twice"],
)
def test_anything_less_does_not(passphrases: tuple[Secret, Secret]) -> None:
    with pytest.raises(VaultUnlockError) as caught:
        unseal(SEALED, passphrases)
    assert "passphrase" not in repr(caught.value.facts)


@given(position=st.integers(0, len(SEALED) - 1), mask=st.integers(1, 255))
def test_any_altered_byte_is_damage(position: int, mask: int) -> None:
    altered = bytearray(SEALED)
    altered[position] ^= mask
    with pytest.raises(Damaged):
        check(bytes(altered))
    with pytest.raises(Damaged):
        unseal(bytes(altered), PASSPHRASES)


@given(size=st.integers(0, len(SEALED) - 1))
def test_any_cut_is_damage(size: int) -> None:
    with pytest.raises(Damaged):
        check(SEALED[:size])


def reseal_digest(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def test_a_forged_digest_does_not_hide_an_altered_content() -> None:
    body = bytearray(SEALED[:-32])
    body[-1] ^= 1
    with pytest.raises(Damaged):
        unseal(reseal_digest(bytes(body)), PASSPHRASES)


@pytest.mark.parametrize(
    "header",
    [
        b"no json",
        b"{}",
        b'{"wrapping": {"log_n": 60, "r": 8, "p": 1, "salts": ["", ""], "wrapped_key": "", "nonce": ""}, "nonce": ""}',
    ],
)
def test_a_forged_header_is_damage_and_costs_no_memory(header: bytes) -> None:
    with pytest.raises(Damaged):
        unseal(reseal_digest(MAGIC + len(header).to_bytes(4, "big") + header), PASSPHRASES)


@pytest.mark.parametrize("pair", [(b"short", b"long enough, this"), (b"the same one", b"the same one")])
def test_weak_passphrases_make_no_seal(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(WeakPassphrase):
        new_seal((Secret(pair[0]), Secret(pair[1])), CHEAP)


def test_the_default_cost_takes_64_megabytes() -> None:
    cost = ScryptCost()
    assert (1 << cost.log_n) * cost.r * 128 >= 64 << 20


def test_two_seals_of_one_content_differ() -> None:
    opened = new_seal(PASSPHRASES, CHEAP)
    assert seal(opened, CONTENT) != seal(opened, CONTENT)
