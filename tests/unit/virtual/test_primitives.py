"""The card's own cryptography against published values, and the rules of its key sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io.secret import Secret
from card_io.virtual import primitives
from card_io.virtual.chip import Randomness
from card_io.virtual.keysets import TRIES, TYPE_AES, TYPE_DES, KeySet, KeyStore
from card_io.virtual.memory import Area, Memory

# NIST SP 800-38B, appendix D.1.
NIST_KEY = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
NIST_MESSAGE = bytes.fromhex("6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E5130C81C46A35CE411")


@pytest.mark.parametrize(
    ("size", "mac"),
    [
        (0, "BB1D6929E95937287FA37D129B756746"),
        (16, "070A16B46B4D4144F79BDD9DD04A287C"),
        (40, "DFA66747DE9AE63030CA32611497C827"),
    ],
)
def test_cmac(size: int, mac: str) -> None:
    assert primitives.cmac(NIST_KEY, NIST_MESSAGE[:size]) == bytes.fromhex(mac)


@pytest.mark.parametrize(
    ("first", "aes", "value"), [(0x40, False, "8BAF47"), (0x40, True, "504A77"), (0x50, True, "F2A8DF")]
)
def test_recorded_key_check_values(first: int, aes: bool, value: str) -> None:
    assert primitives.check_value(bytes(range(first, first + 16)), aes=aes) == bytes.fromhex(value)


def test_a_recorded_key_under_the_recorded_key() -> None:
    forty = bytes(range(0x40, 0x50))
    assert primitives.aes_cbc_encrypt(forty, forty).hex().upper() == "80D2A5B08FA0EE51143B459E638106DF"


@given(data=st.binary(max_size=100), block=st.sampled_from([8, 16]))
def test_padding_comes_off_as_it_went_on(data: bytes, block: int) -> None:
    padded = primitives.pad(data, block)
    assert len(padded) % block == 0
    assert len(data) < len(padded) <= len(data) + block
    assert primitives.unpad(padded) == data


@pytest.mark.parametrize("data", [b"", bytes(16), b"\x01\x00", b"\x80\x01"])
def test_what_is_not_padded(data: bytes) -> None:
    assert primitives.unpad(data) is None


@given(data=st.binary(max_size=64), key=st.binary(min_size=16, max_size=16))
def test_a_mac_of_one_block_is_the_same_by_both_algorithms_when_the_key_halves_agree(data: bytes, key: bytes) -> None:
    """With K1 = K2 single and triple DES coincide, so that retail and full MAC must agree at any length."""
    equal = key[:8] * 2
    assert primitives.retail_mac(equal, data) == primitives.full_mac(equal, data)


@given(size=st.sampled_from([8, 16, 24]), key=st.binary(min_size=16, max_size=16))
def test_decryption_undoes_encryption(size: int, key: bytes) -> None:
    data = bytes(range(size))
    assert primitives.des3_cbc_decrypt(key, primitives.des3_cbc_encrypt(key, data)) == data
    assert primitives.des3_ecb_decrypt(key, primitives.des3_ecb_encrypt(key, data)) == data
    whole = data.ljust(32, b"\x00")
    assert primitives.aes_cbc_decrypt(key, primitives.aes_cbc_encrypt(key, whole)) == whole


@pytest.mark.parametrize(
    ("sizes", "version", "kind"),
    [
        ((16, 16, 24), 1, TYPE_AES),
        ((15, 15, 15), 1, TYPE_AES),
        ((24, 24, 24), 1, TYPE_DES),
        ((16, 16, 16), 0, TYPE_AES),
        ((16, 16, 16), 256, TYPE_AES),
        ((16, 16, 16), 1, 0x99),
    ],
)
def test_key_sets_that_cannot_be(sizes: tuple[int, int, int], version: int, kind: int) -> None:
    enc, mac, dek = (Secret(bytes(size)) for size in sizes)
    with pytest.raises(ValueError, match=r"; "):
        KeySet(enc, mac, dek, version, kind)


def test_key_sets_are_kept_by_version_and_print_nothing() -> None:
    store = KeyStore(Area(Memory(), "isd/"))
    keys = KeySet(Secret(b"e" * 16), Secret(b"m" * 16), Secret(b"d" * 16), 0x30)
    assert store.get(0) is None
    store.put(keys)
    assert store.get(0x30) == store.get(0) == keys
    assert "***" in repr(keys)
    assert "eeee" not in repr(keys)
    store.count_try(0x30)
    assert store.tries_left(0x30) == TRIES - 1
    store.put(keys)
    assert store.tries_left(0x30) == TRIES
    store.delete(0x30)
    assert store.versions() == []


def test_randomness_repeats_by_seed_and_never_within_a_life() -> None:
    area = Area(Memory(), "chip/")
    one, other = Randomness(b"seed"), Randomness(b"seed")
    assert one.take(100) == other.take(100)
    first = one.take(32)
    one.restart(area)
    second = one.take(32)
    one.restart(area)
    assert len({first, second, one.take(32)}) == 3
    assert Randomness(b"other").take(16) != Randomness(b"seed").take(16)


def test_an_area_sees_only_its_own_cells() -> None:
    memory = Memory()
    mine, other = Area(memory, "a/"), Area(memory, "b/")
    mine.put("x", 1)
    mine.put("y", b"bytes")
    other.put("x", (1, b"row"))
    assert (mine.integer("x"), mine.octets("y"), other.row("x")) == (1, b"bytes", (1, b"row"))
    assert (mine.octets("x"), mine.row("y"), other.integer("x", 7)) == (None, None, 7)
    mine.clear()
    assert list(mine.names()) == []
    assert list(other.names()) == ["x"]
