"""The PIV host and the virtual PIV applet, each written from SP 800-73: every use of the card from the factory on."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding

from card_io.applets import piv
from card_io.applets.piv import (
    AdminAlgorithm,
    CertificateTooLarge,
    KeyAlgorithm,
    PinBlocked,
    PivSession,
    Slot,
    WrongPin,
)
from card_io.applets.piv.errors import WrongAdminKey
from card_io.applets.piv.objects import ObjectId
from card_io.connection import Lengths
from card_io.secret import Secret
from card_io.status import StatusWordError
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from tests.support.piv_card import self_signed
from tests.unit.virtual.cards import aes_keys

PIN, PUK = Secret(b"123456"), Secret(b"12345678")
FACTORY = Secret(bytes.fromhex("010203040506070801020304050607080102030405060708"))
DIGESTS = {KeyAlgorithm.ECC_P256: bytes(range(32)), KeyAlgorithm.ECC_P384: bytes(range(48))}


def chip(seed: bytes = b"piv") -> VirtualCard:
    return VirtualCard.blank(seed, initial_keys=aes_keys(), profile="piv")


def opened(card: VirtualCard | None = None, lengths: Lengths = Lengths.CHAINED) -> PivSession:
    return PivSession(InProcessConnection(card or chip()), lengths=lengths)


def managed(card: VirtualCard | None = None, lengths: Lengths = Lengths.CHAINED) -> PivSession:
    session = opened(card, lengths)
    session.authenticate_admin(FACTORY, AdminAlgorithm.TDES, bytes(range(8)))
    session.verify_pin(PIN)
    return session


def test_the_applet_is_selected_and_named() -> None:
    session = opened()
    assert session.properties.label == "PIV"
    assert session.properties.aid == bytes.fromhex("000010000100")


@pytest.mark.parametrize("lengths", Lengths)
@pytest.mark.parametrize("algorithm", DIGESTS)
@pytest.mark.parametrize("slot", [Slot.AUTHENTICATION, Slot.SIGNATURE, Slot.KEY_MANAGEMENT, Slot.CARD_AUTHENTICATION])
def test_ecc_keys_sign_in_every_slot(slot: Slot, algorithm: KeyAlgorithm, lengths: Lengths) -> None:
    session = managed(lengths=lengths)
    public = session.generate_key(slot, algorithm)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    digest = DIGESTS[algorithm]
    session.verify_pin(PIN)
    signature = session.sign(slot, algorithm, digest)
    hashed = hashes.SHA256() if len(digest) == 32 else hashes.SHA384()
    public.verify(signature, digest, ec.ECDSA(Prehashed(hashed)))


@pytest.mark.parametrize("lengths", Lengths)
def test_an_rsa_key_signs_and_deciphers(lengths: Lengths) -> None:
    session = managed(lengths=lengths)
    public = session.generate_key(Slot.KEY_MANAGEMENT, KeyAlgorithm.RSA_2048)
    assert isinstance(public, rsa.RSAPublicKey)
    prefix = bytes.fromhex("3031300D060960864801650304020105000420") + bytes(range(32))
    block = b"\x00\x01" + b"\xff" * (256 - 3 - len(prefix)) + b"\x00" + prefix
    signature = session.sign(Slot.KEY_MANAGEMENT, KeyAlgorithm.RSA_2048, block)
    public.verify(signature, bytes(range(32)), padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    sealed = public.encrypt(b"session key", padding.PKCS1v15())
    opened_block = session.decipher(Slot.KEY_MANAGEMENT, KeyAlgorithm.RSA_2048, sealed)
    assert opened_block.endswith(b"\x00session key")


@pytest.mark.parametrize(
    ("algorithm", "curve"), [(KeyAlgorithm.ECC_P256, ec.SECP256R1()), (KeyAlgorithm.ECC_P384, ec.SECP384R1())]
)
def test_key_agreement_gives_what_the_peer_computes(algorithm: KeyAlgorithm, curve: ec.EllipticCurve) -> None:
    session = managed()
    public = session.generate_key(Slot.KEY_MANAGEMENT, algorithm)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    peer = ec.generate_private_key(curve)
    assert session.agree(Slot.KEY_MANAGEMENT, algorithm, peer.public_key()) == peer.exchange(ec.ECDH(), public)


def test_the_signature_key_wants_its_pin_each_time() -> None:
    session = managed()
    session.generate_key(Slot.SIGNATURE, KeyAlgorithm.ECC_P256)
    session.verify_pin(PIN)
    session.sign(Slot.SIGNATURE, KeyAlgorithm.ECC_P256, bytes(32))
    with pytest.raises(StatusWordError) as caught:
        session.sign(Slot.SIGNATURE, KeyAlgorithm.ECC_P256, bytes(32))
    assert caught.value.sw == 0x6982
    session.verify_pin(PIN)
    session.sign(Slot.SIGNATURE, KeyAlgorithm.ECC_P256, bytes(32))


def test_the_card_key_wants_none() -> None:
    card = chip()
    managed(card).generate_key(Slot.CARD_AUTHENTICATION, KeyAlgorithm.ECC_P256)
    assert opened(card).sign(Slot.CARD_AUTHENTICATION, KeyAlgorithm.ECC_P256, bytes(32))


@pytest.mark.parametrize("size", [600, 1500, 2500])
@pytest.mark.parametrize("lengths", Lengths)
def test_certificates_come_back_as_they_went(size: int, lengths: Lengths) -> None:
    session = managed(lengths=lengths)
    der = self_signed(ec.generate_private_key(ec.SECP256R1()), size).public_bytes(Encoding.DER)
    assert session.certificate(Slot.AUTHENTICATION) is None
    session.put_certificate(Slot.AUTHENTICATION, der)
    assert session.certificate(Slot.AUTHENTICATION) == der
    assert session.certificate(Slot.SIGNATURE) is None


def test_a_certificate_too_large_is_named_and_the_card_goes_on() -> None:
    session = managed()
    der = self_signed(ec.generate_private_key(ec.SECP256R1()), 4000).public_bytes(Encoding.DER)
    with pytest.raises(CertificateTooLarge) as caught:
        session.put_certificate(Slot.AUTHENTICATION, der)
    assert caught.value.size_bytes > 4000
    assert session.certificate(Slot.AUTHENTICATION) is None
    small = self_signed(ec.generate_private_key(ec.SECP256R1()), 100).public_bytes(Encoding.DER)
    session.put_certificate(Slot.AUTHENTICATION, small)
    assert session.certificate(Slot.AUTHENTICATION) == small


OBJECTS = [tag for tag in ObjectId if tag is not ObjectId.DISCOVERY]


@pytest.mark.parametrize("tag", OBJECTS, ids=lambda tag: tag.name)
def test_every_object_of_the_table_is_kept_and_deleted(tag: ObjectId) -> None:
    card = chip()
    session = managed(card)
    content = bytes([0x01, 0x02]) + tag.to_bytes(3, "big") * 30
    session.put_object(tag, content)
    assert session.get_object(tag) == content
    assert managed(card).get_object(tag) == content
    managed(card).put_object(tag, b"")
    assert managed(card).get_object(tag) is None


PROTECTED = [ObjectId(tag) for tag in (0x5FC103, 0x5FC108, 0x5FC109, 0x5FC121)]


@pytest.mark.parametrize("tag", OBJECTS, ids=lambda tag: tag.name)
def test_only_personal_data_want_the_pin(tag: ObjectId) -> None:
    card = chip()
    managed(card).put_object(tag, b"\x01\x00")
    session = opened(card)
    if tag not in PROTECTED:
        assert session.get_object(tag) == b"\x01\x00"
        return
    with pytest.raises(StatusWordError) as caught:
        session.get_object(tag)
    assert caught.value.sw == 0x6982
    session.verify_pin(PIN)
    assert session.get_object(tag) == b"\x01\x00"
    session.log_out()
    with pytest.raises(StatusWordError):
        session.get_object(tag)


def test_nothing_is_written_without_the_admin_key() -> None:
    session = opened()
    session.verify_pin(PIN)
    attempts: list[Callable[[], object]] = [
        lambda: session.put_object(ObjectId.CHUID, b"\x30\x00"),
        lambda: session.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256),
    ]
    for attempt in attempts:
        with pytest.raises(StatusWordError) as caught:
            attempt()
        assert caught.value.sw == 0x6982
    assert session.get_object(ObjectId.CHUID) is None


def test_a_wrong_admin_key_is_named_and_the_right_one_still_works() -> None:
    session = opened()
    for _ in range(5):
        with pytest.raises(WrongAdminKey):
            session.authenticate_admin(Secret(bytes(range(24))), AdminAlgorithm.TDES, bytes(8))
    with pytest.raises(WrongAdminKey):
        session.authenticate_admin(Secret(bytes(16)), AdminAlgorithm.AES_128, bytes(16))
    session.authenticate_admin(FACTORY, AdminAlgorithm.TDES, bytes(8))
    session.put_object(ObjectId.CHUID, b"\x30\x00")


@pytest.mark.parametrize("algorithm", AdminAlgorithm)
def test_the_admin_key_of_every_algorithm(algorithm: AdminAlgorithm) -> None:
    card = chip()
    managed(card)
    key = bytes((0x13 * index + 7) % 256 for index in range(algorithm.key_bytes))
    connection = InProcessConnection(card)
    session = PivSession(connection)
    session.authenticate_admin(FACTORY, AdminAlgorithm.TDES, bytes(8))
    change = bytes([0x00, 0xFF, 0xFF, 0xFF, 3 + len(key), algorithm, 0x9B, len(key)]) + key
    assert connection.transmit(change) == b"\x90\x00"
    again = opened(card)
    again.authenticate_admin(Secret(key), algorithm, bytes(range(algorithm.block_bytes)))
    again.put_object(ObjectId.CHUID, b"\x30\x00")
    with pytest.raises(WrongAdminKey):
        opened(card).authenticate_admin(FACTORY, AdminAlgorithm.TDES, bytes(8))


def test_pins_count_down_block_and_are_unblocked() -> None:
    session = opened()
    assert session.pin_tries_left() == 3
    for left in (2, 1):
        with pytest.raises(WrongPin) as caught:
            session.verify_pin(Secret(b"000000"))
        assert caught.value.tries_left == left
    with pytest.raises(PinBlocked):
        session.verify_pin(Secret(b"000000"))
    with pytest.raises(PinBlocked):
        session.verify_pin(PIN)
    session.unblock_pin(PUK, Secret(b"654321"))
    session.verify_pin(Secret(b"654321"))
    assert session.pin_tries_left() is None
    session.change_pin(Secret(b"654321"), Secret(b"11223344"))
    session.change_puk(PUK, Secret(b"87654321"))
    with pytest.raises(WrongPin):
        session.unblock_pin(PUK, PIN)
    session.unblock_pin(Secret(b"87654321"), PIN)
    session.verify_pin(PIN)


def test_a_right_pin_gives_all_tries_back() -> None:
    session = opened()
    with pytest.raises(WrongPin):
        session.verify_pin(Secret(b"000000"))
    session.verify_pin(PIN)
    session.log_out()
    assert session.pin_tries_left() == 3


def test_the_applet_attests_nothing_and_says_so() -> None:
    session = managed()
    session.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256)
    assert session.attest(Slot.AUTHENTICATION) is None


def test_keys_and_certificates_survive_power() -> None:
    card = chip()
    session = managed(card)
    public = session.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    der = self_signed(ec.generate_private_key(ec.SECP256R1()), 700).public_bytes(Encoding.DER)
    session.put_certificate(Slot.AUTHENTICATION, der)
    card.power_off()
    again = opened(card)
    assert again.certificate(Slot.AUTHENTICATION) == der
    with pytest.raises(StatusWordError):
        again.sign(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256, bytes(32))
    again.verify_pin(PIN)
    signature = again.sign(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256, bytes(32))
    public.verify(signature, bytes(32), ec.ECDSA(Prehashed(hashes.SHA256())))


@pytest.mark.parametrize("slot", [Slot(number) for number in range(0x82, 0x96)], ids=hex)
def test_retired_slots_hold_keys_too(slot: Slot) -> None:
    session = managed()
    public = session.generate_key(slot, KeyAlgorithm.ECC_P256)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    peer = ec.generate_private_key(ec.SECP256R1())
    assert session.agree(slot, KeyAlgorithm.ECC_P256, peer.public_key()) == peer.exchange(ec.ECDH(), public)


def test_a_slot_without_a_key_and_a_key_of_another_kind_are_refused() -> None:
    session = managed()
    with pytest.raises(StatusWordError) as caught:
        session.sign(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256, bytes(32))
    assert caught.value.sw == 0x6A88
    session.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256)
    with pytest.raises(StatusWordError) as caught:
        session.sign(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P384, bytes(48))
    assert caught.value.sw == 0x6A86


def test_the_discovery_object_names_the_applet() -> None:
    content = opened().get_object(ObjectId.DISCOVERY)
    assert content is not None
    assert content.startswith(b"\x4f\x0b" + piv.PIV_AID)
