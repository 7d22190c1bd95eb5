"""CMS SignedData with one signer, whose key is in the vault (RFC 5652 section 5, RFC 5754).

Hides the structure, the signed attributes and their two encodings. Content is always inside, and so is the signer's
certificate, so that a terminal needs nothing but the authority's certificate to check it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from issuance.keys.port import KeyAlgorithm
from issuance.pki import der
from issuance.pki.signing import Signer, algorithm_identifier

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
_SHA_256, _SHA_384 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1")), der.sequence(der.oid("2.16.840.1.101.3.4.2.2"))
_DIGESTS = {_SHA_256: "sha256", _SHA_384: "sha384"}
_HASHES: dict[str, hashes.HashAlgorithm] = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


class BadCms(ValueError):
    """The bytes are no SignedData of the expected kind, or its signature is wrong."""


@dataclass(frozen=True)
class SignedData:
    """A verified SignedData: its content, when it was signed, and by which certificate (DER)."""

    content: bytes
    signed_at: datetime
    certificate: bytes


def sign(signer: Signer, content_type: str, contents: Sequence[bytes], *, now: datetime) -> list[bytes]:
    """Sign each content; returns ContentInfo elements in DER, in order. Raises `IssuerExpired`."""
    signer.require_valid(now)
    digest = _SHA_384 if signer.algorithm is KeyAlgorithm.EC_P384 else _SHA_256
    attributes = [_attributes(content_type, content, _DIGESTS[digest], now) for content in contents]
    signatures = signer.sign([der.tlv(der.SET, item) for item in attributes])
    serial = x509.load_der_x509_certificate(signer.certificate).serial_number
    start = der.integer(1) + der.sequence(_issuer(signer.certificate), der.integer(serial)) + digest
    return [
        _signed_data(
            signer,
            digest,
            der.sequence(der.oid(content_type), der.explicit(0, der.octets(content))),
            der.sequence(start, der.explicit(0, item), algorithm_identifier(signer.algorithm), der.octets(signature)),
        )
        for content, item, signature in zip(contents, attributes, signatures, strict=True)
    ]


def _signed_data(signer: Signer, digest: bytes, content: bytes, signer_info: bytes) -> bytes:
    body = der.sequence(
        der.integer(3),
        der.set_of([digest]),
        content,
        der.explicit(0, signer.certificate),
        der.set_of([signer_info]),
    )
    return der.sequence(der.oid(_SIGNED_DATA), der.explicit(0, body))


def _attributes(content_type: str, content: bytes, digest: str, now: datetime) -> bytes:
    values = {
        _CONTENT_TYPE: der.oid(content_type),
        _SIGNING_TIME: der.time(now),
        _MESSAGE_DIGEST: der.octets(hashlib.new(digest, content).digest()),
    }
    encoded = (der.sequence(der.oid(name), der.set_of([value])) for name, value in values.items())
    return b"".join(sorted(encoded))


def _issuer(certificate: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate).issuer.public_bytes()


def open_signed(data: bytes, content_type: str) -> SignedData:
    """Read a SignedData of one signer and check its signature with the certificate inside.

    Whether that certificate may be trusted is the caller's to check. Raises `BadCms`.
    """
    try:
        return _open(data, content_type)
    except (der.BadDer, ValueError, IndexError, StopIteration) as error:
        raise BadCms(f"this is no signed data of ours: {error}") from error
    except InvalidSignature:
        raise BadCms("the signature is wrong") from None


def _open(data: bytes, content_type: str) -> SignedData:
    kind, outer = der.read(data).children()
    (body,) = outer.expect(0xA0).children()
    if kind.raw != der.oid(_SIGNED_DATA):
        raise der.BadDer("another kind of content")
    _, _, encapsulated, certificates, signer_infos = body.expect(der.SEQUENCE).children()
    found_type, wrapped = encapsulated.expect(der.SEQUENCE).children()
    (content,) = wrapped.expect(0xA0).children()
    (certificate,) = certificates.expect(0xA0).children()
    (info,) = signer_infos.expect(der.SET).children()
    _, _, digest, attributes, _, signature = info.expect(der.SEQUENCE).children()
    if found_type.raw != der.oid(content_type):
        raise der.BadDer("another type of content")
    name = _DIGESTS.get(digest.raw)
    if name is None:
        raise der.BadDer("a digest algorithm that is not used here")
    values = _read_attributes(attributes.expect(0xA0))
    measured = hashlib.new(name, content.expect(der.OCTET_STRING).value).digest()
    if values[_CONTENT_TYPE].raw != found_type.raw or values[_MESSAGE_DIGEST].value != measured:
        raise der.BadDer("the content is not the signed one")
    _verify(certificate.raw, name, signature.expect(der.OCTET_STRING).value, der.tlv(der.SET, attributes.value))
    return SignedData(content.value, der.parse_time(values[_SIGNING_TIME]), certificate.raw)


def _read_attributes(attributes: der.Element) -> dict[str, der.Element]:
    names = {der.oid(name): name for name in (_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME)}
    found: dict[str, der.Element] = {}
    for attribute in attributes.children():
        oid, values = attribute.expect(der.SEQUENCE).children()
        (value,) = values.expect(der.SET).children()
        if oid.raw in names and names[oid.raw] not in found:
            found[names[oid.raw]] = value
    if len(found) != len(names):
        raise der.BadDer("a signed attribute is missing")
    return found


def _verify(certificate: bytes, digest: str, signature: bytes, message: bytes) -> None:
    key = x509.load_der_x509_certificate(certificate).public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(_HASHES[digest]))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), _HASHES[digest])
    else:
        raise der.BadDer("the signer's key is of a kind that is not used here")
