"""Commands to a PIV applet as steps of a bundle, and what their answers hold.

NIST SP 800-73-4 part 2, chapter 3; long data are chained (part 2, 2.4: CLA 10), which every PIV card understands.
SET MANAGEMENT KEY is no command of NIST's: it is the one of Yubico, which other applets have taken over.
"""

from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.applets.piv import PIV_AID, AdminAlgorithm
from card_io.applets.piv import KeyAlgorithm as PivAlgorithm
from card_io.errors import CardError
from card_io.secret import Secret
from issuance.production.asking import body
from issuance.production.bundle import SW_OK, Step
from issuance.production.errors import Counterfeit
from issuance.production.profile import KeyAlgorithm, KeySlot

PART_MAX = 255
CHAINED = 0x10
TEMPLATE, WITNESS, CHALLENGE, RESPONSE, EXPONENTIATION = 0x7C, 0x80, 0x81, 0x82, 0x85
ADMIN_SLOT = 0x9B
PIN_BYTES = 8
ALGORITHMS = {
    KeyAlgorithm.EC_P256: PivAlgorithm.ECC_P256,
    KeyAlgorithm.EC_P384: PivAlgorithm.ECC_P384,
    KeyAlgorithm.RSA_2048: PivAlgorithm.RSA_2048,
}
TRIES_LEFT = tuple(range(0x63C0, 0x63D0))
SW_BLOCKED = 0x6983
SW_NOT_FOUND = 0x6A82


def select(label: str = "find_applet", expect: tuple[int, ...] = (SW_OK,)) -> Step:
    """SELECT the PIV application by its AID without version."""
    return Step(CommandAPDU(0x00, 0xA4, 0x04, 0x00, PIV_AID, 256).encode(), expect, label)


def chained(
    ins: int, p1: int, p2: int, data: bytes, label: str, *, expect: tuple[int, ...] = (SW_OK,), le: int | None = None
) -> list[Step]:
    """One command in as many parts as its data need; `expect` and `le` are those of the last one."""
    parts = [data[at : at + PART_MAX] for at in range(0, len(data), PART_MAX)] or [b""]
    steps = [Step(CommandAPDU(CHAINED, ins, p1, p2, part).encode(), (SW_OK,), label) for part in parts[:-1]]
    return [*steps, Step(CommandAPDU(0x00, ins, p1, p2, parts[-1], le).encode(), expect, label)]


def general_authenticate(
    algorithm: int, slot: int, items: Sequence[tuple[int, bytes]], label: str, expect: tuple[int, ...] = (SW_OK,)
) -> list[Step]:
    """GENERAL AUTHENTICATE (3.2.4) with these objects in its template."""
    inner = b"".join(tlv.encode(tag, value) for tag, value in items)
    return chained(0x87, algorithm, slot, tlv.encode(TEMPLATE, inner), label, expect=expect, le=256)


def authenticated(response: bytes, tag: int) -> bytes:
    """An object out of the answer's template; `Counterfeit` when it is not there."""
    try:
        return tlv.require(body(response), TEMPLATE, tag)
    except CardError as error:
        raise Counterfeit("general authenticate", "its answer is no template of PIV") from error


def get_object(tag: int, label: str = "read_files", expect: tuple[int, ...] = (SW_OK, SW_NOT_FOUND)) -> Step:
    """GET DATA (3.1.2)."""
    wanted = tlv.encode(0x5C, tlv.tag_bytes(tag))
    return Step(CommandAPDU(0x00, 0xCB, 0x3F, 0xFF, wanted, 256).encode(), expect, label)


def put_object(tag: int, content: bytes, label: str, expect: tuple[int, ...] = (SW_OK,)) -> list[Step]:
    """PUT DATA (3.3.2); `content` is what stands inside 53."""
    data = tlv.encode(0x5C, tlv.tag_bytes(tag)) + tlv.encode(0x53, content)
    return chained(0xDB, 0x3F, 0xFF, data, label, expect=expect)


def generate(key: KeySlot) -> list[Step]:
    """GENERATE ASYMMETRIC KEY PAIR (3.3.1)."""
    control = tlv.encode(0xAC, tlv.encode(0x80, bytes([ALGORITHMS[key.algorithm]])))
    return chained(0x47, 0x00, key.reference, control, "make_keys", le=256)


def set_admin_key(algorithm: AdminAlgorithm, key: Secret) -> Step:
    """Yubico's SET MANAGEMENT KEY: algorithm, key reference, length, key; no touch is asked for (P2 FF)."""
    value = key.reveal()
    data = bytes([algorithm, ADMIN_SLOT, len(value)]) + value
    return Step(CommandAPDU(0x00, 0xFF, 0xFF, 0xFF, data).encode(), label="change_keys")


def padded(pin: Secret) -> bytes:
    """A PIN or PUK as it travels: eight bytes, filled up with FF (part 1, 4.3)."""
    return pin.reveal().ljust(PIN_BYTES, b"\xff")


def verify(reference: int, pin: Secret) -> Step:
    """VERIFY (3.2.1)."""
    return Step(CommandAPDU(0x00, 0x20, 0x00, reference, padded(pin)).encode(), label="verify_pin")


def ask_tries(reference: int) -> Step:
    """VERIFY without data: the tries left, none spent."""
    return Step(CommandAPDU(0x00, 0x20, 0x00, reference).encode(), (SW_OK, SW_BLOCKED, *TRIES_LEFT), "find_applet")


def change_reference(reference: int, old: Secret, new: Secret, label: str, expect: tuple[int, ...] = (SW_OK,)) -> Step:
    """CHANGE REFERENCE DATA (3.2.2)."""
    data = padded(old) + padded(new)
    return Step(CommandAPDU(0x00, 0x24, 0x00, reference, data).encode(), expect, label)


def reset_retry_counter(reference: int, puk: Secret, new: Secret, label: str) -> Step:
    """RESET RETRY COUNTER (3.2.3): the PUK sets a PIN, whatever the present one is."""
    return Step(CommandAPDU(0x00, 0x2C, 0x00, reference, padded(puk) + padded(new)).encode(), label=label)


def public_key(algorithm: KeyAlgorithm, response: bytes) -> bytes:
    """The SubjectPublicKeyInfo (DER) of a key pair just made: 7F49 around 86, or 81 and 82; raises `Counterfeit`."""
    try:
        made: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
        template = tlv.single(body(response), 0x7F49)
        if algorithm is KeyAlgorithm.RSA_2048:
            modulus = int.from_bytes(tlv.require(template, 0x81), "big")
            exponent = int.from_bytes(tlv.require(template, 0x82), "big")
            made = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        else:
            curve = ec.SECP256R1() if algorithm is KeyAlgorithm.EC_P256 else ec.SECP384R1()
            made = ec.EllipticCurvePublicKey.from_encoded_point(curve, tlv.require(template, 0x86))
    except (CardError, ValueError, UnsupportedAlgorithm) as error:
        raise Counterfeit("key generation", "it sent no public key of the key pair it made") from error
    return made.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
