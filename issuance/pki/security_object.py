"""The issuer's signature over a card's data groups: the security object on the card.

The content is the LDS security object of ICAO Doc 9303 part 10 (8th edition, section 4.6.2.3, version 0): a list of
data group numbers and their SHA-256 digests; it is signed as CMS by the document signer.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from issuance.errors import InvalidSecurityObject, PkiError
from issuance.pki import cms, der
from issuance.pki.signing import Signer
from issuance.pki.trust import Trust, Untrusted

LDS_SECURITY_OBJECT = "2.23.136.1.1.1"
_SHA_256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"))
_DIGEST_BYTES = 32
_MAX_GROUP = 16


@dataclass(frozen=True)
class SecurityObject:
    """A verified security object: digest by data group number, when it was signed, by which certificate (DER)."""

    digests: Mapping[int, bytes]
    signed_at: datetime
    certificate: bytes


def digests(data_groups: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return the SHA-256 digest of each data group's content, by number."""
    return {number: hashlib.sha256(content).digest() for number, content in sorted(data_groups.items())}


def sign(signer: Signer, hash_lists: Sequence[Mapping[int, bytes]], *, now: datetime) -> list[bytes]:
    """Sign one list of digests a card; returns CMS in DER, in order.

    `signer` is the document signer's key with its certificate. Raises `PkiError` for an impossible list.
    """
    return cms.sign(signer, LDS_SECURITY_OBJECT, [encode(hash_list) for hash_list in hash_lists], now=now)


def verify(data: bytes, trust: Trust, data_groups: Mapping[int, bytes] | None = None) -> SecurityObject:
    """Check a security object, and that the data groups given are those it covers.

    The signer's certificate has to be valid when it signed. Raises `InvalidSecurityObject`.
    """
    try:
        opened = cms.open_signed(data, LDS_SECURITY_OBJECT)
        trust.require(opened.certificate, opened.signed_at)
        found = _decode(opened.content)
    except (cms.BadCms, Untrusted, der.BadDer) as error:
        raise InvalidSecurityObject(f"the card's data are not signed by the issuer: {error}; keep the card") from error
    if data_groups is not None:
        _compare(found, digests(data_groups))
    return SecurityObject(found, opened.signed_at, opened.certificate)


def _compare(signed: Mapping[int, bytes], measured: Mapping[int, bytes]) -> None:
    differing = sorted(number for number in {*signed, *measured} if signed.get(number) != measured.get(number))
    if differing:
        raise InvalidSecurityObject(
            f"data group {differing[0]} is not what the issuer signed: keep the card and report it", group=differing[0]
        )


def encode(hash_list: Mapping[int, bytes]) -> bytes:
    """Encode a list of digests as the LDS security object; raises `PkiError` for an impossible list."""
    if not hash_list:
        raise PkiError("a security object covers at least one data group")
    for number, digest in hash_list.items():
        if not 1 <= number <= _MAX_GROUP or len(digest) != _DIGEST_BYTES:
            raise PkiError(f"data group {number} with a digest of {len(digest)} bytes cannot be signed")
    entries = (der.sequence(der.integer(number), der.octets(digest)) for number, digest in sorted(hash_list.items()))
    return der.sequence(der.integer(0), _SHA_256, der.sequence(*entries))


def _decode(content: bytes) -> dict[int, bytes]:
    parts = der.read(content).children()
    if len(parts) != 3 or parts[0].integer() != 0 or parts[1].raw != _SHA_256:
        raise der.BadDer("the list of digests is of another version")
    found: dict[int, bytes] = {}
    for entry in parts[2].expect(der.SEQUENCE).children():
        inner = entry.expect(der.SEQUENCE).children()
        if len(inner) != 2 or len(inner[1].expect(der.OCTET_STRING).value) != _DIGEST_BYTES:
            raise der.BadDer("an entry of the list is malformed")
        number = inner[0].integer()
        if number in found:
            raise der.BadDer("a data group is listed twice")
        found[number] = inner[1].value
    return found
