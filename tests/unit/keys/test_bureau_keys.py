"""AES Key Wrap for many cards at once, against the published vectors and against the library."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given
from hypothesis import strategies as st

from card_io.secret import Secret
from issuance.errors import VaultError
from issuance.keys.bureau_keys import pin_data, unwrap_pins, wrap_all

# RFC 3394 section 4: key encryption key, key data, ciphertext.
VECTORS = [
    (
        "000102030405060708090A0B0C0D0E0F",
        "00112233445566778899AABBCCDDEEFF",
        "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5",
    ),
    (
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "00112233445566778899AABBCCDDEEFF0001020304050607",
        "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1",
    ),
    (
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
        "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
    ),
]


def wrap(key: bytes, plain: list[bytes]) -> list[bytes]:
    def encrypt(blocks: bytes | memoryview) -> bytes:
        return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(bytes(blocks))

    return wrap_all(encrypt, plain)


@pytest.mark.parametrize(("key", "plain", "expected"), VECTORS)
def test_published_vectors(key: str, plain: str, expected: str) -> None:
    assert wrap(bytes.fromhex(key), [bytes.fromhex(plain)]) == [bytes.fromhex(expected)]


@given(
    st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    st.integers(2, 13).flatmap(lambda n: st.lists(st.binary(min_size=8 * n, max_size=8 * n), max_size=7)),
)
def test_many_at_once_are_what_the_library_makes_of_each(key: bytes, plain: list[bytes]) -> None:
    assert wrap(key, plain) == [aes_key_wrap(key, one) for one in plain]


@pytest.mark.parametrize("plain", [[b"short"], [bytes(8)], [bytes(17)], [bytes(16), bytes(24)]])
def test_what_cannot_be_wrapped_is_refused(plain: list[bytes]) -> None:
    with pytest.raises(VaultError, match="multiple of 8"):
        wrap(bytes(32), plain)


PINS = st.dictionaries(
    st.sampled_from(["pin1", "pin2", "krp"]), st.text("0123456789", min_size=4, max_size=12).map(str.encode), min_size=1
)


@given(PINS)
def test_pin_data_come_back_by_name(pins: dict[str, bytes]) -> None:
    secret = {name: Secret(value) for name, value in pins.items()}
    (wrapped,) = wrap(bytes(32), [pin_data(secret)])
    assert unwrap_pins(Secret(bytes(32)), wrapped, list(pins)) == secret


@given(PINS, st.integers(0, 1000), st.integers(1, 255))
def test_any_flipped_byte_of_wrapped_pins_is_refused(pins: dict[str, bytes], place: int, flip: int) -> None:
    (wrapped,) = wrap(bytes(32), [pin_data({name: Secret(value) for name, value in pins.items()})])
    damaged = bytearray(wrapped)
    damaged[place % len(damaged)] ^= flip
    with pytest.raises(VaultError):
        unwrap_pins(Secret(bytes(32)), bytes(damaged), list(pins))


def test_more_or_fewer_pins_than_announced_are_refused() -> None:
    (wrapped,) = wrap(bytes(32), [pin_data({"pin1": Secret(b"12345678"), "krp": Secret(b"87654321")})])
    for names in (["pin1"], ["pin1", "krp", "pin2"], ["a", "b", "c", "d"]):
        with pytest.raises(VaultError):
            unwrap_pins(Secret(bytes(32)), wrapped, names)
