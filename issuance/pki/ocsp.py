"""OCSP answers: what the office knows about certificates, signed by a delegated responder (RFC 6960, RFC 5019).

Pure core: a request and a look-up in, bytes out; fetching, storing and HTTP are the office's. *Unknown* is said of
every serial number that was never issued. Answers can be signed ahead, in batches, one for each certificate.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import IntEnum
from functools import cached_property, lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from issuance.errors import IssuerExpired, PkiError, VaultError
from issuance.pki import der
from issuance.pki import extensions as ext
from issuance.pki.crl import REASON_CODES, RevocationReason
from issuance.pki.ocsp_request import NONCE, CertId, MalformedRequest, OcspRequest, parse_request
from issuance.pki.signing import Signer, algorithm_identifier

log = logging.getLogger(__name__)

_BASIC_RESPONSE = der.oid("1.3.6.1.5.5.7.48.1.1")
_SHA_1 = der.oid("1.3.14.3.2.26")
_HASHES = {
    _SHA_1: "sha1",  # not for security: the identifier that RFC 5019 clients use
    der.oid("2.16.840.1.101.3.4.2.1"): "sha256",
    der.oid("2.16.840.1.101.3.4.2.2"): "sha384",
    der.oid("2.16.840.1.101.3.4.2.3"): "sha512",
}
"""Hash algorithms that questions may name their issuer by."""
_SUCCESSFUL = der.tlv(der.ENUMERATED, b"\x00")
_EXPLICIT_0 = der.CONTEXT | der.CONSTRUCTED
_GOOD, _UNKNOWN = b"\x80\x00", b"\x82\x00"


class ErrorStatus(IntEnum):
    """The errors of RFC 6960 section 4.2.1 that are sent unsigned."""

    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    UNAUTHORIZED = 6


@dataclass(frozen=True)
class Good:
    """Issued, and neither revoked nor held."""


@dataclass(frozen=True)
class Revoked:
    """Revoked or held since `at`."""

    at: datetime
    reason: RevocationReason


@dataclass(frozen=True)
class Unknown:
    """Never issued by this authority."""


Status = Good | Revoked | Unknown
Lookup = Callable[[Sequence[int]], Mapping[int, Status]]
"""Serial numbers to states; what is missing in the answer is unknown."""


@dataclass(frozen=True)
class Period:
    """From when an answer speaks, and when a newer one will be there."""

    this_update: datetime
    next_update: datetime

    @cached_property
    def encoded(self) -> bytes:
        """Both times as an answer carries them; raises `PkiError` when the second does not come after the first."""
        if self.next_update <= self.this_update:
            raise PkiError("the next answer must come after this one: check the plan")
        return der.generalized_time(self.this_update) + der.explicit(0, der.generalized_time(self.next_update))


def error_response(status: ErrorStatus) -> bytes:
    """Encode an answer that says only that there is none."""
    return der.sequence(der.tlv(der.ENUMERATED, bytes((status,))))


class AskedIssuer:
    """How questions name one issuing authority, and how its certificates name it; known without any key."""

    def __init__(self, issuing: bytes) -> None:
        """`issuing` is the authority's certificate in DER."""
        issuer = x509.load_der_x509_certificate(issuing)
        name, key_bits = issuer.subject.public_bytes(), _key_bits(issuer)
        self._hashes = {
            oid: (_hashed(algorithm, name), _hashed(algorithm, key_bits)) for oid, algorithm in _HASHES.items()
        }
        name_hash, key_hash = self._hashes[_SHA_1]
        self.cert_id_head = der.sequence(_SHA_1, der.tlv(der.NULL, b"")) + der.octets(name_hash) + der.octets(key_hash)
        self._identifier = ext.authority_key_identifier(
            issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        )

    def is_ours(self, question: CertId) -> bool:
        """Tell whether a question is about a certificate of this authority."""
        return self._hashes.get(question.algorithm) == (question.name_hash, question.key_hash)

    def cert_id(self, serial: int) -> bytes:
        """Encode the identifier (SHA-1) of one of this authority's certificates."""
        return der.tlv(der.SEQUENCE, self.cert_id_head + der.integer(serial))

    def is_plain(self, question: CertId) -> bool:
        """Tell whether a question is spelt as answers signed ahead repeat it."""
        return question.raw == self.cert_id(question.serial)

    def has_issued(self, certificate: bytes) -> bool:
        """Tell whether a certificate (DER) names this authority's key as its issuer's (RFC 5280 section 4.2.1.1)."""
        return self._identifier in certificate


class Responder:
    """Answers for one issuing certificate with a delegated signer's key."""

    def __init__(self, signer: Signer, issuing: bytes) -> None:
        """`signer` holds the vault's OCSP key and its certificate from the issuing authority."""
        self.issuer = AskedIssuer(issuing)
        self._signer = signer
        self._algorithm = algorithm_identifier(signer.algorithm)
        self._responder_id = der.explicit(
            2, der.octets(_hashed("sha1", _key_bits(x509.load_der_x509_certificate(signer.certificate))))
        )

    def answer(self, data: bytes, lookup: Lookup, period: Period, *, now: datetime) -> bytes:
        """Answer a request in DER; every refusal is one of OCSP's own error answers.

        The nonce is repeated. When the signer's certificate has expired, or the vault does not sign, the client is told
        to try later, and the caller's log says why.
        """
        try:
            request = parse_request(data)
        except MalformedRequest:
            return error_response(ErrorStatus.MALFORMED_REQUEST)
        if not any(self.issuer.is_ours(question) for question in request.questions):
            return error_response(ErrorStatus.UNAUTHORIZED)
        try:
            return self.respond(request, lookup, period, now=now)
        except (IssuerExpired, VaultError) as error:
            log.warning("ocsp: no answer could be signed: %s", error)
            return error_response(ErrorStatus.TRY_LATER)

    def respond(self, request: OcspRequest, lookup: Lookup, period: Period, *, now: datetime) -> bytes:
        """Sign an answer to a request that was read; raises `IssuerExpired` and what the vault raises.

        A question about another authority's certificate is answered with unknown.
        """
        is_ours = self.issuer.is_ours
        states = lookup([question.serial for question in request.questions if is_ours(question)])
        singles = [
            _single(question.raw, states.get(question.serial, Unknown()) if is_ours(question) else Unknown(), period)
            for question in request.questions
        ]
        (content,) = self._sign([self._data(singles, request.nonce, now)], now)
        return assemble(content, self._signer.certificate)

    def presign(self, states: Mapping[int, Status], period: Period, *, now: datetime) -> dict[int, bytes]:
        """Sign one answer a certificate ahead (SHA-1 identifiers, as RFC 5019 clients ask; no nonce).

        Returns contents by serial number; `assemble` makes whole answers of them. Raises `IssuerExpired`.
        """
        made: dict[tuple[int, bytes], tuple[bytes, bytes]] = {}
        data = []
        for serial, state in states.items():
            number, status = der.integer(serial), _status(state)
            key = (len(number), status)
            # Answers whose numbers are of one length differ in these numbers only.
            if key not in made:
                made[key] = self._around(number, status, period, now)
            front, back = made[key]
            data.append(front + number + back)
        return dict(zip(states, self._sign(data, now), strict=True))

    def _around(self, number: bytes, status: bytes, period: Period, now: datetime) -> tuple[bytes, bytes]:
        """What stands before and after a serial number in the data of an answer about it alone."""
        cert_id = der.tlv(der.SEQUENCE, self.issuer.cert_id_head + number)
        tail = status + period.encoded
        data = self._data([der.tlv(der.SEQUENCE, cert_id + tail)], None, now)
        at = len(data) - len(tail) - len(number)
        return data[:at], tail

    def _data(self, singles: Sequence[bytes], nonce: bytes | None, now: datetime) -> bytes:
        extensions = b""
        if nonce is not None:
            extensions = der.explicit(1, der.sequence(ext.plain(NONCE, der.octets(nonce))))
        return der.sequence(self._responder_id, der.generalized_time(now), der.sequence(*singles), extensions)

    def _sign(self, data: Sequence[bytes], now: datetime) -> list[bytes]:
        self._signer.require_valid(now)
        algorithm, bits = self._algorithm, der.bits
        return [
            body + algorithm + bits(signature) for body, signature in zip(data, self._signer.sign(data), strict=True)
        ]


def assemble(content: bytes, certificate: bytes) -> bytes:
    """Make an answer of its signed content (data, algorithm, signature) and its signer's certificate, all in DER."""
    basic = der.tlv(der.SEQUENCE, content + der.explicit(0, der.sequence(certificate)))
    wrapped = der.tlv(der.SEQUENCE, _BASIC_RESPONSE + der.octets(basic))
    return der.tlv(der.SEQUENCE, _SUCCESSFUL + der.tlv(_EXPLICIT_0, wrapped))


def cache_headers(answer: bytes, period: Period, *, keep: timedelta, now: datetime) -> tuple[tuple[str, str], ...]:
    """Return the HTTP headers of a pre-signed answer (RFC 5019 section 6.2), as pairs.

    Caches keep it for `keep`, so that a decision is seen soon, and never past its next update.
    """
    seconds = max(0, int(min(period.next_update - now, keep) / timedelta(seconds=1)))
    return (*_shared_headers(period, seconds), ("ETag", f'"{hashlib.sha256(answer).hexdigest()}"'))


@lru_cache(maxsize=1024)
def _shared_headers(period: Period, seconds: int) -> tuple[tuple[str, str], ...]:
    """What answers of one batch have in common: those in memory by the thousand have it once."""
    return (
        ("Content-Type", "application/ocsp-response"),
        ("Last-Modified", format_datetime(period.this_update, usegmt=True)),
        ("Expires", format_datetime(period.next_update, usegmt=True)),
        ("Cache-Control", f"max-age={seconds}, public, no-transform, must-revalidate"),
    )


def _single(cert_id: bytes, status: Status, period: Period) -> bytes:
    return der.tlv(der.SEQUENCE, b"".join((cert_id, _status(status), period.encoded)))


def _status(status: Status) -> bytes:
    if isinstance(status, Good):
        return _GOOD
    if isinstance(status, Unknown):
        return _UNKNOWN
    code = REASON_CODES[status.reason]
    reason = der.explicit(0, der.tlv(der.ENUMERATED, bytes((code,)))) if code else b""
    return der.explicit(1, der.generalized_time(status.at), reason)


def _key_bits(certificate: x509.Certificate) -> bytes:
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der.read(spki).children()[1].value[1:]


def _hashed(algorithm: str, data: bytes) -> bytes:
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()
