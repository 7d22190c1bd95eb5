"""Key pairs and what is done with the private ones: ECDSA, ECDH, RSA with PKCS #1 padding.

SEC 1 2.0, 3.3 and 4.1; RFC 8017, 8.2 and 5.1; ISO/IEC 7816-8:2019 (public key template 7F49).
"""

import hashlib
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from card_io import tlv
from card_io.virtual.refusal import CONDITIONS, NOT_SUPPORTED, WRONG_DATA, Refused

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_HASH_OF_SIZE: Final = {32: hashes.SHA256(), 48: hashes.SHA384()}
HASH_MAX: Final = 64


def encode(private: PrivateKey) -> bytes:
    """The pair as it lies in the chip's memory."""
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def decode(encoded: bytes) -> PrivateKey:
    """The pair out of the chip's memory."""
    private = serialization.load_der_private_key(encoded, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Refused(NOT_SUPPORTED)
    return private


def public_key(private: PrivateKey) -> bytes:
    """The public key template 7F49: the point (86), or modulus (81) and exponent (82)."""
    if isinstance(private, ec.EllipticCurvePrivateKey):
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return tlv.encode(0x7F49, tlv.encode(0x86, point))
    numbers = private.public_key().public_numbers()
    modulus = numbers.n.to_bytes(private.key_size // 8, "big")
    return tlv.encode(0x7F49, tlv.encode(0x81, modulus) + tlv.encode(0x82, numbers.e.to_bytes(3, "big")))


def sign_hash(private: PrivateKey, digest: bytes) -> bytes:
    """ECDSA over a given hash (DER), or RSA with PKCS #1 padding over a given DigestInfo."""
    if isinstance(private, rsa.RSAPrivateKey):
        return _rsa_signature(private, digest)
    if not 1 <= len(digest) <= HASH_MAX:
        raise Refused(WRONG_DATA)
    # SEC 1, 4.1.3: the leftmost bits of the hash as a number; a shorter hash is that number as it is.
    size = private.curve.key_size // 8
    number = digest[:size].rjust(size, b"\x00")
    return private.sign(number, ec.ECDSA(Prehashed(_HASH_OF_SIZE[size])))


def sign_message(private: PrivateKey, message: bytes) -> bytes:
    """ECDSA with SHA-256 over a message (DER)."""
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise Refused(CONDITIONS)
    return private.sign(message, ec.ECDSA(hashes.SHA256()))


def sha1(message: bytes) -> bytes:
    """The hash that version 00.06 of the isoApplet interface leaves to the card."""
    return hashlib.sha1(message, usedforsecurity=False).digest()


def _rsa_signature(private: rsa.RSAPrivateKey, digest_info: bytes) -> bytes:
    size = private.key_size // 8
    if not 1 <= len(digest_info) <= size - 11:
        raise Refused(WRONG_DATA)
    return rsa_raw(private, b"\x00\x01" + b"\xff" * (size - 3 - len(digest_info)) + b"\x00" + digest_info)


def rsa_raw(private: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """The private operation on a whole block that the host has padded."""
    size, numbers = private.key_size // 8, private.private_numbers()
    number = int.from_bytes(block, "big")
    if len(block) != size or number >= numbers.public_numbers.n:
        raise Refused(WRONG_DATA)
    return pow(number, numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


def agree(private: PrivateKey, point: bytes) -> bytes:
    """The X coordinate of the point shared with the peer's uncompressed point."""
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise Refused(CONDITIONS)
    try:
        peer = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, point)
    except ValueError as error:
        raise Refused(WRONG_DATA) from error
    return private.exchange(ec.ECDH(), peer)
