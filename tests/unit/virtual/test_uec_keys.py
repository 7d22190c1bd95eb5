"""Keys on the card: signatures that the public key confirms, PIN2 once a signature, agreement, proof against clones."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from card_io import tlv
from card_io.applets.uec import layout, personalisation
from card_io.applets.uec.layout import KeyAlgorithm, KeySlot, KeyUse, Rule
from card_io.virtual.asymmetric import sign_hash
from card_io.virtual.card import VirtualCard
from tests.unit.virtual.cards import (
    begin_personalisation,
    blank,
    finished,
    install_uec,
    open_session,
    personalise,
    send,
)

DIGEST = bytes(range(32))
SHA256 = hashes.SHA256()


def point(public: bytes) -> ec.EllipticCurvePublicKey:
    encoded = tlv.require(public, 0x7F49, 0x86)
    curve: ec.EllipticCurve = ec.SECP256R1() if len(encoded) == 65 else ec.SECP384R1()
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, encoded)


@pytest.fixture
def made() -> tuple[VirtualCard, dict[int, bytes]]:
    card = blank()
    public = personalise(card)
    card.reset()
    return card, public


Made = tuple[VirtualCard, dict[int, bytes]]


def choose(card: VirtualCard, slot: int, template: str = "B6", algorithm: str = "800120") -> None:
    assert send(card, f"002241{template}", bytes.fromhex(algorithm) + bytes([0x84, 1, slot])).ok


def test_a_signature_of_the_authentication_key(made: Made) -> None:
    card, public = made
    choose(card, 1)
    assert send(card, "002A9E9A", DIGEST, 256).sw == 0x6982
    send(card, "00200001", b"1234")
    for _ in range(2):
        signature = send(card, "002A9E9A", DIGEST, 256).data
        point(public[1]).verify(signature, DIGEST, ec.ECDSA(Prehashed(SHA256)))


def test_the_signature_key_wants_pin2_each_time(made: Made) -> None:
    card, public = made
    choose(card, 2)
    send(card, "00200001", b"1234")
    assert send(card, "002A9E9A", DIGEST, 256).sw == 0x6982
    send(card, "00200002", b"123456")
    signature = send(card, "002A9E9A", DIGEST, 256).data
    point(public[2]).verify(signature, DIGEST, ec.ECDSA(Prehashed(SHA256)))
    assert send(card, "002A9E9A", DIGEST, 256).sw == 0x6982
    assert send(card, "00200002").sw == 0x63C3


@pytest.mark.parametrize(
    ("digest", "hash_algorithm"),
    [
        (bytes(20), hashes.SHA1()),
        (bytes(28), hashes.SHA224()),
        (b"\xab" * 48, hashes.SHA384()),
        (b"\xcd" * 64, hashes.SHA512()),
    ],
)
def test_hashes_of_other_lengths(made: Made, digest: bytes, hash_algorithm: hashes.HashAlgorithm) -> None:
    card, public = made
    choose(card, 1)
    send(card, "00200001", b"1234")
    signature = send(card, "002A9E9A", digest, 256).data
    point(public[1]).verify(signature, digest, ec.ECDSA(Prehashed(hash_algorithm)))


@pytest.mark.parametrize("digest", [b"", bytes(65)])
def test_no_hash_is_that_long(made: Made, digest: bytes) -> None:
    card, _ = made
    choose(card, 1)
    send(card, "00200001", b"1234")
    assert send(card, "002A9E9A", digest, 256).sw == 0x6A80


@pytest.mark.parametrize("slot", [3, 4])
def test_a_key_does_only_what_it_was_made_for(made: Made, slot: int) -> None:
    card, _ = made
    choose(card, slot)
    send(card, "00200001", b"1234")
    assert send(card, "002A9E9A", DIGEST, 256).sw == 0x6985


def test_key_agreement_gives_both_the_same_secret(made: Made) -> None:
    card, public = made
    peer = ec.generate_private_key(ec.SECP256R1())
    encoded = peer.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    choose(card, 3, "B8", "")
    assert send(card, "002A8086", encoded, 256).sw == 0x6982
    send(card, "00200001", b"1234")
    expected = peer.exchange(ec.ECDH(), point(public[3]))
    assert send(card, "002A8086", encoded, 256).data == expected
    wrapped = tlv.encode(0xA6, tlv.encode(0x7F49, tlv.encode(0x86, encoded)))
    assert send(card, "002A8086", wrapped, 256).data == expected
    assert send(card, "002A8086", encoded[:-1] + bytes([encoded[-1] ^ 1]), 256).sw == 0x6A80
    assert send(card, "002A8086", b"\xa6\x00", 256).sw == 0x6A80


def test_the_card_proves_itself_without_a_pin(made: Made) -> None:
    card, public = made
    challenge = b"challenge-" * 2
    signature = send(card, "00880004", challenge, 256).data
    point(public[4]).verify(signature, challenge, ec.ECDSA(SHA256))
    with pytest.raises(InvalidSignature):
        point(public[4]).verify(signature, challenge + b"x", ec.ECDSA(SHA256))


@pytest.mark.parametrize(
    ("header", "size", "sw"),
    [
        ("00880004", 15, 0x6700),
        ("00880004", 65, 0x6700),
        ("00880104", 16, 0x6A86),
        ("00880001", 16, 0x6985),
        ("00880009", 16, 0x6A88),
    ],
)
def test_internal_authenticate_refusals(made: Made, header: str, size: int, sw: int) -> None:
    assert send(made[0], header, bytes(size), 256).sw == sw


def test_public_keys_can_be_read_again_and_not_made_again(made: Made) -> None:
    card, public = made
    for slot, expected in public.items():
        assert send(card, "00478100", bytes([0xB6, 3, 0x83, 1, slot]), 256).data == expected
    assert send(card, "00478000", bytes.fromhex("B603830101"), 256).sw == 0x6985
    assert send(card, "00478100", bytes.fromhex("B603830109"), 256).sw == 0x6A88
    assert send(card, "00478100", b"", 256).sw == 0x6A88


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("002241B6", "840102", 0x9000),
        ("002241B6", "8102501580012184010A", 0x9000),
        ("002241B6", "800199", 0x6A80),
        ("002241B6", "84020101", 0x6A80),
        ("002241B6", "950140", 0x6A80),
        ("002241B6", "84", 0x6A80),
        ("002241AA", "840102", 0x6A86),
        ("002281B6", "840102", 0x6A86),
        ("0022F300", "", 0x9000),
        ("0022F305", "", 0x6A88),
    ],
)
def test_security_environment(made: Made, header: str, data: str, sw: int) -> None:
    assert send(made[0], header, bytes.fromhex(data)).sw == sw


def test_restoring_forgets_the_key(made: Made) -> None:
    card, _ = made
    choose(card, 1)
    send(card, "00200001", b"1234")
    send(card, "0022F300")
    assert send(card, "002A9E9A", DIGEST, 256).sw == 0x6985


def test_isoapplet_before_version_1_leaves_the_hash_to_the_card(made: Made) -> None:
    card, public = made
    assert send(card, "00A40400", layout.ISOAPPLET_AID, 256).data == layout.ISOAPPLET_SELECT_ANSWER
    choose(card, 1, algorithm="800121")
    send(card, "00200001", b"1234")
    message = b"a message, not a hash"
    signature = send(card, "002A9E9A", message, 256).data
    point(public[1]).verify(signature, message, ec.ECDSA(hashes.SHA1()))


@pytest.mark.parametrize("way", ["asked for the version", "asked and selected again", "selected without an answer"])
def test_isoapplet_from_version_1_gets_the_given_hash_signed(made: Made, way: str) -> None:
    card, public = made
    if way.startswith("asked"):
        send(card, "00A40400", layout.ISOAPPLET_AID, 256)
        assert send(card, "00CA0101", b"", 3).data == layout.ISOAPPLET_VERSION
        if way.endswith("again"):
            send(card, "00A40400", layout.ISOAPPLET_AID, 256)
    else:
        assert send(card, "00A4040C", layout.ISOAPPLET_AID).data == b""
    choose(card, 1, algorithm="800121")
    send(card, "00200001", b"1234")
    signature = send(card, "002A9E9A", DIGEST, 256).data
    point(public[1]).verify(signature, DIGEST, ec.ECDSA(Prehashed(SHA256)))


def test_other_algorithms_for_a_profile_that_wants_them() -> None:
    """P-384 and RSA-2048 in the slots of the default profile's P-256."""
    card = blank()
    host = open_session(card)
    install_uec(host)
    begin_personalisation(host)
    specs = (
        personalisation.KeySpec(KeySlot.AUTHENTICATION, KeyAlgorithm.EC_P384, Rule.ALWAYS, KeyUse.SIGN),
        personalisation.KeySpec(KeySlot.CARD, KeyAlgorithm.RSA_2048, Rule.ALWAYS, KeyUse.SIGN),
    )
    public = [host.send(f"80E209{at:02X}", personalisation.generate_key(spec), 256) for at, spec in enumerate(specs)]
    assert point(public[0].data).key_size == 384
    assert len(tlv.require(public[1].data, 0x7F49, 0x81)) == 256


def test_a_profile_may_have_key_slots_of_its_own() -> None:
    card = blank()
    host = open_session(card)
    install_uec(host)
    begin_personalisation(host)
    spec = personalisation.KeySpec(0x0F, KeyAlgorithm.EC_P256, Rule.PIN1, KeyUse.SIGN)
    public = host.send("80E20900", personalisation.generate_key(spec), 256).data
    card.reset()
    assert send(card, "00CADF22", b"", 256).data == bytes.fromhex("0F010101")
    assert send(card, "00478100", bytes.fromhex("B60383010F"), 256).data == public


def test_rsa_signature_over_a_digest_info() -> None:
    private = rsa.generate_private_key(65537, 2048)
    digest_info = bytes.fromhex("3031300D060960864801650304020105000420") + DIGEST
    private.public_key().verify(sign_hash(private, digest_info), DIGEST, PKCS1v15(), Prehashed(SHA256))


def test_challenges_are_fresh_and_as_long_as_asked() -> None:
    card = finished()
    first, second = (send(card, "00840000", b"", 16).data for _ in range(2))
    assert len(first) == len(second) == 16
    assert first != second
    assert send(card, "00840100", b"", 16).sw == 0x6A86


def test_nothing_is_possible_before_the_end_of_the_personalisation() -> None:
    card = blank()
    personalise(card, finish=False)
    card.reset()
    assert send(card, "00CADF20", b"", 256).data == bytes.fromhex("010007")
    choose(card, 1)
    assert send(card, "00200001", b"1234").sw == 0x6985
    assert send(card, "002A9E9A", DIGEST, 256).sw == 0x6985
    assert send(card, "00880004", bytes(16), 256).sw == 0x6985
    assert send(card, "00240001", b"12345678").sw == 0x6985
