"""Keys that vouch for code, as the card keeps them: any bytes at all, and signatures that are nearly right."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from card_io import globalplatform as gp
from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.secret import Secret
from card_io.virtual import capfile
from card_io.virtual.memory import Area, Memory
from card_io.virtual.refusal import Refused
from card_io.virtual.verification import VERSIONS, VerificationKeys

KEY = ec.generate_private_key(ec.SECP256R1())
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
DIGEST = bytes(range(32))


def keys() -> VerificationKeys:
    return VerificationKeys(Area(Memory(), "domain/"))


def unchanged(data: bytes) -> bytes:
    return data


def put(store: VerificationKeys, field: bytes, version: int = 0x73, p1: int = 0, p2: int = 1) -> bytes:
    return store.put(CommandAPDU(0x80, 0xD8, p1, p2, bytes([version]) + field, 256), unchanged)


@settings(max_examples=300, deadline=None)
@given(field=st.binary(max_size=200))
def test_any_bytes_are_a_key_or_refused(field: bytes) -> None:
    store = keys()
    try:
        put(store, field)
    except Refused as refused:
        assert refused.sw in {0x6A80, 0x6982}
        assert store.versions() == []
    else:
        assert store.versions() == [0x73]


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 69))
def test_a_key_cut_anywhere_is_refused(cut: int) -> None:
    field = gp.ecc_public_key(POINT, 0).encode()
    assert len(field) == 71
    store = keys()
    with pytest.raises(Refused):
        put(store, field[:cut])
    put(store, field)
    assert store.get(0x73) == {0xB0: POINT, 0xF0: b"\x00"}


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 63), bit=st.integers(0, 7))
def test_a_signature_with_one_bit_wrong_is_not_accepted(at: int, bit: int) -> None:
    store = keys()
    put(store, gp.ecc_public_key(POINT, 0).encode())
    good = gp.sign_with_ecc(gp.ecc_signer(KEY), 256, DIGEST)
    assert store.accept(good, DIGEST)
    wrong = bytearray(good)
    wrong[at] ^= 1 << bit
    assert not store.accept(bytes(wrong), DIGEST)
    assert not store.accept(good, DIGEST[::-1])


@settings(max_examples=200, deadline=None)
@given(signature=st.binary(max_size=140))
def test_noise_is_not_accepted(signature: bytes) -> None:
    store = keys()
    put(store, gp.ecc_public_key(POINT, 0).encode())
    put(store, gp.aes_key(bytes(range(16)), 16, gp_check(bytes(range(16))), gp.AesForm.BARE).encode(), 0x74)
    assert not store.accept(signature, DIGEST)


def gp_check(key: bytes) -> bytes:
    from card_io.ciphers import kcv_aes

    return kcv_aes(key)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_the_range_holds_one_key(version: int) -> None:
    store = keys()
    assert put(store, gp.ecc_public_key(POINT, 0).encode(), version) == bytes([version])
    assert list(store.information()) == [bytes([1, version, 0xB0, 0x40, 0xF0, 0x00])]
    store.delete(version)
    assert store.versions() == []
    with pytest.raises(Refused) as caught:
        store.delete(version)
    assert caught.value.sw == 0x6A88


def test_any_of_several_keys_may_accept() -> None:
    store = keys()
    secret = bytes(range(16))
    put(store, gp.ecc_public_key(POINT, 0).encode())
    answer = put(store, gp.aes_key(secret, 16, gp_check(secret), gp.AesForm.INNER_LENGTH).encode(), 0x74)
    assert answer == b"\x74" + gp_check(secret)
    assert store.accept(gp.sign_with_aes(Secret(secret), DIGEST), DIGEST)
    assert store.accept(gp.sign_with_ecc(gp.ecc_signer(KEY), 256, DIGEST), DIGEST)


def test_a_wrong_check_value_is_refused() -> None:
    store = keys()
    with pytest.raises(Refused) as caught:
        put(store, gp.aes_key(bytes(16), 16, b"\x01\x02\x03", gp.AesForm.INNER_LENGTH).encode())
    assert caught.value.sw == 0x6982
    assert store.versions() == []


FILE = tlv.encode(0xC4, b"code")
DOMAIN = bytes.fromhex("A00000000101")
DAP = gp.DapBlock(DOMAIN, b"signature").encode()


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_load_file_is_its_blocks_in_order(count: int) -> None:
    daps, block = capfile.parse_load_file(DAP * count + FILE)
    assert daps == [(DOMAIN, b"signature")] * count
    assert block == b"code"


@pytest.mark.parametrize(
    "image",
    [
        b"",
        DAP,
        FILE + DAP,
        FILE + FILE,
        DAP + FILE + b"\x00",
        b"\xe2\x00" + FILE,
        b"\xe2\x02\x4f\x00" + FILE,
        tlv.encode(0xE2, tlv.encode(0xC3, b"x")) + FILE,
        tlv.encode(0xD4, b"x"),
        FILE[:-1],
    ],
    ids=range(10),
)
def test_a_load_file_that_is_none_is_refused(image: bytes) -> None:
    with pytest.raises(Refused) as caught:
        capfile.parse_load_file(image)
    assert caught.value.sw == 0x6A80


@settings(max_examples=200, deadline=None)
@given(image=st.binary(max_size=80))
def test_any_image_is_read_or_refused(image: bytes) -> None:
    try:
        _, block = capfile.parse_load_file(image)
    except Refused as refused:
        assert refused.sw == 0x6A80
    else:
        assert image.endswith(block)
