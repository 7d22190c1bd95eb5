"""The data objects of a PIV card that are made of what the office knows: containers, CHUID, CCC, security object.

NIST SP 800-73-4 part 1, appendix A. Every container ends with an empty error detection code (FE), which the profile
does not name: it is added on the way to the card and taken off on the way back. Fingerprints, face and iris are not
taken, so their containers are absent; the discovery object is the applet's own.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import date

from card_io import tlv
from card_io.applets.piv import Chuid, KeyHistory, ObjectId, Slot, encode_certificate, parse_certificate, parse_chuid
from card_io.errors import CardError
from issuance.pki import der
from issuance.pki.names import CardNames
from issuance.pki.trust import UNREADABLE
from issuance.production.errors import ForeignCard
from issuance.production.profile import CardProfile

EDC = tlv.encode(0xFE, b"")
CONTAINER = 0x53
MAPPING, SIGNED = 0xBA, 0xBB
CHUID_SIGNATURE = 0x3E
GUIDS = uuid.UUID("8f0b6f4e-6b57-5f2c-9f0d-5d1f5f6f9c11")
"""Name space of this project's card numbers (RFC 9562, 5.5): the same number gives the same GUID on every terminal."""
CONTAINER_IDS = {
    0x5FC107: 0xDB00,
    0x5FC102: 0x3000,
    0x5FC103: 0x6010,
    0x5FC106: 0x9000,
    0x5FC108: 0x6030,
    0x5FC109: 0x3001,
    0x5FC10C: 0x6060,
    0x5FC121: 0x1015,
}
"""Container identifiers of the data objects (part 1, table 7); a maker's own object has its last two bytes."""
OWN = {
    14: int(ObjectId.KEY_HISTORY),
    15: int(ObjectId.CARD_CAPABILITY_CONTAINER),
    16: int(ObjectId.CHUID),
}
"""Data group numbers of the card's own objects in the security object; a profile's groups have those before."""
CARD_IDENTIFIER = bytes.fromhex("A000000116")
"""The GSC-IS registered identifier that a card capability container begins with (appendix A, table 8)."""


def guid(card_number: str) -> bytes:
    """The card's GUID (16 bytes): a UUID of version 5 of its number."""
    return uuid.uuid5(GUIDS, card_number).bytes


def card_names(profile: CardProfile, card_number: str) -> CardNames | None:
    """What certificates call the card besides its number, as its CHUID does; None for a card without one."""
    return None if profile.piv is None else CardNames(profile.piv.fasc_n, uuid.UUID(bytes=guid(card_number)))


def chuid(profile: CardProfile, card_number: str, expires_on: date) -> Chuid:
    """Card holder unique identifier, still without the issuer's signature."""
    fasc_n = profile.piv.fasc_n if profile.piv else b""
    return Chuid(fasc_n, guid(card_number), expires_on)


def signed_part(content: bytes) -> bytes:
    """The objects of a CHUID that its signature covers: all but the signature (part 1, 3.1.2.1).

    Raises `CardError` for what is no CHUID.
    """
    return b"".join(tlv.encode(one.tag, one.value) for one in tlv.parse(content) if one.tag != CHUID_SIGNATURE)


def capability_container(card_number: str) -> bytes:
    """Card capability container (table 8): what PIV fills in, and the rest empty, as the standard has it."""
    number = CARD_IDENTIFIER + b"\xff\x02" + guid(card_number)[:14]
    filled = {0xF0: number, 0xF1: b"\x21", 0xF2: b"\x21", 0xF4: b"\x00", 0xF5: b"\x10"}
    empty = dict.fromkeys((0xF3, 0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD), b"")
    return b"".join(tlv.encode(tag, value) for tag, value in sorted((filled | empty).items())) + EDC


def has_history(profile: CardProfile) -> bool:
    """Whether the card has keys in slots of retired ones, so that it must have a key history (part 1, 3.3.3)."""
    return bool(_retired(profile))


def key_history(profile: CardProfile) -> bytes:
    """The key history: the certificates of all keys in retired slots are on the card (part 1, table 18)."""
    return KeyHistory(on_card=len(_retired(profile)), off_card=0).encode()


def _retired(profile: CardProfile) -> list[int]:
    return [key.reference for key in profile.keys if Slot.RETIRED_1 <= key.reference <= Slot.RETIRED_20]


def covered(profile: CardProfile, groups: Iterable[int]) -> dict[int, int]:
    """What the security object covers: tags by number, the data groups given and the card's own objects.

    All but the certificates, which are signed themselves: what is signed nowhere else must be among them, and the
    CHUID should, against objects put together of two cards (part 1, 3.1.7).
    """
    own = {number: tag for number, tag in OWN.items() if tag != ObjectId.KEY_HISTORY or has_history(profile)}
    return {number: profile.group(number).fid for number in sorted(groups)} | own


def digest_of(profile: CardProfile, tag: int, file: bytes) -> bytes:
    """What the security object has of a file as `read_file` gives it: SHA-256 of all that stands inside 53."""
    is_group = tag in {group.fid for group in profile.data_groups}
    return hashlib.sha256(group_content(file) if is_group else file).digest()


def security_object(tags: Mapping[int, int], signed: bytes) -> bytes:
    """Which container each number of `covered` is (BA), and the issuer's signature over their digests (BB).

    The signer's certificate is left out of it: it is in the CHUID, which the same key has signed (part 1, 3.1.7).
    """
    mapping = b"".join(
        bytes([number]) + CONTAINER_IDS.get(tag, tag & 0xFFFF).to_bytes(2, "big") for number, tag in tags.items()
    )
    return tlv.encode(MAPPING, mapping) + tlv.encode(SIGNED, _parted(signed)[0]) + EDC


def whole_security_object(signed: bytes, chuid_content: bytes) -> bytes:
    """The signature of a security object with the certificate of the CHUID's put in; as it is where there is none."""
    try:
        _, certificate = _parted(tlv.require(chuid_content, CHUID_SIGNATURE))
        kind, (version, digests, content, *_, signers) = _signed_data(signed)
    except (CardError, *UNREADABLE):
        return signed
    return der.sequence(kind, der.explicit(0, der.sequence(version, digests, content, certificate, signers)))


def _parted(signed: bytes) -> tuple[bytes, bytes]:
    """A SignedData (RFC 5652, 5.1) without its certificates, and these as they stand in it."""
    kind, (version, digests, content, certificates, signers) = _signed_data(signed)
    return der.sequence(kind, der.explicit(0, der.sequence(version, digests, content, signers))), certificates


def _signed_data(signed: bytes) -> tuple[bytes, list[bytes]]:
    """The content type of a SignedData, and its parts, each as it is encoded."""
    kind, outer = der.read(signed).children()
    (body,) = outer.children()
    return kind.raw, [part.raw for part in body.children()]


def group_content(group: bytes) -> bytes:
    """What stands inside 53 on the card for a prepared data group."""
    return tlv.single(group, CONTAINER) + EDC


def read_file(profile: CardProfile, tag: int, answer: bytes) -> bytes:
    """What the office calls the file behind an object: certificate, signature, data group, or the content itself.

    `answer` is the data of GET DATA; `ForeignCard` when it is not built as the standard says.
    """
    try:
        content = tlv.single(answer, tag if tag in (ObjectId.DISCOVERY, ObjectId.BIOMETRIC_GROUPS) else CONTAINER)
        if tag == profile.security_object_fid:
            return tlv.require(content, SIGNED)
        if tag in {key.certificate_fid for key in profile.keys}:
            return parse_certificate(content)
        if tag in {group.fid for group in profile.data_groups}:
            return tlv.encode(CONTAINER, content.removesuffix(EDC))
    except CardError as error:
        raise ForeignCard(f"its object {tag:X} is not built as PIV objects are ({error})") from error
    return content


def names(content: bytes, card_number: str) -> bool:
    """Whether a CHUID is that of the card with this number."""
    try:
        return parse_chuid(content).guid == guid(card_number)
    except CardError:
        return False


def certificates(profile: CardProfile, by_slot: Mapping[str, bytes]) -> dict[int, bytes]:
    """The certificate objects by tag."""
    return {key.certificate_fid: encode_certificate(by_slot[key.name]) for key in profile.keys}
