"""The data objects of a PIV card: identifiers, certificates, CHUID, discovery, key history.

NIST SP 800-73-5 part 1 §3, table 3 and appendix A (SP 800-73-4 has the same encodings). Builders and parsers only.
"""

import zlib
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

from card_io import tlv
from card_io.applets.piv.algorithms import Slot
from card_io.errors import UnexpectedAnswer

_CERTIFICATE_MAX = 1 << 16
_GZIP = 0x01


class ObjectId(IntEnum):
    """Tags of the data objects (BER-TLV tag column of table 3)."""

    CARD_CAPABILITY_CONTAINER = 0x5FC107
    CHUID = 0x5FC102
    AUTHENTICATION_CERTIFICATE = 0x5FC105
    FINGERPRINTS = 0x5FC103
    SECURITY_OBJECT = 0x5FC106
    FACIAL_IMAGE = 0x5FC108
    CARD_AUTHENTICATION_CERTIFICATE = 0x5FC101
    SIGNATURE_CERTIFICATE = 0x5FC10A
    KEY_MANAGEMENT_CERTIFICATE = 0x5FC10B
    PRINTED_INFORMATION = 0x5FC109
    DISCOVERY = 0x7E
    KEY_HISTORY = 0x5FC10C
    IRIS_IMAGES = 0x5FC121
    BIOMETRIC_GROUPS = 0x7F61
    SECURE_MESSAGING_SIGNER = 0x5FC122
    PAIRING_CODE = 0x5FC123


_BY_SLOT = {
    Slot.AUTHENTICATION: int(ObjectId.AUTHENTICATION_CERTIFICATE),
    Slot.SIGNATURE: int(ObjectId.SIGNATURE_CERTIFICATE),
    Slot.KEY_MANAGEMENT: int(ObjectId.KEY_MANAGEMENT_CERTIFICATE),
    Slot.CARD_AUTHENTICATION: int(ObjectId.CARD_AUTHENTICATION_CERTIFICATE),
    Slot.ATTESTATION: 0x5FFF01,
}


def certificate_object(slot: Slot) -> int:
    """The tag of the object that holds a slot's certificate; the retired slots follow each other from 5FC10D."""
    if slot in _BY_SLOT:
        return _BY_SLOT[slot]
    if Slot.RETIRED_1 <= slot <= Slot.RETIRED_20:
        return 0x5FC10D + slot - Slot.RETIRED_1
    raise UnexpectedAnswer(f"slot {slot:02X} has no certificate; use a key slot")


def encode_certificate(der: bytes) -> bytes:
    """The content of a certificate object: certificate, not compressed, empty error detection code."""
    return tlv.encode(0x70, der) + tlv.encode(0x71, b"\x00") + tlv.encode(0xFE, b"")


def parse_certificate(content: bytes) -> bytes:
    """The DER certificate in a certificate object, taken out of gzip where the card stores it so."""
    der = tlv.require(content, 0x70)
    info = tlv.find(content, 0x71) or b"\x00"
    if not info[0] & _GZIP:
        return der
    try:
        reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        plain = reader.decompress(der, _CERTIFICATE_MAX)
    except zlib.error as error:
        raise UnexpectedAnswer("the compressed certificate cannot be read; write it again") from error
    if not reader.eof:
        raise UnexpectedAnswer("the compressed certificate is cut short or larger than 64 KB; write it again")
    return plain


@dataclass(frozen=True, slots=True)
class Chuid:
    """Card holder unique identifier."""

    fasc_n: bytes
    guid: bytes
    expires_on: date
    signature: bytes = b""

    def encode(self) -> bytes:
        """The content of the object."""
        return (
            tlv.encode(0x30, self.fasc_n)
            + tlv.encode(0x34, self.guid)
            + tlv.encode(0x35, self.expires_on.strftime("%Y%m%d").encode())
            + tlv.encode(0x3E, self.signature)
            + tlv.encode(0xFE, b"")
        )


def parse_chuid(content: bytes) -> Chuid:
    """Read a CHUID; `UnexpectedAnswer` when its date is no date."""
    text = tlv.require(content, 0x35).decode("ascii", "replace")
    try:
        expires_on = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError as error:
        raise UnexpectedAnswer(f"the CHUID expires on {text!r}, which is no date; write it again") from error
    return Chuid(
        fasc_n=tlv.require(content, 0x30),
        guid=tlv.require(content, 0x34),
        expires_on=expires_on,
        signature=tlv.find(content, 0x3E) or b"",
    )


@dataclass(frozen=True, slots=True)
class Discovery:
    """The discovery object: the applet's AID and which PINs it takes."""

    aid: bytes
    pin_policy: int

    @property
    def global_pin_works(self) -> bool:
        """True when the card's global PIN opens the applet too."""
        return bool(self.pin_policy & 0x2000)


def parse_discovery(content: bytes) -> Discovery:
    """Read the discovery object (the value of 7E)."""
    return Discovery(tlv.require(content, 0x4F), int.from_bytes(tlv.require(content, 0x5F2F), "big"))


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """How many retired keys have their certificates on the card, how many elsewhere, and where."""

    on_card: int
    off_card: int
    url: str = ""

    def encode(self) -> bytes:
        """The content of the object."""
        counts = tlv.encode(0xC1, bytes([self.on_card])) + tlv.encode(0xC2, bytes([self.off_card]))
        return counts + (tlv.encode(0xF3, self.url.encode()) if self.url else b"") + tlv.encode(0xFE, b"")


def parse_key_history(content: bytes) -> KeyHistory:
    """Read the key history object."""
    on_card, off_card = tlv.require(content, 0xC1), tlv.require(content, 0xC2)
    if len(on_card) != 1 or len(off_card) != 1:
        raise UnexpectedAnswer("the key history counts are not one byte each; write it again")
    return KeyHistory(on_card[0], off_card[0], (tlv.find(content, 0xF3) or b"").decode("utf-8", "replace"))
