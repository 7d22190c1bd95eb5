"""Checking what a card signed: ECDSA with SHA-256 over P-256 or P-384 (FIPS 186-5)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def signed_by(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (ECDSA with SHA-256, DER) over `message` is of `public_key` (SubjectPublicKeyInfo, DER)."""
    key = serialization.load_der_public_key(public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
