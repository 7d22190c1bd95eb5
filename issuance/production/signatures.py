"""Checking what a card signed with SHA-256: ECDSA over P-256 or P-384 (FIPS 186-5), RSA PKCS #1 v1.5 (RFC 8017)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

DIGEST_INFO = bytes.fromhex("3031300D060960864801650304020105000420")
"""DER of a DigestInfo for SHA-256, up to the digest (RFC 8017, 9.2 note 1)."""


def signed_by(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (ECDSA in DER, or RSA) over `message` is of `public_key` (SubjectPublicKeyInfo, DER)."""
    key = serialization.load_der_public_key(public_key)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        else:
            return False
    except InvalidSignature:
        return False
    return True


def pkcs1_block(digest: bytes, size_bytes: int) -> bytes:
    """What a card that only raises to its private exponent is given: EMSA-PKCS1-v1_5 of a SHA-256 digest."""
    tail = b"\x00" + DIGEST_INFO + digest
    return b"\x00\x01" + b"\xff" * (size_bytes - 2 - len(tail)) + tail
