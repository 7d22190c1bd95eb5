"""Key check values and derived keys as other projects compute them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import scp02
from card_io.ciphers import (
    AesChannelCipher,
    AesChannelMac,
    WrongKeySize,
    aes_cbc_decrypt,
    aes_cbc_encrypt,
    aes_cmac,
    aes_ecb_decrypt,
    aes_ecb_encrypt,
    des3_cbc_decrypt,
    des3_cbc_encrypt,
    des3_ecb_decrypt,
    des3_ecb_encrypt,
    kcv_aes,
    kcv_des3,
)
from card_io.diversification import UnknownScheme, diversify, kdf3
from card_io.errors import CardError
from card_io.keyset import KeySet
from card_io.secret import Secret

K40 = bytes(range(0x40, 0x50))
K50 = bytes(range(0x50, 0x60))
KDD = bytes(range(10))


def test_key_check_values() -> None:
    assert kcv_des3(K40).hex() == "8baf47"
    assert kcv_aes(K40).hex() == "504a77"
    assert kcv_aes(K50).hex() == "f2a8df"


def test_emv_diversification() -> None:
    keys = diversify("emv", KeySet.same(Secret(K40)), KDD)
    assert [kcv_des3(key.reveal()).hex() for key in keys.in_order()] == ["c33013", "6f4ca6", "bb8179"]


def test_kdf3_diversification() -> None:
    keys = kdf3(Secret(K40), KDD)
    assert [kcv_aes(key.reveal()).hex() for key in keys.in_order()] == ["e79c05", "d1bd77", "3fde8c"]


def test_kdf3_keeps_the_size_of_the_master() -> None:
    for size in (16, 24, 32):
        keys = kdf3(Secret(bytes(range(size))), KDD)
        assert {len(key) for key in keys.in_order()} == {size}
        assert len({key.reveal() for key in keys.in_order()}) == 3


def test_visa2_takes_other_bytes_of_the_kdd_than_emv() -> None:
    masters = KeySet.same(Secret(K40))
    same_for_visa2 = diversify("visa2", masters, b"\x00\x01\xaa\xbb\x04\x05\x06\x07\xcc\xdd")
    assert same_for_visa2.enc == diversify("visa2", masters, KDD).enc
    # The six bytes 0,1,4..7 in the place where EMV takes 4..9 give the same keys: one construction, two choices.
    assert diversify("emv", masters, b"\xff\xff\xff\xff\x00\x01\x04\x05\x06\x07").enc == same_for_visa2.enc


def test_none_hands_the_master_on() -> None:
    masters = KeySet(Secret(K40), Secret(K50), Secret(K40))
    assert diversify("none", masters, KDD) == masters


def test_each_key_comes_from_its_own_master() -> None:
    mixed = diversify("kdf3", KeySet(Secret(K40), Secret(K50), Secret(K40)), KDD)
    assert mixed.enc == kdf3(Secret(K40), KDD).enc
    assert mixed.mac == kdf3(Secret(K50), KDD).mac


def test_wrong_input_to_diversification_is_named() -> None:
    with pytest.raises(UnknownScheme, match="kdf3"):
        diversify("kdf9", KeySet.same(Secret(K40)), KDD)
    with pytest.raises(CardError, match="10"):
        diversify("kdf3", KeySet.same(Secret(K40)), KDD[:9])
    with pytest.raises(WrongKeySize, match="15 bytes"):
        diversify("kdf3", KeySet.same(Secret(K40[:15])), KDD)


def test_scp02_session_keys() -> None:
    keys = scp02.derive_session_keys(KeySet.same(Secret(K40)), 0)
    assert keys.enc.reveal().hex().upper() == "010B0371D78377B801F2D62AFC671D95"
    assert keys.mac.reveal().hex().upper() == "D1C28C601652A4770D67AD82D2D2E1C4"
    assert scp02.encrypt_sensitive(keys, K40).hex().upper() == "EFBEE6C6D99D7B70BDE9D7E927F020AF"


def test_key_under_a_static_dek_of_scp03() -> None:
    assert aes_cbc_encrypt(K40, bytes(16), K40).hex().upper() == "80D2A5B08FA0EE51143B459E638106DF"


KEYS = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
BLOCKS = st.integers(1, 6).flatmap(lambda count: st.binary(min_size=16 * count, max_size=16 * count))
IV = st.binary(min_size=16, max_size=16)


@given(KEYS, st.lists(st.tuples(IV, BLOCKS), min_size=1, max_size=6))
def test_a_running_cipher_gives_what_a_fresh_one_gives(key: bytes, messages: list[tuple[bytes, bytes]]) -> None:
    running, mac = AesChannelCipher(key), AesChannelMac(key)
    for iv, data in messages:
        ciphertext = running.cbc_encrypt(iv, data)
        assert ciphertext == aes_cbc_encrypt(key, iv, data)
        assert running.cbc_decrypt(iv, ciphertext) == data == aes_cbc_decrypt(key, iv, ciphertext)
        assert running.encrypt_block(iv) == aes_ecb_encrypt(key, iv)
        assert aes_ecb_decrypt(key, running.encrypt_block(iv)) == iv
        assert mac.mac(data) == aes_cmac(key, data)


def test_cmac_of_the_publication() -> None:
    # NIST SP 800-38B, appendix D.1, examples 1 and 2.
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    assert aes_cmac(key, b"").hex() == "bb1d6929e95937287fa37d129b756746"
    assert aes_cmac(key, bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")).hex() == "070a16b46b4d4144f79bdd9dd04a287c"


@given(st.sampled_from([16, 24]).flatmap(lambda size: st.binary(min_size=size, max_size=size)), BLOCKS)
def test_triple_des_goes_both_ways(key: bytes, data: bytes) -> None:
    assert des3_ecb_decrypt(key, des3_ecb_encrypt(key, data)) == data
    assert des3_cbc_decrypt(key, des3_cbc_encrypt(key, data)) == data
