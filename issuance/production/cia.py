"""The cryptographic information files of a card (ISO/IEC 7816-15:2016), built from its profile.

EF.DIR, EF.OD, EF.CIAInfo, EF.AOD, EF.PrKD, EF.PuKD, EF.CD and EF.DOD tell stock software which PINs, keys,
certificates and data the card holds. Everything is DER. Paths are absolute from 3F00; the identifier (iD) of a key,
its certificate and its public key is the key reference. The card-authentication key is not listed: software that has
never heard of it must not try it for signatures; its certificate is.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from enum import IntEnum
from functools import lru_cache

from card_io import tlv
from card_io.applets.uec.layout import CIA_AID, Fid
from issuance.production.pin_profile import PinProfile
from issuance.production.profile import Access, CardProfile, DataGroup, KeySlot, KeyUse

SEQUENCE, INTEGER, BIT_STRING, OCTET_STRING, ENUMERATED, UTF8 = 0x30, 0x02, 0x03, 0x04, 0x0A, 0x0C
CONTEXT_0, CONTEXT_1 = 0xA0, 0xA1
CIA_PATH = Fid.MF.to_bytes(2, "big") + Fid.CIA.to_bytes(2, "big")
DATA_PATH = Fid.MF.to_bytes(2, "big") + Fid.UEC.to_bytes(2, "big")
ASCII_NUMERIC = 1
CIAINFO_VERSION = 0  # v1: nothing of the second edition is used, and GnuPG reads no other


class _Bit(IntEnum):
    """Bit numbers of the flags used here (bit 0 is the most significant of the first byte)."""

    PRIVATE = 0
    PWD_INITIALIZED = 4
    PWD_UNBLOCKING = 6
    USE_SIGN = 2
    USE_VERIFY = 6
    USE_DERIVE = 8
    USE_NON_REPUDIATION = 9
    KEY_SENSITIVE = 0
    KEY_ALWAYS_SENSITIVE = 2
    KEY_NEVER_EXTRACTABLE = 3
    KEY_LOCAL = 4
    CARD_AUTH_REQUIRED = 1
    CARD_PRN_GENERATION = 2


def build_cia_files(
    profile: CardProfile, *, card_number: str, certificates: Mapping[str, bytes], groups: Iterable[int]
) -> dict[int, bytes]:
    """The files by identifier, EF.OD last; a card without keys, PINs or data has no file about them.

    `certificates` (DER) by key slot's name; `groups` are the numbers of the data groups that this card has.
    """
    files = dict(_files_of_all_cards(profile, frozenset(groups)))
    files[Fid.CIA_INFO] = _cia_info(profile, card_number)
    files[Fid.PUKD] = b"".join(_public_key(key, certificates[key.name]) for key in _listed(profile))
    present = {fid: content for fid, content in files.items() if content}
    return present | {Fid.OD: _od(present)}


@lru_cache(maxsize=32)
def _files_of_all_cards(profile: CardProfile, present: frozenset[int]) -> Mapping[int, bytes]:
    """What is the same on every card with these data groups; a line makes thousands of them."""
    return {
        Fid.DIR: _dir(profile),
        Fid.CIA_INFO: b"",
        Fid.AOD: b"".join(_pin_object(profile, pin) for pin in profile.pins),
        Fid.PRKD: b"".join(_private_key(profile, key) for key in _listed(profile)),
        Fid.PUKD: b"",
        Fid.CD: b"".join(_certificate(key) for key in profile.keys),
        Fid.DOD: b"".join(_data_object(profile, group) for group in profile.data_groups if group.number in present)
        + _security_object(profile),
    }


def _listed(profile: CardProfile) -> list[KeySlot]:
    return [key for key in profile.keys if key.use is not KeyUse.INTERNAL_AUTHENTICATE]


def _dir(profile: CardProfile) -> bytes:
    """EF.DIR, section 7.2: one application template."""
    entries = [(0x4F, CIA_AID), (0x50, profile.token.label.encode("utf-8")), (0x51, CIA_PATH)]
    return tlv.encode(0x61, b"".join(tlv.encode(tag, value) for tag, value in entries))


def _od(present: Container[int]) -> bytes:
    """EF.OD, section 8.3: where the other files are, of those that the card has."""
    places = ((0xA0, Fid.PRKD), (0xA1, Fid.PUKD), (0xA4, Fid.CD), (0xA7, Fid.DOD), (0xA8, Fid.AOD))
    return b"".join(tlv.encode(tag, _path(CIA_PATH + fid.to_bytes(2, "big"))) for tag, fid in places if fid in present)


def _cia_info(profile: CardProfile, card_number: str) -> bytes:
    """EF.CIAInfo, section 8.10: version, serial number, manufacturer, label, flags."""
    return _seq(
        tlv.encode(INTEGER, bytes([CIAINFO_VERSION])),
        tlv.encode(OCTET_STRING, bytes.fromhex(card_number + "F" * (len(card_number) % 2))),
        _text(profile.token.manufacturer),
        tlv.encode(0x80, profile.token.label.encode("utf-8")),
        _bits(_Bit.CARD_AUTH_REQUIRED, _Bit.CARD_PRN_GENERATION),
    )


def _pin_object(profile: CardProfile, pin: PinProfile) -> bytes:
    """EF.AOD, section 8.9: a password object."""
    unblocks = any(other.unblocked_by == pin.name for other in profile.pins)
    flags = [_Bit.PWD_INITIALIZED, *([_Bit.PWD_UNBLOCKING] if unblocks else [])]
    attributes = _seq(
        _bits(*flags),
        tlv.encode(ENUMERATED, bytes([ASCII_NUMERIC])),
        _integer(pin.min_digits),
        _integer(pin.max_digits),
        _integer(pin.max_digits),
        tlv.encode(0x80, bytes([pin.reference])),
        _path(CIA_PATH),
    )
    auth_id = bytes([profile.pin(pin.unblocked_by).reference]) if pin.unblocked_by else b""
    return _object(_common(pin.label, auth_id=auth_id), _seq(_octets(bytes([pin.reference]))), attributes)


def _private_key(profile: CardProfile, key: KeySlot) -> bytes:
    """EF.PrKD, section 8.4: an EC key in the card, [0] of the choice."""
    pin = profile.pin(key.pin)
    usage = [_Bit.USE_DERIVE] if key.use is KeyUse.AGREE else [_Bit.USE_SIGN]
    if pin.each_use:
        usage.append(_Bit.USE_NON_REPUDIATION)
    access = (_Bit.KEY_SENSITIVE, _Bit.KEY_ALWAYS_SENSITIVE, _Bit.KEY_NEVER_EXTRACTABLE, _Bit.KEY_LOCAL)
    key_attributes = _seq(_octets(_id(key)), _bits(*usage), _bits(*access), _integer(key.reference))
    common = _common(key.label, auth_id=bytes([pin.reference]), user_consent=pin.each_use)
    return _object(common, key_attributes, _seq(_path(CIA_PATH), _integer(_field_bits(key))), choice=CONTEXT_0)


def _public_key(key: KeySlot, certificate: bytes) -> bytes:
    """EF.PuKD, section 8.5: it stands in the certificate's file, as SubjectPublicKeyInfo, which tells the curve too."""
    usage = _Bit.USE_DERIVE if key.use is KeyUse.AGREE else _Bit.USE_VERIFY
    key_attributes = _seq(_octets(_id(key)), _bits(usage), _integer(key.reference))
    start, size = _public_key_in(certificate)
    path = CIA_PATH + key.certificate_fid.to_bytes(2, "big")
    place = _seq(_octets(path), _integer(start), tlv.encode(0x80, tlv.single(_integer(size), INTEGER)))
    return _object(_seq(_text(key.label)), key_attributes, _seq(place, _integer(_field_bits(key))), choice=CONTEXT_0)


def _public_key_in(certificate: bytes) -> tuple[int, int]:
    """Offset and size in bytes of the SubjectPublicKeyInfo of a certificate (RFC 5280, 4.1: seventh of its fields)."""
    fields, start = certificate, 0
    for _ in range(2):  # Certificate, TBSCertificate
        item, end = tlv.read_one(fields)
        start += end - len(item.value)
        fields = item.value
    place = 0
    for _ in range(6):  # version, serial number, signature, issuer, validity, subject
        place = tlv.read_one(fields, place)[1]
    return start + place, tlv.read_one(fields, place)[1] - place


def _certificate(key: KeySlot) -> bytes:
    """EF.CD, section 8.7: an X.509 certificate in a file."""
    path = CIA_PATH + key.certificate_fid.to_bytes(2, "big")
    return _object(_seq(_text(key.label)), _seq(_octets(_id(key))), _seq(_path(path)))


def _data_object(profile: CardProfile, group: DataGroup) -> bytes:
    """EF.DOD, section 8.8: an opaque data object in a file."""
    auth_id = b"" if group.read is Access.ALWAYS else bytes([profile.pin(group.read.value).reference])
    common = _common(group.label, auth_id=auth_id)
    return _object(common, _seq(_text(profile.token.label)), _path(DATA_PATH + group.fid.to_bytes(2, "big")))


def _security_object(profile: CardProfile) -> bytes:
    path = DATA_PATH + profile.security_object_fid.to_bytes(2, "big")
    return _object(_seq(_text("Security object")), _seq(_text(profile.token.label)), _path(path))


def _object(common: bytes, kind: bytes, attributes: bytes, *, choice: int = SEQUENCE) -> bytes:
    """CIO, section 8.2.6: common, class and type attributes."""
    return tlv.encode(choice, common + kind + tlv.encode(CONTEXT_1, attributes))


def _common(label: str, *, auth_id: bytes = b"", user_consent: bool = False) -> bytes:
    """CommonObjectAttributes, section 8.2.7; an object behind a PIN is private."""
    parts = [_text(label)]
    if auth_id:
        parts += [_bits(_Bit.PRIVATE), _octets(auth_id)]
    if user_consent:
        parts.append(_integer(1))
    return _seq(*parts)


def _id(key: KeySlot) -> bytes:
    return bytes([key.reference])


def _field_bits(key: KeySlot) -> int:
    return int(key.algorithm.value.removeprefix("ec-p"))


def _path(path: bytes) -> bytes:
    return _seq(_octets(path))


def _seq(*parts: bytes) -> bytes:
    return tlv.encode(SEQUENCE, b"".join(parts))


def _encoder(tag: int) -> Callable[[bytes], bytes]:
    return lambda value: tlv.encode(tag, value)


_octets = _encoder(OCTET_STRING)


def _text(value: str) -> bytes:
    return tlv.encode(UTF8, value.encode("utf-8"))


def _integer(value: int) -> bytes:
    return tlv.encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _bits(*numbers: int) -> bytes:
    """A named-bit BIT STRING in DER: no trailing zero bits."""
    size = max(numbers) + 1
    value = sum(1 << (size - 1 - number) for number in set(numbers))
    unused = -size % 8
    return tlv.encode(BIT_STRING, bytes([unused]) + (value << unused).to_bytes((size + 7) // 8, "big"))
