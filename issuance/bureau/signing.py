"""CMS SignedData over a stream, one signer (RFC 5652 section 5), in constant memory; the order's inner envelope.

The library's own PKCS #7 builder holds the whole content in memory, and wants the private key itself, which never
leaves the vault; so the structure is written here, in BER as CMS allows it for streams, and `openssl cms -verify` reads
it. Only what is signed is believed: certificate, algorithms and versions must be exactly those of the partner whom the
file is expected from, so that no byte of a file can be changed without notice.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from issuance.bureau import ber
from issuance.bureau.ber import END, BerReader, opened
from issuance.bureau.errors import refused
from issuance.pki import der
from issuance.pki.trust import UNREADABLE, load_certificate

ID_DATA = "1.2.840.113549.1.7.1"
ID_SIGNED_DATA = "1.2.840.113549.1.7.2"
_MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
_CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
_SIGNING_TIME = der.oid("1.2.840.113549.1.9.5")
_NULL = der.tlv(der.NULL, b"")
_HASHES: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    "sha256": ("2.16.840.1.101.3.4.2.1", hashes.SHA256()),
    "sha384": ("2.16.840.1.101.3.4.2.2", hashes.SHA384()),
    "sha512": ("2.16.840.1.101.3.4.2.3", hashes.SHA512()),
}
_ECDSA = {"sha256": "1.2.840.10045.4.3.2", "sha384": "1.2.840.10045.4.3.3", "sha512": "1.2.840.10045.4.3.4"}
_RSA_ANY = "1.2.840.113549.1.1.1"
_RSA = {"sha256": "1.2.840.113549.1.1.11", "sha384": "1.2.840.113549.1.1.12", "sha512": "1.2.840.113549.1.1.13"}


class StreamSigner(Protocol):
    """Whose signature ends a file: a vault key of the office, or a bureau's own."""

    @property
    def certificate(self) -> bytes:
        """Its certificate, DER."""
        ...

    @property
    def digest(self) -> str:
        """The hash that goes with its key, as `hashlib` names it."""
        ...

    @property
    def algorithm(self) -> bytes:
        """The AlgorithmIdentifier of its signatures."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign a message."""
        ...


@dataclass(frozen=True)
class OwnKey:
    """A signer whose private key is at hand: a bureau's, never the office's."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    certificate: bytes
    digest: str = "sha256"

    @property
    def algorithm(self) -> bytes:
        """ECDSA or RSA PKCS #1 v1.5 with SHA-256."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return der.sequence(der.oid(_ECDSA[self.digest]))
        return der.sequence(der.oid(_RSA[self.digest]), _NULL)

    def sign(self, message: bytes) -> bytes:
        """Sign with the key at hand."""
        algorithm = _HASHES[self.digest][1]
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(message, ec.ECDSA(algorithm))
        return self.key.sign(message, padding.PKCS1v15(), algorithm)


class SigningWriter:
    """Writes a SignedData around what is written to it; `close` signs."""

    def __init__(self, write: Callable[[bytes], object], signer: StreamSigner, *, now: datetime) -> None:
        """Begin the file; `now` becomes the signing time."""
        self._write, self._signer, self._now = write, signer, now
        self._hash = hashlib.new(signer.digest)
        self._buffer = bytearray()
        write(opened(der.SEQUENCE) + der.oid(ID_SIGNED_DATA) + opened(_context(0)) + opened(der.SEQUENCE))
        write(der.integer(1) + der.set_of([digest_algorithm(signer.digest)]))
        write(opened(der.SEQUENCE) + der.oid(ID_DATA) + opened(_context(0)) + opened(ber.CONSTRUCTED_OCTETS))

    def write(self, data: bytes) -> None:
        """Take content."""
        self._hash.update(data)
        self._buffer += data
        if len(self._buffer) >= ber.PIECE_BYTES:
            self._flush()

    def close(self) -> None:
        """Sign and end the file."""
        self._flush()
        info = self._signer_info()
        self._write(END * 3 + der.explicit(0, self._signer.certificate) + der.set_of([info]) + END * 3)

    def _flush(self) -> None:
        if self._buffer:
            self._write(der.octets(bytes(self._buffer)))
            self._buffer.clear()

    def _signer_info(self) -> bytes:
        values = {
            _CONTENT_TYPE: der.oid(ID_DATA),
            _SIGNING_TIME: der.time(self._now),
            _MESSAGE_DIGEST: der.octets(self._hash.digest()),
        }
        attributes = b"".join(sorted(der.sequence(name, der.set_of([value])) for name, value in values.items()))
        signature = self._signer.sign(der.tlv(der.SET, attributes))
        return der.sequence(
            der.integer(1),
            issuer_and_serial(self._signer.certificate),
            digest_algorithm(self._signer.digest),
            der.explicit(0, attributes),
            self._signer.algorithm,
            der.octets(signature),
        )


def issuer_and_serial(certificate: bytes) -> bytes:
    """How CMS names a certificate (RFC 5652 section 10.2.4)."""
    parsed = load_certificate(certificate)
    return der.sequence(parsed.issuer.public_bytes(), der.integer(parsed.serial_number))


def digest_algorithm(name: str) -> bytes:
    """The AlgorithmIdentifier of a hash, without parameters (RFC 5754 section 2)."""
    return der.sequence(der.oid(_HASHES[name][0]))


def read_signed(stream: BinaryIO, certificate: bytes, keep: Callable[[bytes], object]) -> datetime | None:
    """Hand the content on piece by piece, then check the signature of exactly this signer; returns the signing time.

    What was kept counts for nothing until this returns. Raises `BureauFileRefused`. The signing time is None where the
    signer gave none.
    """
    try:
        return _read(BerReader(stream), certificate, keep)
    except InvalidSignature:
        raise refused("wrong-signature", "the signature is wrong") from None
    except UNREADABLE as error:
        raise refused("not-cms", "this is no CMS file of the agreed kind") from error


def _read(reader: BerReader, certificate: bytes, keep: Callable[[bytes], object]) -> datetime | None:
    outer = reader.open(der.SEQUENCE)
    if reader.small(der.OID) != der.oid(ID_SIGNED_DATA):
        raise refused("not-cms", "the file is not signed data")
    explicit, body = reader.open(_context(0)), reader.open(der.SEQUENCE)
    version, algorithms = reader.small(der.INTEGER), reader.small(der.SET)
    digest = _digest_named(algorithms)
    measured = hashlib.new(digest)

    def both(piece: bytes) -> None:
        measured.update(piece)
        keep(piece)

    _content(reader, both)
    if reader.peek()[0] == _context(0) and reader.small(_context(0)) != der.explicit(0, certificate):
        raise refused("wrong-signer", "the file came with another certificate than the partner's")
    (info,) = der.read(reader.small(der.SET), der.SET).children()
    for size in (body, explicit, outer):
        reader.close(size)
    reader.end()
    by_name = info.expect(der.SEQUENCE).children()[0].expect(der.INTEGER).integer() == 1
    if version != der.integer(1 if by_name else 3):
        raise der.BadDer("another version of the structure")
    return _check(info, certificate, digest, measured.digest())


def _content(reader: BerReader, keep: Callable[[bytes], object]) -> None:
    inner = reader.open(der.SEQUENCE)
    if reader.small(der.OID) != der.oid(ID_DATA):
        raise refused("not-cms", "the content is of another type")
    explicit = reader.open(_context(0))
    for piece in reader.octets(der.OCTET_STRING):
        keep(piece)
    reader.close(explicit)
    reader.close(inner)


def _digest_named(algorithms: bytes) -> str:
    for name, (oid, _) in _HASHES.items():
        for parameters in (b"", _NULL):
            if algorithms == der.set_of([der.sequence(der.oid(oid), parameters)]):
                return name
    raise refused("not-cms", "the file is signed with a hash that was not agreed")


def _check(info: der.Element, certificate: bytes, digest: str, measured: bytes) -> datetime | None:
    version, name, algorithm, attributes, signed_by, signature = info.children()
    if name.raw not in _names_of(certificate, version.integer()):
        raise refused("wrong-signer", "the file was signed by somebody else than the partner")
    if _digest_named(der.set_of([algorithm.raw])) != digest or attributes.tag != _context(0):
        raise der.BadDer("the signer's part contradicts the file")
    values = _attribute_values(attributes)
    if values.get(_CONTENT_TYPE) != der.oid(ID_DATA) or values.get(_MESSAGE_DIGEST) != der.octets(measured):
        raise refused("wrong-signature", "the content is not the signed one")
    _verify(certificate, digest, attributes, signed_by.raw, signature.expect(der.OCTET_STRING).value)
    signed_at = values.get(_SIGNING_TIME)
    return der.parse_time(next(der.elements(signed_at))) if signed_at is not None else None


def _names_of(certificate: bytes, version: int) -> set[bytes]:
    if version == 1:
        return {issuer_and_serial(certificate)}
    parsed = load_certificate(certificate)
    key = parsed.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    return {der.tlv(der.CONTEXT, key)} if version == 3 else set()


def _attribute_values(attributes: der.Element) -> dict[bytes, bytes]:
    """The one value of each signed attribute; every one of them is under the signature."""
    found: dict[bytes, bytes] = {}
    for attribute in attributes.children():
        name, values = attribute.expect(der.SEQUENCE).children()
        if name.raw in found:
            raise der.BadDer("a signed attribute stands twice")
        found[name.raw] = values.expect(der.SET).value
    return found


def _verify(certificate: bytes, digest: str, attributes: der.Element, signed_by: bytes, signature: bytes) -> None:
    key = load_certificate(certificate).public_key()
    message, algorithm = der.tlv(der.SET, attributes.value), _HASHES[digest][1]
    if isinstance(key, ec.EllipticCurvePublicKey):
        allowed = {der.sequence(der.oid(_ECDSA[digest]))}
        key.verify(signature, message, ec.ECDSA(algorithm))
    elif isinstance(key, rsa.RSAPublicKey):
        allowed = {der.sequence(der.oid(oid), _NULL) for oid in (_RSA_ANY, _RSA[digest])}
        key.verify(signature, message, padding.PKCS1v15(), algorithm)
    else:
        raise der.BadDer("the signer's key is of a kind that is not used here")
    if signed_by not in allowed:
        raise der.BadDer("the signature algorithm is not the key's")


def _context(number: int) -> int:
    return der.CONTEXT | der.CONSTRUCTED | number


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    """A stream in pieces."""
    while piece := stream.read(ber.PIECE_BYTES):
        yield piece
