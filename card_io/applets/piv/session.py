"""A session with a PIV applet: admin authentication, PINs, keys, signatures, data objects, attestation.

NIST SP 800-73-5 part 2 §3 (SP 800-73-4 part 2 has the same commands); attestation (INS F9) as Yubico documents it.
Hides the dynamic authentication templates, PIN padding and command chaining.
"""

import hmac
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from card_io import tlv
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.applets.piv.algorithms import (
    PIN_APPLICATION,
    PIV_AID,
    PUK,
    AdminAlgorithm,
    KeyAlgorithm,
    Slot,
)
from card_io.applets.piv.errors import CertificateTooLarge, NotPivCard, PinBlocked, PivError, WrongAdminKey, WrongPin
from card_io.applets.piv.objects import (
    ObjectId,
    certificate_object,
    encode_certificate,
    parse_certificate,
)
from card_io.connection import Connection, Lengths, send
from card_io.errors import UnexpectedAnswer
from card_io.secret import Secret
from card_io.status import NO_SUCH_APPLET, StatusWordError, tries_left

PublicKey = RSAPublicKey | EllipticCurvePublicKey

_TEMPLATE, _WITNESS, _CHALLENGE, _RESPONSE, _EXPONENTIATION = 0x7C, 0x80, 0x81, 0x82, 0x85
_PIN_SIZE = 8
_NOT_FOUND = 0x6A82
_NO_ROOM = 0x6A84


@dataclass(frozen=True, slots=True)
class ApplicationProperties:
    """What SELECT answers: AID, label, and the algorithms that the card names (may be none)."""

    aid: bytes
    label: str
    algorithms: tuple[int, ...]


def _parse_properties(data: bytes) -> ApplicationProperties:
    template = tlv.single(data, 0x61)
    label = tlv.find(template, 0x50) or b""
    algorithms = [item.value[0] for item in tlv.parse(tlv.find(template, 0xAC) or b"") if item.tag == 0x80]
    return ApplicationProperties(
        tlv.require(template, 0x4F), label.decode("utf-8", "replace"), tuple(int(code) for code in algorithms)
    )


def pad_pin(pin: Secret) -> bytes:
    """A PIN of 6 to 8 digits, or a PUK of up to 8 bytes, filled up with FF; `PivError` for another length."""
    value = pin.reveal()
    if not 6 <= len(value) <= _PIN_SIZE:
        raise PivError("a PIN or unblocking code has 6 to 8 characters; enter it again")
    return value.ljust(_PIN_SIZE, b"\xff")


class PivSession:
    """One selected PIV applet; `NotPivCard` when there is none.

    `lengths` says how long data travel: chained (every PIV card) or extended.
    """

    def __init__(self, connection: Connection, *, lengths: Lengths = Lengths.CHAINED) -> None:
        self._connection = connection
        self._lengths = lengths
        command = CommandAPDU(0x00, 0xA4, 0x04, 0x00, PIV_AID, 256)
        answer = self._send(command)
        if answer.sw in NO_SUCH_APPLET:
            raise NotPivCard
        self.properties = _parse_properties(answer.require(command))

    def _send(self, command: CommandAPDU) -> ResponseAPDU:
        return send(self._connection, command, lengths=self._lengths)

    def _ask(self, ins: int, p1: int, p2: int, data: bytes, le: int | None = 256) -> bytes:
        command = CommandAPDU(0x00, ins, p1, p2, data, le)
        return self._send(command).require(command)

    # PINs

    def verify_pin(self, pin: Secret, reference: int = PIN_APPLICATION) -> None:
        """Present the PIN; raises `WrongPin` with the tries left, or `PinBlocked`."""
        self._present(CommandAPDU(0x00, 0x20, 0x00, reference, pad_pin(pin)))

    def pin_tries_left(self, reference: int = PIN_APPLICATION) -> int | None:
        """Tries left, 0 when blocked, None when the PIN is verified already; spends no try."""
        answer = self._send(CommandAPDU(0x00, 0x20, 0x00, reference))
        if answer.ok:
            return None
        left = tries_left(answer.sw)
        if left is None:
            raise StatusWordError(answer.sw, 0x20)
        return left

    def log_out(self, reference: int = PIN_APPLICATION) -> None:
        """Forget that the PIN was verified (SP 800-73-4 and later)."""
        self._ask(0x20, 0xFF, reference, b"", None)

    def change_pin(self, old: Secret, new: Secret) -> None:
        """Change the PIN."""
        self._present(CommandAPDU(0x00, 0x24, 0x00, PIN_APPLICATION, pad_pin(old) + pad_pin(new)))

    def change_puk(self, old: Secret, new: Secret) -> None:
        """Change the unblocking code."""
        self._present(CommandAPDU(0x00, 0x24, 0x00, PUK, pad_pin(old) + pad_pin(new)))

    def unblock_pin(self, puk: Secret, new_pin: Secret) -> None:
        """Set a new PIN with the unblocking code; its tries count apart."""
        self._present(CommandAPDU(0x00, 0x2C, 0x00, PIN_APPLICATION, pad_pin(puk) + pad_pin(new_pin)))

    def _present(self, command: CommandAPDU) -> None:
        answer = self._send(command)
        left = tries_left(answer.sw)
        if left == 0:
            raise PinBlocked
        if left is not None or answer.sw == 0x6300:
            raise WrongPin(left)
        answer.require(command)

    # Admin key

    def authenticate_admin(self, key: Secret, algorithm: AdminAlgorithm, challenge: bytes) -> None:
        """Authenticate both ways with the admin key (9B).

        `challenge` is fresh random of one block: 8 bytes for 3DES, 16 for AES. Raises `WrongAdminKey`.
        """
        value = key.reveal()
        if len(value) != algorithm.key_bytes or len(challenge) != algorithm.block_bytes:
            raise WrongAdminKey(f"an admin key of {len(value)} bytes does not go with {algorithm.name}")
        witness = self._ask_for_admin(algorithm, ((_WITNESS, b""),), _WITNESS)
        if len(witness) != algorithm.block_bytes:
            raise WrongAdminKey("the card's witness has another block size than this algorithm")
        answers = ((_WITNESS, algorithm.decrypt(value, witness)), (_CHALLENGE, challenge))
        response = self._ask_for_admin(algorithm, answers, _RESPONSE)
        if not hmac.compare_digest(response, algorithm.encrypt(value, challenge)):
            raise WrongAdminKey("the card does not have this admin key")

    def _ask_for_admin(self, algorithm: int, items: tuple[tuple[int, bytes], ...], wanted: int) -> bytes:
        """A refusal of either half means another key, or one of another algorithm."""
        try:
            return self._general_authenticate(algorithm, Slot.ADMIN, items, wanted)
        except StatusWordError as error:
            raise WrongAdminKey(f"the card refuses the admin key ({error.sw:04X})") from error

    def _general_authenticate(
        self, algorithm: int, slot: int, items: tuple[tuple[int, bytes], ...], wanted: int
    ) -> bytes:
        inner = b"".join(tlv.encode(tag, value) for tag, value in items)
        answer = self._ask(0x87, algorithm, slot, tlv.encode(_TEMPLATE, inner))
        return tlv.require(answer, _TEMPLATE, wanted)

    # Keys

    def generate_key(self, slot: Slot, algorithm: KeyAlgorithm) -> PublicKey:
        """Make a key pair on the card (admin authentication first); its public key."""
        control = tlv.encode(0xAC, tlv.encode(0x80, bytes([algorithm])))
        return _public_key(self._ask(0x47, 0x00, slot, control), algorithm)

    def sign(self, slot: Slot, algorithm: KeyAlgorithm, block: bytes) -> bytes:
        """Sign: for ECC a digest (longer ones are cut to the curve), for RSA a whole padded block.

        The answer is DER for ECDSA, as long as the modulus for RSA. The PIN comes first where the slot asks for it.
        """
        value = block if algorithm.is_rsa else block[: algorithm.block_bytes]
        if algorithm.is_rsa and len(value) != algorithm.block_bytes:
            raise PivError(f"an RSA block of {len(value)} bytes; pad the digest to {algorithm.block_bytes} bytes")
        return self._general_authenticate(algorithm, slot, ((_RESPONSE, b""), (_CHALLENGE, value)), _RESPONSE)

    decipher = sign
    """RSA deciphering is the same exchange: the ciphertext goes in, the padded block comes out."""

    def agree(self, slot: Slot, algorithm: KeyAlgorithm, peer: EllipticCurvePublicKey) -> bytes:
        """ECDH with a peer's public key on the slot's curve; the shared X coordinate."""
        size = algorithm.block_bytes
        if algorithm.is_rsa or peer.key_size != size * 8:
            raise PivError("the peer's key is on another curve than the slot's key")
        numbers = peer.public_numbers()
        point = b"\x04" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
        items = ((_RESPONSE, b""), (_EXPONENTIATION, point))
        return self._general_authenticate(algorithm, slot, items, _RESPONSE)

    def attest(self, slot: Slot) -> bytes | None:
        """The card's own certificate over a key it made itself (DER), or None for cards that cannot attest."""
        command = CommandAPDU(0x00, 0xF9, slot, 0x00, le=256)
        answer = self._send(command)
        if answer.sw in (0x6D00, 0x6A81, 0x6E00):
            return None
        return answer.require(command)

    # Data objects

    def get_object(self, tag: int) -> bytes | None:
        """The content of a data object, None when it is not there.

        Content is what stands inside 53, or inside the object's own tag for the discovery object and the biometric
        group template.
        """
        command = CommandAPDU(0x00, 0xCB, 0x3F, 0xFF, tlv.encode(0x5C, _object_tag(tag)), 256)
        answer = self._send(command)
        if answer.sw == _NOT_FOUND:
            return None
        data = answer.require(command)
        return tlv.single(data, tag if tag in _OWN_TAG else 0x53)

    def put_object(self, tag: int, content: bytes) -> None:
        """Write a data object (admin authentication first); empty content deletes it."""
        if tag in _OWN_TAG:
            data = tlv.encode(tag, content)
        else:
            data = tlv.encode(0x5C, _object_tag(tag)) + tlv.encode(0x53, content)
        command = CommandAPDU(0x00, 0xDB, 0x3F, 0xFF, data)
        answer = self._send(command)
        if answer.sw == _NO_ROOM:
            raise CertificateTooLarge(len(content))
        answer.require(command)

    def certificate(self, slot: Slot) -> bytes | None:
        """The slot's certificate (DER), None when there is none."""
        content = self.get_object(certificate_object(slot))
        return parse_certificate(content) if content else None

    def put_certificate(self, slot: Slot, der: bytes) -> None:
        """Write the slot's certificate; `CertificateTooLarge` when the chip has no room for it."""
        self.put_object(certificate_object(slot), encode_certificate(der))


_OWN_TAG = (ObjectId.DISCOVERY, ObjectId.BIOMETRIC_GROUPS)


def _object_tag(tag: int) -> bytes:
    return tag.to_bytes((tag.bit_length() + 7) // 8, "big")


def _public_key(data: bytes, algorithm: KeyAlgorithm) -> PublicKey:
    template = tlv.single(data, 0x7F49)
    try:
        if algorithm.is_rsa:
            modulus = int.from_bytes(tlv.require(template, 0x81), "big")
            exponent = int.from_bytes(tlv.require(template, 0x82), "big")
            return RSAPublicNumbers(exponent, modulus).public_key()
        curve = SECP256R1() if algorithm is KeyAlgorithm.ECC_P256 else SECP384R1()
        return EllipticCurvePublicKey.from_encoded_point(curve, tlv.require(template, 0x86))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnexpectedAnswer("the card made a key pair and sent no public key of it; make it again") from error
