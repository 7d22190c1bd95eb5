"""CMS AuthEnvelopedData over a stream, one recipient (RFC 5083, RFC 5084 with AES-256-GCM), in constant memory.

The content key goes to the recipient's certificate: RSAES-OAEP with SHA-256 (RFC 4055 section 4), or for P-256 and
P-384 an ephemeral key agreed with it (RFC 5753 section 3.1: dhSinglePass-stdDH-sha256kdf, AES-256 key wrap). The
library builds envelopes for RSA with PKCS #1 v1.5 and AES-CBC only, whole in memory. `openssl cms -decrypt` reads
these. What is inside is a signed file (`signing`): S/MIME's order of things, so that nobody can strip a signature and
put his own.
"""

import os
from collections.abc import Callable
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from issuance.bureau import ber
from issuance.bureau.ber import END, BerReader, opened
from issuance.bureau.errors import refused
from issuance.bureau.signing import ID_DATA, issuer_and_serial
from issuance.pki import der
from issuance.pki.trust import UNREADABLE, load_certificate

ID_AUTH_ENVELOPED = "1.2.840.113549.1.9.16.1.23"
_NULL = der.tlv(der.NULL, b"")
_SHA256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), _NULL)
_OAEP = der.sequence(
    der.oid("1.2.840.113549.1.1.7"),
    der.sequence(der.explicit(0, _SHA256), der.explicit(1, der.sequence(der.oid("1.2.840.113549.1.1.8"), _SHA256))),
)
_AES256_WRAP = der.sequence(der.oid("2.16.840.1.101.3.4.1.45"))
_AGREEMENT = der.sequence(der.oid("1.3.132.1.11.1"), _AES256_WRAP)
_EC_PUBLIC_KEY = der.sequence(der.oid("1.2.840.10045.2.1"))
_AES256_GCM = der.oid("2.16.840.1.101.3.4.1.46")
_KEY_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 12, 16
_PADDING = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)

RecipientKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Random = Callable[[int], bytes]


class EncryptingWriter:
    """Writes an AuthEnvelopedData around what is written to it."""

    def __init__(self, write: Callable[[bytes], object], recipient: bytes, *, random: Random = os.urandom) -> None:
        """Begin the file for the holder of the certificate (DER); raises `BureauFileRefused` for an unfit one."""
        self._write = write
        key, nonce = random(_KEY_BYTES), random(_NONCE_BYTES)
        self._cipher = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
        self._buffer = bytearray()
        write(opened(der.SEQUENCE) + der.oid(ID_AUTH_ENVELOPED) + opened(_context(0)) + opened(der.SEQUENCE))
        write(der.integer(0) + der.tlv(der.SET, _recipient_info(recipient, key)))
        write(opened(der.SEQUENCE) + der.oid(ID_DATA) + _gcm(nonce) + opened(_context(0)))

    def write(self, data: bytes) -> None:
        """Take content."""
        self._buffer += data
        if len(self._buffer) >= ber.PIECE_BYTES:
            self._flush()

    def close(self) -> None:
        """End the file with its authentication tag."""
        self._flush()
        self._cipher.finalize()
        self._write(END * 2 + der.octets(self._cipher.tag) + END * 3)

    def _flush(self) -> None:
        if self._buffer:
            self._write(der.octets(self._cipher.update(bytes(self._buffer))))
            self._buffer.clear()


def read_enveloped(stream: BinaryIO, certificate: bytes, key: RecipientKey, keep: Callable[[bytes], object]) -> None:
    """Hand the content on piece by piece, decrypted for this recipient; raises `BureauFileRefused`.

    What was kept counts for nothing until this returns: only the end says that it was not altered.
    """
    try:
        _read(BerReader(stream), certificate, key, keep)
    except InvalidTag:
        raise refused("wrong-digest", "the file was altered on its way") from None
    except UNREADABLE as error:
        raise refused("not-cms", "this is no CMS file of the agreed kind") from error


def _read(reader: BerReader, certificate: bytes, key: RecipientKey, keep: Callable[[bytes], object]) -> None:
    outer = reader.open(der.SEQUENCE)
    if reader.small(der.OID) != der.oid(ID_AUTH_ENVELOPED):
        raise refused("not-cms", "the file is not encrypted as agreed")
    explicit, body = reader.open(_context(0)), reader.open(der.SEQUENCE)
    if reader.small(der.INTEGER) != der.integer(0):
        raise der.BadDer("another version of the structure")
    content_key = _content_key(reader.small(der.SET), certificate, key)
    inner = reader.open(der.SEQUENCE)
    if reader.small(der.OID) != der.oid(ID_DATA):
        raise der.BadDer("another type of content")
    nonce = _nonce(reader.small(der.SEQUENCE))
    cipher = Cipher(algorithms.AES(content_key), modes.GCM(nonce)).decryptor()
    for piece in reader.octets(der.CONTEXT):
        keep(cipher.update(piece))
    reader.close(inner)
    tag = der.read(reader.small(der.OCTET_STRING), der.OCTET_STRING).value
    if len(tag) != _TAG_BYTES:
        raise der.BadDer("the tag has another length")
    for size in (body, explicit, outer):
        reader.close(size)
    reader.end()
    cipher.finalize_with_tag(tag)


def _gcm(nonce: bytes) -> bytes:
    return der.sequence(_AES256_GCM, der.sequence(der.octets(nonce), der.integer(_TAG_BYTES)))


def _nonce(algorithm: bytes) -> bytes:
    _, parameters = der.read(algorithm).children()
    nonce = parameters.children()[0].value
    if len(nonce) != _NONCE_BYTES or _gcm(nonce) != algorithm:
        raise der.BadDer("another cipher than the agreed one")
    return nonce


def _recipient_info(recipient: bytes, content_key: bytes) -> bytes:
    public = load_certificate(recipient).public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return _transported(recipient, public.encrypt(content_key, _PADDING))
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise refused("not-for-us", "the recipient's certificate has a key that cannot receive")
    ephemeral = ec.generate_private_key(public.curve)
    wrapped = aes_key_wrap(_agreed(ephemeral, public), content_key)
    return _agreed_info(recipient, _point(ephemeral.public_key()), wrapped)


def _transported(recipient: bytes, encrypted: bytes) -> bytes:
    return der.sequence(der.integer(0), issuer_and_serial(recipient), _OAEP, der.octets(encrypted))


def _agreed_info(recipient: bytes, point: bytes, wrapped: bytes) -> bytes:
    originator = der.explicit(0, der.explicit(1, _EC_PUBLIC_KEY, der.bits(point)))
    keys = der.sequence(der.sequence(issuer_and_serial(recipient), der.octets(wrapped)))
    return der.explicit(1, der.integer(3), originator, _AGREEMENT, keys)


def _content_key(recipients: bytes, certificate: bytes, key: RecipientKey) -> bytes:
    """The content key out of the one recipient's part, which must be spelt exactly as it is written here."""
    (info,) = der.read(recipients, der.SET).children()
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            encrypted = info.expect(der.SEQUENCE).children()[-1].value
            if info.raw != _transported(certificate, encrypted):
                raise refused("not-for-us", "the file is for another recipient")
            return key.decrypt(encrypted, _PADDING)
        point, wrapped = _parts_of_agreement(info)
        if info.raw != _agreed_info(certificate, point, wrapped):
            raise refused("not-for-us", "the file is for another recipient")
        peer = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)
        return aes_key_unwrap(_agreed(key, peer), wrapped)
    except (InvalidUnwrap, ValueError, IndexError) as error:
        raise refused("not-for-us", "the file is for another recipient, or altered") from error


def _parts_of_agreement(info: der.Element) -> tuple[bytes, bytes]:
    _, originator, _, keys = info.expect(_context(1)).children()
    _, bits = originator.children()[0].children()
    _, wrapped = keys.children()[0].children()
    return bits.expect(der.BIT_STRING).value[1:], wrapped.value


def _agreed(private: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey) -> bytes:
    """The key-encryption key (ANSI X9.63 with SHA-256 over ECC-CMS-SharedInfo, RFC 5753 section 7.2)."""
    info = der.sequence(_AES256_WRAP, der.explicit(2, der.octets((8 * _KEY_BYTES).to_bytes(4, "big"))))
    return X963KDF(hashes.SHA256(), _KEY_BYTES, info).derive(private.exchange(ec.ECDH(), public))


def _point(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def _context(number: int) -> int:
    return der.CONTEXT | der.CONSTRUCTED | number
