"""The PIV host beside an independent client (yubikit): the same commands for the same work, and every refusal named."""

import gzip
from collections.abc import Callable
from datetime import date

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from yubikit import piv as yubikit
from yubikit.core import TRANSPORT
from yubikit.core.smartcard import SmartCardConnection

from card_io.applets import piv
from card_io.applets.piv import AdminAlgorithm, KeyAlgorithm, PivSession, Slot
from card_io.applets.piv.objects import ObjectId
from card_io.errors import UnexpectedAnswer
from card_io.secret import Secret
from card_io.status import StatusWordError
from tests.support.piv_card import Call, PivCard, self_signed

PIN, PUK = Secret(b"123456"), Secret(b"12345678")
ADMIN = {algorithm: bytes(range(1, algorithm.key_bytes + 1)) for algorithm in AdminAlgorithm}
DIGEST = bytes(range(32))


class YubikitConnection(SmartCardConnection):
    """The same card for yubikit."""

    def __init__(self, card: PivCard) -> None:
        self._card = card

    @property
    def transport(self) -> TRANSPORT:
        return TRANSPORT.NFC

    def send_and_receive(self, apdu: bytes) -> tuple[bytes, int]:
        answer = self._card.transmit(apdu)
        return answer[:-2], int.from_bytes(answer[-2:], "big")

    def close(self) -> None:
        self._card.close()


def card(algorithm: AdminAlgorithm = AdminAlgorithm.TDES, **facts: object) -> PivCard:
    return PivCard(ADMIN[algorithm], algorithm, **facts)  # type: ignore[arg-type]


def session(algorithm: AdminAlgorithm = AdminAlgorithm.TDES, **facts: object) -> tuple[PivCard, PivSession]:
    chip = card(algorithm, **facts)
    opened = PivSession(chip)
    opened.verify_pin(PIN)
    opened.authenticate_admin(Secret(ADMIN[algorithm]), algorithm, bytes(algorithm.block_bytes))
    return chip, opened


def assert_same_log(ours: Callable[[PivSession], object], theirs: Callable[[yubikit.PivSession], object]) -> list[Call]:
    """Run the same work with both clients on two cards and compare what each card was told."""
    logs: list[list[Call]] = []
    for index in range(2):
        chip = card()
        chip.verified = chip.is_admin = True
        chip.keys = {0x9A: P256, 0x9D: P256}
        chip.objects[bytes.fromhex("5FC105")] = piv.encode_certificate(CERTIFICATE)
        if index:
            opened = yubikit.PivSession(YubikitConnection(chip))
            chip.log.clear()
            theirs(opened)
        else:
            own = PivSession(chip)
            chip.log.clear()
            ours(own)
        logs.append(chip.log)
    assert logs[0] == logs[1]
    return logs[0]


P256 = ec.generate_private_key(ec.SECP256R1())
PEER = ec.generate_private_key(ec.SECP256R1()).public_key()
X509 = self_signed(P256, 600)
CERTIFICATE = X509.public_bytes(Encoding.DER)


def test_pin_commands_are_those_of_an_independent_client() -> None:
    assert_same_log(lambda own: own.verify_pin(PIN), lambda other: other.verify_pin("123456"))
    assert_same_log(
        lambda own: own.change_pin(PIN, Secret(b"7654321")), lambda other: other.change_pin("123456", "7654321")
    )
    assert_same_log(
        lambda own: own.change_puk(PUK, Secret(b"87654321")), lambda other: other.change_puk("12345678", "87654321")
    )
    assert_same_log(
        lambda own: own.unblock_pin(PUK, Secret(b"654321")), lambda other: other.unblock_pin("12345678", "654321")
    )


def test_object_commands_are_those_of_an_independent_client() -> None:
    assert_same_log(
        lambda own: own.put_certificate(Slot.SIGNATURE, CERTIFICATE),
        lambda other: other.put_certificate(yubikit.SLOT.SIGNATURE, X509),
    )
    assert_same_log(
        lambda own: own.put_certificate(Slot.RETIRED_20, CERTIFICATE),
        lambda other: other.put_certificate(yubikit.SLOT.RETIRED20, X509),
    )
    assert_same_log(
        lambda own: own.certificate(Slot.AUTHENTICATION),
        lambda other: other.get_certificate(yubikit.SLOT.AUTHENTICATION),
    )
    assert_same_log(
        lambda own: own.put_object(ObjectId.CHUID, b"\x30\x00"),
        lambda other: other.put_object(yubikit.OBJECT_ID.CHUID, b"\x30\x00"),
    )


def test_key_commands_are_those_of_an_independent_client() -> None:
    # The client asks for its own policies only from version 4 on; the standard's template has the algorithm alone.
    assert_same_log(
        lambda own: own.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P384),
        lambda other: other.generate_key(yubikit.SLOT.AUTHENTICATION, yubikit.KEY_TYPE.ECCP384),
    )
    assert_same_log(
        lambda own: own.sign(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256, DIGEST),
        lambda other: other.sign(
            yubikit.SLOT.AUTHENTICATION,
            yubikit.KEY_TYPE.ECCP256,
            DIGEST,
            Prehashed(hashes.SHA256()),  # type: ignore[arg-type]
        ),
    )
    assert_same_log(
        lambda own: own.agree(Slot.KEY_MANAGEMENT, KeyAlgorithm.ECC_P256, PEER),
        lambda other: other.calculate_secret(yubikit.SLOT.KEY_MANAGEMENT, PEER),
    )

    def attest(other: yubikit.PivSession) -> None:
        with pytest.raises(ValueError, match=r"ASN\.1|parsing"):  # what the card sends is no certificate
            other.attest_key(yubikit.SLOT.AUTHENTICATION)

    assert_same_log(lambda own: own.attest(Slot.AUTHENTICATION), attest)


@pytest.mark.parametrize("algorithm", list(AdminAlgorithm))
def test_the_admin_key_authenticates_both_ways(algorithm: AdminAlgorithm) -> None:
    chip, opened = session(algorithm)
    assert chip.is_admin
    opened.put_object(ObjectId.CHUID, b"")
    other = card(algorithm, version=b"\x05\x04\x03")
    yubikit.PivSession(YubikitConnection(other)).authenticate(ADMIN[algorithm])
    assert other.is_admin
    ours = [call[:3] for call in chip.log if call[0] == 0x87]
    assert ours == [call[:3] for call in other.log if call[0] == 0x87]


def test_a_wrong_admin_key_is_named() -> None:
    opened = PivSession(card())
    with pytest.raises(piv.WrongAdminKey, match="6982"):
        opened.authenticate_admin(Secret(bytes(24)), AdminAlgorithm.TDES, bytes(8))
    with pytest.raises(piv.WrongAdminKey, match="16 bytes does not go with TDES"):
        opened.authenticate_admin(Secret(bytes(16)), AdminAlgorithm.TDES, bytes(8))
    with pytest.raises(piv.WrongAdminKey, match="block size"):
        opened.authenticate_admin(Secret(bytes(16)), AdminAlgorithm.AES_128, bytes(16))


def test_a_card_that_only_pretends_to_have_the_admin_key_is_named() -> None:
    class Pretender(PivCard):
        def _authenticate(self, items: dict[int, bytes]) -> bytes:
            return (
                super()._authenticate(items) if items.get(0x80) == b"" else b"\x7c\x0a\x82\x08" + bytes(8) + b"\x90\x00"
            )

    with pytest.raises(piv.WrongAdminKey, match="does not have"):
        PivSession(Pretender(ADMIN[AdminAlgorithm.TDES])).authenticate_admin(
            Secret(ADMIN[AdminAlgorithm.TDES]), AdminAlgorithm.TDES, bytes(range(8))
        )


def test_pins_count_down_and_are_unblocked() -> None:
    chip = card()
    opened = PivSession(chip)
    assert opened.pin_tries_left() == 3
    for left in (2, 1):
        with pytest.raises(piv.WrongPin) as caught:
            opened.verify_pin(Secret(b"000000"))
        assert caught.value.tries_left == left
    with pytest.raises(piv.PinBlocked, match="unblock"):
        opened.verify_pin(Secret(b"000000"))
    with pytest.raises(piv.PinBlocked):
        opened.verify_pin(PIN)
    opened.unblock_pin(PUK, Secret(b"999999"))
    opened.verify_pin(Secret(b"999999"))
    assert opened.pin_tries_left() is None
    opened.log_out()
    assert opened.pin_tries_left() == 3


@pytest.mark.parametrize("pin", [b"12345", b"123456789", b""])
def test_a_pin_of_impossible_length_spends_no_try(pin: bytes) -> None:
    chip = card()
    opened = PivSession(chip)
    with pytest.raises(piv.PivError, match="6 to 8"):
        opened.verify_pin(Secret(pin))
    assert [call[0] for call in chip.log] == [0xA4]


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.ECC_P256, KeyAlgorithm.ECC_P384])
def test_ecdsa_signatures_verify_under_the_generated_key(algorithm: KeyAlgorithm) -> None:
    _, opened = session()
    key = opened.generate_key(Slot.SIGNATURE, algorithm)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    digest_type = hashes.SHA256() if algorithm is KeyAlgorithm.ECC_P256 else hashes.SHA384()
    digest = bytes(range(algorithm.block_bytes))
    signature = opened.sign(Slot.SIGNATURE, algorithm, digest + b"more than the curve takes")
    key.verify(signature, digest, ec.ECDSA(Prehashed(digest_type)))


def test_rsa_signs_a_whole_block_and_deciphers() -> None:
    _, opened = session()
    key = opened.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.RSA_2048)
    assert isinstance(key, rsa.RSAPublicKey)
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    block = b"\x00\x01" + b"\xff" * (256 - 3 - len(prefix) - 32) + b"\x00" + prefix + DIGEST
    signature = opened.sign(Slot.AUTHENTICATION, KeyAlgorithm.RSA_2048, block)
    key.verify(signature, DIGEST, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    ciphertext = key.encrypt(b"hello", padding.PKCS1v15())
    assert opened.decipher(Slot.AUTHENTICATION, KeyAlgorithm.RSA_2048, ciphertext).endswith(b"\x00hello")
    with pytest.raises(piv.PivError, match="pad the digest"):
        opened.sign(Slot.AUTHENTICATION, KeyAlgorithm.RSA_2048, DIGEST)


def test_key_agreement_gives_what_the_peer_computes() -> None:
    _, opened = session()
    key = opened.generate_key(Slot.KEY_MANAGEMENT, KeyAlgorithm.ECC_P256)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    peer = ec.generate_private_key(ec.SECP256R1())
    shared = opened.agree(Slot.KEY_MANAGEMENT, KeyAlgorithm.ECC_P256, peer.public_key())
    assert shared == peer.exchange(ec.ECDH(), key)
    wrong = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(piv.PivError, match="another curve"):
        opened.agree(Slot.KEY_MANAGEMENT, KeyAlgorithm.ECC_P256, wrong)


def test_refusals_of_keys_keep_their_status_word() -> None:
    opened = PivSession(card())
    with pytest.raises(StatusWordError) as caught:
        opened.sign(Slot.SIGNATURE, KeyAlgorithm.ECC_P256, DIGEST)
    assert caught.value.sw == 0x6982
    with pytest.raises(StatusWordError) as caught:
        opened.generate_key(Slot.SIGNATURE, KeyAlgorithm.ECC_P256)
    assert caught.value.sw == 0x6982


def test_certificates_come_back_plain_and_compressed() -> None:
    chip, opened = session()
    assert opened.certificate(Slot.AUTHENTICATION) is None
    opened.put_certificate(Slot.AUTHENTICATION, CERTIFICATE)
    assert opened.certificate(Slot.AUTHENTICATION) == CERTIFICATE
    other = yubikit.PivSession(YubikitConnection(chip))
    other.put_certificate(yubikit.SLOT.SIGNATURE, X509, True)
    assert opened.certificate(Slot.SIGNATURE) == CERTIFICATE
    opened.put_object(piv.certificate_object(Slot.AUTHENTICATION), b"")
    assert opened.certificate(Slot.AUTHENTICATION) is None


def test_a_certificate_too_large_is_named_and_the_card_goes_on() -> None:
    chip, opened = session(room=400)
    with pytest.raises(piv.CertificateTooLarge) as caught:
        opened.put_certificate(Slot.AUTHENTICATION, CERTIFICATE)
    assert caught.value.size_bytes > len(CERTIFICATE)
    assert chip.is_admin
    assert opened.certificate(Slot.AUTHENTICATION) is None


@pytest.mark.parametrize(
    "packed",
    [b"no gzip", gzip.compress(CERTIFICATE)[:-9], gzip.compress(bytes(1 << 20)), b""],
    ids=["no gzip", "cut short", "endless", "empty"],  # of the bytes they would be others in every worker
)
def test_a_damaged_or_endless_compressed_certificate_is_refused(packed: bytes) -> None:
    content = piv.encode_certificate(packed).replace(b"\x71\x01\x00", b"\x71\x01\x01")
    with pytest.raises(UnexpectedAnswer, match="write it again"):
        piv.parse_certificate(content)


def test_slots_know_the_objects_of_their_certificates() -> None:
    expected = {Slot(int(slot)): int(yubikit.OBJECT_ID.from_slot(slot)) for slot in yubikit.SLOT if slot != 0x9B}
    for slot, tag in expected.items():
        assert piv.certificate_object(slot) == tag
    with pytest.raises(UnexpectedAnswer):
        piv.certificate_object(Slot.ADMIN)
    assert {int(item) for item in ObjectId} >= {int(item) for item in yubikit.OBJECT_ID if item < 0x5FC10D} - {0x5FFF01}


def test_select_tells_what_the_card_is() -> None:
    opened = PivSession(card())
    assert opened.properties.label == "PIV card"
    assert opened.properties.algorithms == (0x07, 0x11, 0x14)


def test_attestation_is_none_where_the_card_has_none() -> None:
    _, opened = session(attests=False)
    assert opened.attest(Slot.AUTHENTICATION) is None
    _, opened = session()
    attested = opened.attest(Slot.AUTHENTICATION)
    assert attested is not None
    assert len(attested) == 400


def test_the_objects_with_their_own_tag() -> None:
    chip, opened = session()
    chip.objects[b"\x7e"] = bytes.fromhex("4F0BA0000003080000100001005F2F026010")
    content = opened.get_object(ObjectId.DISCOVERY)
    assert content is not None
    discovery = piv.parse_discovery(content)
    assert discovery.aid.startswith(piv.PIV_AID)
    assert discovery.pin_policy == 0x6010
    assert discovery.global_pin_works
    opened.put_object(ObjectId.DISCOVERY, content)
    assert chip.log[-1][3][:1] == b"\x7e"


def test_the_identifier_and_the_key_history_are_read_back() -> None:
    chuid = piv.Chuid(bytes(25), bytes(range(16)), date(2031, 6, 30), b"\x30\x00")
    assert piv.parse_chuid(chuid.encode()) == chuid
    assert b"20310630" in chuid.encode()
    with pytest.raises(UnexpectedAnswer, match="no date"):
        piv.parse_chuid(chuid.encode().replace(b"20310630", b"20311331"))
    history = piv.KeyHistory(3, 1, "http://example.org/certs")
    assert piv.parse_key_history(history.encode()) == history
    assert piv.parse_key_history(piv.KeyHistory(0, 0).encode()).url == ""
    with pytest.raises(UnexpectedAnswer):
        piv.parse_key_history(bytes.fromhex("C1020000C20100"))


def test_a_key_pair_without_public_key_is_named() -> None:
    class Silent(PivCard):
        def _generate(self, slot: int, data: bytes) -> bytes:
            return b"\x7f\x49\x03\x86\x01\x04\x90\x00"

    opened = PivSession(Silent(ADMIN[AdminAlgorithm.TDES]))
    with pytest.raises(UnexpectedAnswer, match="make it again"):
        opened.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256)
