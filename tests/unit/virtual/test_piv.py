"""The PIV application command by command: NIST SP 800-73-4 part 2."""

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from card_io import tlv
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import CardLost, FaultPlan
from card_io.virtual.piv.card_data import AES_128, AID, OBJECT_MAX, P_256, P_384, RSA_2048, TDES, FactoryValues
from tests.unit.virtual.cards import aes_keys, open_session, send

PIN, PUK = b"123456\xff\xff", b"12345678"
KEY = FactoryValues().management_key
DIGEST = bytes(range(32))


@pytest.fixture
def card() -> VirtualCard:
    made = VirtualCard.blank(b"piv", initial_keys=aes_keys(), profile="piv")
    made.power_on()
    return made


def cipher(algorithm: int, key: bytes) -> "Cipher[modes.ECB]":
    return Cipher(TripleDES(key) if algorithm == TDES else AES(key), modes.ECB())


def decrypt(algorithm: int, key: bytes, block: bytes) -> bytes:
    context = cipher(algorithm, key).decryptor()
    return context.update(block) + context.finalize()


def encrypt(algorithm: int, key: bytes, block: bytes) -> bytes:
    context = cipher(algorithm, key).encryptor()
    return context.update(block) + context.finalize()


def general_authenticate(card: VirtualCard, algorithm: int, slot: int, *items: tuple[int, bytes]) -> tuple[int, bytes]:
    data = tlv.encode(0x7C, b"".join(tlv.encode(tag, value) for tag, value in items))
    answer = send(card, f"0087{algorithm:02X}{slot:02X}", data, 256)
    while answer.sw >> 8 == 0x61:
        more = send(card, "00C00000", b"", 256)
        answer = type(answer)(answer.data + more.data, more.sw)
    return answer.sw, tlv.parse(tlv.single(answer.data, 0x7C))[0].value if answer.data else b""


def manage(card: VirtualCard, algorithm: int = TDES, key: bytes = KEY) -> int:
    """Mutual authentication with the management key."""
    size = 8 if algorithm == TDES else 16
    _, witness = general_authenticate(card, algorithm, 0x9B, (0x80, b""))
    challenge = bytes(range(size))
    items = ((0x80, decrypt(algorithm, key, witness)), (0x81, challenge))
    sw, answer = general_authenticate(card, algorithm, 0x9B, *items)
    assert sw != 0x9000 or answer == encrypt(algorithm, key, challenge)
    return sw


def generate(card: VirtualCard, slot: int, algorithm: int) -> bytes:
    answer = send(card, f"004700{slot:02X}", tlv.encode(0xAC, tlv.encode(0x80, bytes([algorithm]))), 65536)
    assert answer.ok
    return answer.data


def test_selection(card: VirtualCard) -> None:
    for name in (AID, AID[:5], AID[:9]):
        template = tlv.single(send(card, "00A40400", name, 256).data, 0x61)
        assert tlv.require(template, 0x4F) == AID[5:]
        assert tlv.require(template, 0x79, 0x4F) == AID[:5]


def test_the_pin_and_its_counter(card: VirtualCard) -> None:
    assert send(card, "00200080").sw == 0x63C3
    assert send(card, "00200080", b"000000\xff\xff").sw == 0x63C2
    assert send(card, "00200080", PIN).ok
    assert send(card, "00200080").ok
    assert send(card, "0020FF80").ok
    assert send(card, "00200080").sw == 0x63C3
    assert [send(card, "00200080", b"000000\xff\xff").sw for _ in range(4)] == [0x63C2, 0x63C1, 0x6983, 0x6983]
    assert send(card, "002C0080", PUK + b"654321\xff\xff").ok
    assert send(card, "00200080", b"654321\xff\xff").ok


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("00200080", b"123456", 0x6A80),
        ("00200080", b"abcdef\xff\xff", 0x6A80),
        ("00200000", PIN, 0x6A88),
        ("00200180", PIN, 0x6A86),
        ("00240080", PIN + b"1234\xff\xff\xff\xff", 0x6A80),
        ("00240080", PIN, 0x6A80),
        ("00240080", b"000000\xff\xff" + PIN, 0x63C2),
        ("00240082", PIN + PIN, 0x6A88),
        ("00240081", PUK + b"87654321", 0x9000),
        ("002C0080", b"00000000" + PIN, 0x63C2),
        ("002C0081", PUK + PIN, 0x6A88),
        ("00CB3FFF", bytes.fromhex("5C035FC102"), 0x6A82),
        ("00CB3FFF", bytes.fromhex("5C035FC1FF"), 0x6A82),
        ("00CB3FFF", bytes.fromhex("5C035FC109"), 0x6982),
        ("00CB3FFF", bytes.fromhex("4F00"), 0x6A81),
        ("00CB3FFF", bytes.fromhex("5C00"), 0x6A80),
        ("00CB3F00", bytes.fromhex("5C035FC102"), 0x6A86),
        ("00DB3FFF", bytes.fromhex("5C035FC10253020102"), 0x6982),
        ("0047009A", bytes.fromhex("AC03800111"), 0x6982),
        ("00FFFFFF", bytes.fromhex("039B18") + KEY, 0x6982),
        ("0087119A", bytes.fromhex("7C0482008101"), 0x6A80),
        ("0087119A", bytes.fromhex("7C0582008101AA"), 0x6A88),
        ("0087119B", bytes.fromhex("7C028000"), 0x6A86),
        ("0087039B", bytes.fromhex("7C028200"), 0x6982),
        ("00871155", bytes.fromhex("7C0582008101AA"), 0x6A86),
        ("00A50000", b"", 0x6D00),
        ("80CB3FFF", b"", 0x6E00),
    ],
)
def test_refusals(card: VirtualCard, header: str, data: bytes, sw: int) -> None:
    assert send(card, header, data, 256).sw == sw


def test_mutual_and_external_authentication(card: VirtualCard) -> None:
    assert manage(card) == 0x9000
    assert manage(card, key=bytes(range(24))) == 0x6982
    assert send(card, "0047009A", bytes.fromhex("AC03800111"), 256).sw == 0x6982
    _, challenge = general_authenticate(card, TDES, 0x9B, (0x81, b""))
    assert general_authenticate(card, TDES, 0x9B, (0x82, encrypt(TDES, KEY, challenge)))[0] == 0x9000
    assert send(card, "0047009A", bytes.fromhex("AC03800111"), 256).ok
    # The same answer again proves nothing.
    assert general_authenticate(card, TDES, 0x9B, (0x82, encrypt(TDES, KEY, challenge)))[0] == 0x6982


@pytest.mark.parametrize(("algorithm", "size"), [(AES_128, 16), (0x0A, 24), (0x0C, 32)])
def test_aes_management_keys(card: VirtualCard, algorithm: int, size: int) -> None:
    new = bytes(range(size))
    manage(card)
    assert send(card, "00FFFFFF", bytes([algorithm, 0x9B, size - 1]) + new[1:]).sw == 0x6A80
    assert send(card, "00FFFFFF", bytes([algorithm, 0x9B, size]) + new).ok
    assert send(card, "0087039B", bytes.fromhex("7C028000"), 256).sw == 0x6A86
    assert manage(card, algorithm, new) == 0x9000


@pytest.mark.parametrize(
    ("slot", "algorithm", "curve"),
    [(0x9A, P_256, ec.SECP256R1()), (0x9D, P_384, ec.SECP384R1()), (0x95, P_256, ec.SECP256R1())],
)
def test_signatures_and_agreement_on_curves(
    card: VirtualCard, slot: int, algorithm: int, curve: ec.EllipticCurve
) -> None:
    manage(card)
    point = tlv.require(generate(card, slot, algorithm), 0x7F49, 0x86)
    public = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    assert general_authenticate(card, algorithm, slot, (0x82, b""), (0x81, DIGEST))[0] == 0x6982
    send(card, "00200080", PIN)
    sw, signature = general_authenticate(card, algorithm, slot, (0x82, b""), (0x81, DIGEST))
    assert sw == 0x9000
    public.verify(signature, DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))
    peer = ec.generate_private_key(curve)
    numbers = peer.public_key().public_numbers()
    size = curve.key_size // 8
    encoded = b"\x04" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
    sw, shared = general_authenticate(card, algorithm, slot, (0x82, b""), (0x85, encoded))
    assert shared == peer.exchange(ec.ECDH(), public)
    assert general_authenticate(card, algorithm, slot, (0x82, b""), (0x85, encoded[:-1]))[0] == 0x6A80
    assert general_authenticate(card, RSA_2048, slot, (0x82, b""), (0x81, DIGEST))[0] == 0x6A86
    assert general_authenticate(card, algorithm, slot, (0x82, b""))[0] == 0x6A80


def test_the_signature_key_wants_the_pin_right_before(card: VirtualCard) -> None:
    manage(card)
    generate(card, 0x9C, P_256)
    sign = (card, P_256, 0x9C, (0x82, b""), (0x81, DIGEST))
    send(card, "00200080", PIN)
    assert general_authenticate(*sign)[0] == 0x9000
    assert general_authenticate(*sign)[0] == 0x6982
    send(card, "00200080", PIN)
    send(card, "00CB3FFF", bytes.fromhex("5C017E"), 256)
    assert general_authenticate(*sign)[0] == 0x6982
    assert send(card, "00200080").ok


def test_the_card_key_wants_no_pin(card: VirtualCard) -> None:
    manage(card)
    generate(card, 0x9E, P_256)
    card.reset()
    assert general_authenticate(card, P_256, 0x9E, (0x82, b""), (0x81, DIGEST))[0] == 0x9000


def test_rsa_is_raw(card: VirtualCard) -> None:
    manage(card)
    public = generate(card, 0x9A, RSA_2048)
    modulus = int.from_bytes(tlv.require(public, 0x7F49, 0x81), "big")
    send(card, "00200080", PIN)
    info = bytes.fromhex("3031300D060960864801650304020105000420") + DIGEST
    block = b"\x00\x01" + b"\xff" * (256 - 3 - len(info)) + b"\x00" + info
    sw, signature = general_authenticate(card, RSA_2048, 0x9A, (0x82, b""), (0x81, block))
    assert sw == 0x9000
    key = rsa.RSAPublicNumbers(65537, modulus).public_key()
    key.verify(signature, DIGEST, PKCS1v15(), Prehashed(hashes.SHA256()))
    assert general_authenticate(card, RSA_2048, 0x9A, (0x82, b""), (0x81, block[1:]))[0] == 0x6A80
    assert general_authenticate(card, RSA_2048, 0x9A, (0x82, b""), (0x81, b"\xff" * 256))[0] == 0x6A80


@pytest.mark.parametrize("data", ["", "AC00", "AC03800199", "AC03810111"])
def test_generation_refusals(card: VirtualCard, data: str) -> None:
    manage(card)
    assert send(card, "0047009A", bytes.fromhex(data), 256).sw == 0x6A80
    assert send(card, "00470055", bytes.fromhex("AC03800111"), 256).sw == 0x6A86


def put(card: VirtualCard, tag: str, content: bytes) -> int:
    return send(card, "00DB3FFF", bytes.fromhex(f"5C03{tag}") + tlv.encode(0x53, content)).sw


def test_data_objects(card: VirtualCard) -> None:
    manage(card)
    assert put(card, "5FC105", b"certificate" * 50) == 0x9000
    answer = card.process(bytes.fromhex("00CB3FFF0000055C035FC1050000"))
    assert tlv.single(answer[:-2], 0x53) == b"certificate" * 50
    assert put(card, "5FC105", b"") == 0x9000
    assert send(card, "00CB3FFF", bytes.fromhex("5C035FC105"), 256).sw == 0x6A82
    assert put(card, "5FC109", b"printed") == 0x9000
    assert send(card, "00CB3FFF", bytes.fromhex("5C035FC109"), 256).sw == 0x6982
    send(card, "00200080", PIN)
    assert send(card, "00CB3FFF", bytes.fromhex("5C035FC109"), 256).data == tlv.encode(0x53, b"printed")
    assert put(card, "5FC1FF", b"x") == 0x6A82
    assert send(card, "00DB3FFF", bytes.fromhex("5C035FC105")).sw == 0x6A80


def test_a_certificate_too_large_for_the_chip(card: VirtualCard) -> None:
    manage(card)
    assert put(card, "5FC105", bytes(OBJECT_MAX + 1)) == 0x6A84
    assert put(card, "5FC105", bytes(OBJECT_MAX)) == 0x9000


def test_discovery_object(card: VirtualCard) -> None:
    found = tlv.single(send(card, "00CB3FFF", bytes.fromhex("5C017E"), 256).data, 0x7E)
    assert tlv.require(found, 0x4F) == AID
    assert tlv.require(found, 0x5F2F) == b"\x40\x00"


def test_a_torn_write_keeps_the_old_object(card: VirtualCard) -> None:
    manage(card)
    put(card, "5FC105", b"old")
    card.faults = FaultPlan(tear_at_write=1)
    with pytest.raises(CardLost):
        put(card, "5FC105", b"new")
    card.power_on()
    assert send(card, "00CB3FFF", bytes.fromhex("5C035FC105"), 256).data == tlv.encode(0x53, b"old")


def test_it_is_an_applet_among_others(card: VirtualCard) -> None:
    host = open_session(card)
    entry = host.send("80F24002", b"\x4f\x00", 256).data
    assert tlv.require(entry, 0xE3, 0x4F) == AID
    assert host.send("80E62000", b"\x00\x00" + bytes([len(AID)]) + AID + b"\x00\x00\x00", 256).sw == 0x6985
    assert host.send("80E40000", tlv.encode(0x4F, AID), 256).ok
    assert send(card, "00A40400", AID, 256).sw == 0x6A82
