"""Names, references and factory values of the PIV card application.

NIST SP 800-73-4 part 1 (table 3: data objects and access), part 2 (tables 3, 4b), SP 800-78-4 (algorithm identifiers).
"""

from dataclasses import dataclass
from typing import Final

from card_io import tlv

PACKAGE_AID: Final = bytes.fromhex("A0000003080000")
AID: Final = bytes.fromhex("A000000308000010000100")
RID: Final = bytes.fromhex("A000000308")

PIN, PUK = 0x80, 0x81
MANAGEMENT_KEY: Final = 0x9B

TDES, RSA_2048, AES_128, AES_192, AES_256, P_256, P_384 = 0x03, 0x07, 0x08, 0x0A, 0x0C, 0x11, 0x14
BLOCK_SIZE: Final = {0x00: 8, TDES: 8, AES_128: 16, AES_192: 16, AES_256: 16}
KEY_SIZE: Final = {TDES: 24, AES_128: 16, AES_192: 24, AES_256: 32}

SLOT_AUTHENTICATION, SLOT_SIGNATURE, SLOT_MANAGEMENT, SLOT_CARD = 0x9A, 0x9C, 0x9D, 0x9E
RETIRED: Final = range(0x82, 0x96)
SLOTS: Final = frozenset({SLOT_AUTHENTICATION, SLOT_SIGNATURE, SLOT_MANAGEMENT, SLOT_CARD, *RETIRED})

OBJECT_MAX: Final = 3072
"""Greatest data object, in bytes: as on the chips that are sold."""

_PIN_PROTECTED: Final = frozenset({0x5FC103, 0x5FC108, 0x5FC109, 0x5FC121})
"""Fingerprints, facial image, printed information, iris images."""

DISCOVERY: Final = 0x7E
BIOMETRIC_GROUP: Final = 0x7F61
_OBJECTS: Final = frozenset({DISCOVERY, BIOMETRIC_GROUP, *range(0x5FC101, 0x5FC124)})
_VENDOR: Final = range(0x5FFF00, 0x5FFF20)
"""Where off-the-shelf tools keep data of their own."""


@dataclass(frozen=True)
class FactoryValues:
    """What makers leave on a chip and publish: PIN (6-8 digits), PUK (8 bytes), management key (3DES, 24 bytes)."""

    pin: bytes = b"123456"
    puk: bytes = b"12345678"
    management_key: bytes = bytes.fromhex("010203040506070801020304050607080102030405060708")


def is_object(tag: int) -> bool:
    """Whether the application has a place for that object."""
    return tag in _OBJECTS or tag in _VENDOR


def wants_pin(tag: int) -> bool:
    """Whether reading the object wants the PIN."""
    return tag in _PIN_PROTECTED


def application_template() -> bytes:
    """The answer to SELECT (part 2, table 3): 61 with the name without RID, the naming authority and the label."""
    authority = tlv.encode(0x79, tlv.encode(0x4F, RID))
    return tlv.encode(0x61, tlv.encode(0x4F, AID[5:]) + authority + tlv.encode(0x50, b"PIV"))


def discovery_object() -> bytes:
    """7E: the AID and the PIN policy (5F2F 4000: only the application PIN)."""
    return tlv.encode(DISCOVERY, tlv.encode(0x4F, AID) + tlv.encode(0x5F2F, b"\x40\x00"))
