"""Sealed PINs: only the key they were sealed to opens them, for the same card, unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io.secret import Secret
from issuance.production.errors import SealBroken
from issuance.production.sealing import POINT_BYTES, SealingKey, open_pins, seal, seal_pins

KEY = SealingKey()
PINS = {"pin1": Secret(b"1357"), "pin2": Secret(b"246802")}
CARD = "7800000000000014"


def test_pins_come_back_to_the_key_they_were_sealed_to() -> None:
    sealed = seal_pins(KEY.public_key, PINS, card_number=CARD)
    assert open_pins(KEY, sealed, card_number=CARD) == PINS
    assert b"1357" not in sealed


def test_the_same_pins_never_look_the_same() -> None:
    assert seal_pins(KEY.public_key, PINS, card_number=CARD) != seal_pins(KEY.public_key, PINS, card_number=CARD)


def test_another_hub_opens_nothing() -> None:
    sealed = seal_pins(KEY.public_key, PINS, card_number=CARD)
    with pytest.raises(SealBroken, match="enter the PINs again"):
        open_pins(SealingKey(), sealed, card_number=CARD)


def test_pins_of_one_card_do_not_open_for_another() -> None:
    sealed = seal_pins(KEY.public_key, PINS, card_number=CARD)
    with pytest.raises(SealBroken):
        open_pins(KEY, sealed, card_number="7800000000000022")


@given(position=st.integers(0, 200), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(position: int, bit: int) -> None:
    sealed = bytearray(seal_pins(KEY.public_key, PINS, card_number=CARD))
    sealed[position % len(sealed)] ^= 1 << bit
    with pytest.raises(SealBroken):
        open_pins(KEY, bytes(sealed), card_number=CARD)


@given(st.binary(max_size=120))
def test_no_bytes_crash_it(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        open_pins(KEY, sealed, card_number=CARD)


@pytest.mark.parametrize("content", [b"not json", b"[1]", b'{"pin1": 1357}'])
def test_content_that_is_no_pins_is_refused(content: bytes) -> None:
    sealed = seal(KEY.public_key, Secret(content), context=b"uec holder pins " + CARD.encode())
    with pytest.raises(SealBroken):
        open_pins(KEY, sealed, card_number=CARD)


@pytest.mark.parametrize("public_key", [b"", b"\x04" + bytes(64), b"\x05" * POINT_BYTES])
def test_a_key_that_is_no_point_is_refused(public_key: bytes) -> None:
    with pytest.raises(SealBroken):
        seal_pins(public_key, PINS, card_number=CARD)
