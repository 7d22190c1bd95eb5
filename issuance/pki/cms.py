"""CMS SignedData with one signer, whose key is in the vault (RFC 5652 section 5, RFC 5754).

Hides the structure, the signed attributes and their two encodings. Content is always inside, and so is the signer's
certificate, so that a terminal needs nothing but the authority's certificate to check it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from issuance.keys.port import KeyAlgorithm
from issuance.pki import der
from issuance.pki.signing import Signer, algorithm_identifier
from issuance.pki.trust import UNREADABLE, load_certificate

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_TIME = "1.2.840.113549.1.9.5"
SHA_256, SHA_384 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1")), der.sequence(der.oid("2.16.840.1.101.3.4.2.2"))
DIGESTS = {SHA_256: "sha256", SHA_384: "sha384"}
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
    digest = digest_of(signer)
    attributes = [attributes_of(content_type, content, DIGESTS[digest], now) for content in contents]
    signatures = signer.sign([der.tlv(der.SET, item) for item in attributes])
    algorithm = algorithm_identifier(signer.algorithm)
    return [
        assemble(signer.certificate, content_type, content, SignerPart(digest, item, algorithm, signature))
        for content, item, signature in zip(contents, attributes, signatures, strict=True)
    ]


def digest_of(signer: Signer) -> bytes:
    """The AlgorithmIdentifier of the digest that goes with a signer's key."""
    return SHA_384 if signer.algorithm is KeyAlgorithm.EC_P384 else SHA_256


@dataclass(frozen=True)
class SignerPart:
    """What a SignerInfo holds beside the signer's name: digest algorithm, attributes' content, algorithm, signature."""

    digest: bytes
    attributes: bytes
    algorithm: bytes
    signature: bytes


def assemble(certificate: bytes, content_type: str, content: bytes | None, signature: SignerPart) -> bytes:
    """Put a ContentInfo together from a signer's certificate (DER), the content, and what the signer made of it.

    None leaves the content out (a detached signature, RFC 5652 section 5.2).
    """
    info = der.sequence(
        der.integer(1),
        _name_of(certificate),
        signature.digest,
        der.explicit(0, signature.attributes),
        signature.algorithm,
        der.octets(signature.signature),
    )
    body = der.sequence(
        der.integer(3),
        der.set_of([signature.digest]),
        der.sequence(der.oid(content_type), b"" if content is None else der.explicit(0, der.octets(content))),
        der.explicit(0, certificate),
        der.set_of([info]),
    )
    return der.sequence(der.oid(_SIGNED_DATA), der.explicit(0, body))


@lru_cache(maxsize=64)
def _name_of(certificate: bytes) -> bytes:
    """How a signer is named (RFC 5652 section 10.2.4); made once for the thousands of cards that it signs for."""
    signer = load_certificate(certificate)
    return der.sequence(signer.issuer.public_bytes(), der.integer(signer.serial_number))


def take_apart(data: bytes) -> tuple[der.Element, bytes, SignerPart]:
    """What a ContentInfo of one signer is made of: EncapsulatedContentInfo, certificate (DER), the signer's part.

    Whether there is more in it than that, `assemble` of the parts shows. Raises `BadDer` and its like.
    """
    _, outer = der.read(data).children()
    (body,) = outer.children()
    _, _, encapsulated, certificates, signer_infos = body.children()
    (certificate,) = certificates.children()
    (info,) = signer_infos.children()
    _, _, digest, attributes, algorithm, signature = info.children()
    return encapsulated, certificate.raw, SignerPart(digest.raw, attributes.value, algorithm.raw, signature.value)


def attributes_of(content_type: str, content: bytes, digest: str, now: datetime) -> bytes:
    """Encode the signed attributes (the elements, without the SET around them); `digest` is a name of `hashlib`."""
    values = {
        _CONTENT_TYPE: der.oid(content_type),
        _SIGNING_TIME: der.time(now),
        _MESSAGE_DIGEST: der.octets(hashlib.new(digest, content).digest()),
    }
    encoded = (der.sequence(der.oid(name), der.set_of([value])) for name, value in values.items())
    return b"".join(sorted(encoded))


def open_signed(data: bytes, content_type: str) -> SignedData:
    """Read a SignedData of one signer and check its signature with the certificate inside.

    Whether that certificate may be trusted is the caller's to check. Raises `BadCms`.
    """
    try:
        return _open(data, content_type)
    except UNREADABLE as error:
        raise BadCms(f"this is no signed data of ours: {error}") from error
    except InvalidSignature:
        raise BadCms("the signature is wrong") from None


def _open(data: bytes, content_type: str) -> SignedData:
    encapsulated, certificate, found = take_apart(data)
    _, wrapped = encapsulated.children()
    (content,) = wrapped.children()
    # Put together again, it has to be the same bytes: then nothing is left that was not looked at.
    if assemble(certificate, content_type, content.value, found) != data:
        raise der.BadDer("it has another form or another type of content")
    name = DIGESTS.get(found.digest)
    if name is None:
        raise der.BadDer("a digest algorithm that is not used here")
    values = _read_attributes(found.attributes)
    measured = hashlib.new(name, content.value).digest()
    if values[_CONTENT_TYPE].raw != der.oid(content_type) or values[_MESSAGE_DIGEST].value != measured:
        raise der.BadDer("the content is not the signed one")
    _verify(certificate, name, found)
    return SignedData(content.value, der.parse_time(values[_SIGNING_TIME]), certificate)


def _read_attributes(attributes: bytes) -> dict[str, der.Element]:
    names = {der.oid(name): name for name in (_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME)}
    found: dict[str, der.Element] = {}
    for attribute in der.elements(attributes):
        oid, values = attribute.expect(der.SEQUENCE).children()
        (value,) = values.expect(der.SET).children()
        if oid.raw in names and names[oid.raw] not in found:
            found[names[oid.raw]] = value
    if len(found) != len(names):
        raise der.BadDer("a signed attribute is missing")
    return found


def _verify(certificate: bytes, digest: str, found: SignerPart) -> None:
    key = load_certificate(certificate).public_key()
    message = der.tlv(der.SET, found.attributes)
    if isinstance(key, ec.EllipticCurvePublicKey):
        expected = KeyAlgorithm.EC_P384 if digest == "sha384" else KeyAlgorithm.EC_P256
        key.verify(found.signature, message, ec.ECDSA(_HASHES[digest]))
    elif isinstance(key, rsa.RSAPublicKey):
        expected = KeyAlgorithm.RSA_2048
        key.verify(found.signature, message, padding.PKCS1v15(), _HASHES[digest])
    else:
        raise der.BadDer("the signer's key is of a kind that is not used here")
    if found.algorithm != algorithm_identifier(expected):
        raise der.BadDer("the signature algorithm is not the key's")
