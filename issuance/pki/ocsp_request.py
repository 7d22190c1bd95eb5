"""OCSP requests as they come from anybody (RFC 6960 section 4.1, RFC 9654 for the nonce, RFC 5019 for GET).

Hides the encoding. Everything a stranger can send either reads as a request or raises `MalformedRequest`.
"""

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from issuance.errors import PkiError
from issuance.pki import der

NONCE = "1.3.6.1.5.5.7.48.1.2"
_MAX_REQUEST_BYTES = 4096
_MAX_QUESTIONS = 16
_MAX_NONCE_BYTES = 128
_VERSION, _REQUESTOR, _EXTENSIONS = 0xA0, 0xA1, 0xA2


class MalformedRequest(PkiError):
    """The bytes are no OCSP request that this responder answers."""

    code = "ocsp-malformed"


@dataclass(frozen=True)
class CertId:
    """Which certificate is asked about; `raw` is repeated in the answer. `algorithm` is the hash's OID element."""

    raw: bytes
    algorithm: bytes
    name_hash: bytes
    key_hash: bytes
    serial: int


@dataclass(frozen=True)
class OcspRequest:
    """The questions in their order, and the nonce to repeat (None where there is none)."""

    questions: tuple[CertId, ...]
    nonce: bytes | None


def decode_get(path: str) -> bytes:
    """Read the request out of the last part of a GET's path: base64, percent-encoded; raises `MalformedRequest`."""
    if len(path) > 2 * _MAX_REQUEST_BYTES:
        raise MalformedRequest("the request is too long")
    try:
        return base64.b64decode(unquote_to_bytes(path), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRequest("the path is no base64") from error


def parse_request(data: bytes) -> OcspRequest:
    """Read a request in DER; its signature, if it has one, is not looked at. Raises `MalformedRequest`."""
    if len(data) > _MAX_REQUEST_BYTES:
        raise MalformedRequest("the request is too long")
    try:
        return _parse(data)
    except (der.BadDer, ValueError, IndexError) as error:
        raise MalformedRequest(f"this is no OCSP request: {error}") from error


def _parse(data: bytes) -> OcspRequest:
    outer = der.read(data).children()
    if not 1 <= len(outer) <= 2:
        raise der.BadDer("another structure")
    fields = outer[0].expect(der.SEQUENCE).children()
    if fields[0].tag == _VERSION:
        raise der.BadDer("DER leaves version 1 out, and there is no other")
    if fields[0].tag == _REQUESTOR:
        fields = fields[1:]
    questions = [_question(item) for item in fields[0].expect(der.SEQUENCE).children()]
    if not 1 <= len(questions) <= _MAX_QUESTIONS:
        raise der.BadDer(f"1 to {_MAX_QUESTIONS} certificates can be asked about at once")
    nonce = _nonce(fields[1].expect(_EXTENSIONS)) if len(fields) > 1 else None
    if len(fields) > 2:
        raise der.BadDer("something follows the extensions")
    return OcspRequest(tuple(questions), nonce)


def _question(item: der.Element) -> CertId:
    cert_id = item.expect(der.SEQUENCE).children()[0].expect(der.SEQUENCE)
    algorithm, name_hash, key_hash, serial = cert_id.children()
    oid = algorithm.expect(der.SEQUENCE).children()[0].expect(der.OID)
    hashes = [part.expect(der.OCTET_STRING).value for part in (name_hash, key_hash)]
    return CertId(cert_id.raw, oid.raw, hashes[0], hashes[1], serial.expect(der.INTEGER).integer())


def _nonce(extensions: der.Element) -> bytes | None:
    (listed,) = extensions.children()
    for extension in listed.expect(der.SEQUENCE).children():
        parts = extension.expect(der.SEQUENCE).children()
        value = parts[-1].expect(der.OCTET_STRING).value
        if parts[0].raw != der.oid(NONCE):
            if len(parts) == 3 and parts[1].value != b"\x00":
                raise der.BadDer("a critical extension is not known here")
            continue
        nonce = der.read(value, der.OCTET_STRING).value
        if not 1 <= len(nonce) <= _MAX_NONCE_BYTES:
            raise der.BadDer("a nonce has 1 to 128 bytes")
        return nonce
    return None
