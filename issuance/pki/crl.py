"""Revocation lists, put together from entries that were encoded when each certificate was revoked.

RFC 5280 section 5. Hides the list's structure; cost grows with the length of the entries only. Complete lists, lists of
one part of the certificates (with their distribution point) and deltas to a complete list.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from issuance.errors import PkiError
from issuance.pki import der
from issuance.pki import extensions as ext
from issuance.pki.signing import Signer, algorithm_identifier, signed

_REASON_CODE = "2.5.29.21"
_VERSION_2 = der.integer(1)


class RevocationReason(StrEnum):
    """Why a certificate is on the list (section 5.3.1)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    AFFILIATION_CHANGED = "affiliation-changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"
    CERTIFICATE_HOLD = "certificate-hold"
    PRIVILEGE_WITHDRAWN = "privilege-withdrawn"


REASON_CODES = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    RevocationReason.CERTIFICATE_HOLD: 6,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
}
_REMOVE_FROM_CRL = 8

# The extension carries only the code, so each is encoded once. An unspecified reason is left out (section 5.3.1).
_REASONS = {
    code: der.sequence(ext.plain(_REASON_CODE, der.tlv(der.ENUMERATED, bytes((code,)))))
    for code in (*REASON_CODES.values(), _REMOVE_FROM_CRL)
    if code
}


@dataclass(frozen=True)
class RevokedEntry:
    """A revoked or held certificate."""

    serial: int
    revoked_at: datetime
    reason: RevocationReason = RevocationReason.UNSPECIFIED


def encode_entry(entry: RevokedEntry) -> bytes:
    """Encode an entry; keep it beside the revocation, for every list to come."""
    return _entry(entry.serial, entry.revoked_at, REASON_CODES[entry.reason])


def encode_removal(serial: int, held_since: datetime) -> bytes:
    """Encode that a certificate is no longer held (or has expired on the list): for deltas only."""
    return _entry(serial, held_since, _REMOVE_FROM_CRL)


def _entry(serial: int, moment: datetime, code: int) -> bytes:
    return der.sequence(der.integer(serial), der.time(moment), _REASONS.get(code, b""))


def build_crl(
    signer: Signer,
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Iterable[bytes],
    url: str | None = None,
    delta_url: str | None = None,
) -> bytes:
    """Sign a complete list, in DER.

    `entries` come from `encode_entry`. With `url` the list is one part: it speaks for the certificates that point at
    this address only. `delta_url` is where deltas to this list will lie. Raises `IssuerExpired`.
    """
    freshest = b"" if delta_url is None else ext.freshest_list(delta_url)
    return _list(signer, number, this_update, next_update, entries, _scope(url) + freshest)


def build_delta(
    signer: Signer,
    *,
    number: int,
    base_number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Iterable[bytes],
    url: str | None = None,
) -> bytes:
    """Sign what has changed since the complete list `base_number` (section 5.2.4), in DER.

    `entries` come from `encode_entry` for what was revoked or held since, and from `encode_removal` for what was taken
    off. Raises `PkiError` when the numbers contradict each other.
    """
    if not 0 <= base_number < number:
        raise PkiError(f"a delta number {number} cannot follow the complete list {base_number}: check the numbers")
    indicator = ext.critical(ext.DELTA_CRL_INDICATOR, der.integer(base_number))
    return _list(signer, number, this_update, next_update, entries, indicator + _scope(url))


def _scope(url: str | None) -> bytes:
    return b"" if url is None else ext.issuing_distribution_point(url)


def _list(
    signer: Signer,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Iterable[bytes],
    extensions: bytes,
) -> bytes:
    if next_update <= this_update:
        raise PkiError("the next list must come after this one: check the plan of publication")
    signer.require_valid(this_update)
    revoked = b"".join(entries)
    always = ext.authority_key_identifier(signer.key_identifier) + ext.plain(ext.CRL_NUMBER, der.integer(number))
    tbs = der.sequence(
        _VERSION_2,
        algorithm_identifier(signer.algorithm),
        signer.name,
        der.time(this_update),
        der.time(next_update),
        der.tlv(der.SEQUENCE, revoked) if revoked else b"",
        der.explicit(0, der.sequence(always, extensions)),
    )
    return signed(tbs, signer.algorithm, signer.sign([tbs])[0])
