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
_VERSION, _REQUESTOR, _EXTENSIONS, _SINGLE_EXTENSIONS = 0xA0, 0xA1, 0xA2, 0xA0
_NONCE = der.oid(NONCE)


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
    cert_id, *rest = item.expect(der.SEQUENCE).children()
    for extensions in rest:
        _nonce(extensions.expect(_SINGLE_EXTENSIONS))  # none is known here, so that none may be critical
    if len(rest) > 1:
        raise der.BadDer("something follows a certificate's extensions")
    algorithm, name_hash, key_hash, serial = cert_id.expect(der.SEQUENCE).children()
    hashes = [part.expect(der.OCTET_STRING).value for part in (name_hash, key_hash)]
    return CertId(cert_id.raw, _algorithm(algorithm), hashes[0], hashes[1], serial.expect(der.INTEGER).integer())


def _algorithm(identifier: der.Element) -> bytes:
    """The OID element of a hash algorithm; what is repeated in a signed answer has to be well formed itself."""
    oid, *parameters = identifier.expect(der.SEQUENCE).children()
    if [part.raw for part in parameters] not in ([], [b"\x05\x00"]):
        raise der.BadDer("a hash algorithm has no parameters, or NULL")
    arcs = oid.expect(der.OID).value
    begins = [0, *(at + 1 for at, byte in enumerate(arcs[:-1]) if byte < 0x80)]
    if not arcs or arcs[-1] >= 0x80 or any(arcs[at] == 0x80 for at in begins):
        raise der.BadDer("an object identifier is malformed")
    return oid.raw


def _nonce(extensions: der.Element) -> bytes | None:
    found: list[bytes] = []
    (listed,) = extensions.children()
    for extension in listed.expect(der.SEQUENCE).children():
        oid, *critical, content = extension.expect(der.SEQUENCE).children()
        value = content.expect(der.OCTET_STRING).value
        if oid.expect(der.OID).raw == _NONCE:
            found.append(der.read(value, der.OCTET_STRING).value)
        elif critical and critical[0].value != b"\x00":
            raise der.BadDer("a critical extension is not known here")
    if len(found) > 1 or any(not 1 <= len(nonce) <= _MAX_NONCE_BYTES for nonce in found):
        raise der.BadDer("there is one nonce at most, of 1 to 128 bytes")
    return found[0] if found else None
