"""Key material by algorithm: how to make it, tell about it and sign with it.

Hides the byte forms: symmetric keys are raw bytes, private keys PKCS #8 DER (RFC 5958), public keys
SubjectPublicKeyInfo DER (RFC 5280 section 4.1.2.7).
"""

import secrets
from collections.abc import Callable, Sequence

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from card_io.ciphers import AES_BLOCK, DES_BLOCK, kcv_aes, kcv_des3
from card_io.secret import Secret
from issuance.errors import UnusableKey
from issuance.keys.port import KeyAlgorithm, KeyPurpose

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_SYMMETRIC_SIZES = {KeyAlgorithm.AES_128: 16, KeyAlgorithm.AES_256: 32, KeyAlgorithm.DES3: 16}
_CURVES: dict[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.EC_P256: ec.SECP256R1(),
    KeyAlgorithm.EC_P384: ec.SECP384R1(),
}
_RSA_SIZES = {KeyAlgorithm.RSA_2048: 2048, KeyAlgorithm.RSA_3072: 3072, KeyAlgorithm.RSA_4096: 4096}

SYMMETRIC_PURPOSES = frozenset(
    {KeyPurpose.CARD_MASTER, KeyPurpose.BLANK_TRANSPORT, KeyPurpose.PIN_MASTER, KeyPurpose.BUREAU_TRANSPORT}
)

_CARD_PURPOSES = frozenset({KeyPurpose.CARD_MASTER, KeyPurpose.BLANK_TRANSPORT})


def fits(purpose: KeyPurpose, algorithm: KeyAlgorithm) -> bool:
    """Tell whether a key of this algorithm can serve this purpose."""
    if algorithm is KeyAlgorithm.DES3:
        return purpose in _CARD_PURPOSES
    return (purpose in SYMMETRIC_PURPOSES) == (algorithm in _SYMMETRIC_SIZES)


def require_importable(purpose: KeyPurpose, algorithm: KeyAlgorithm) -> None:
    """Raise `UnusableKey` unless a key of this kind may come from outside: signature keys are made where they work."""
    if not fits(purpose, algorithm) or purpose not in SYMMETRIC_PURPOSES:
        raise UnusableKey(f"{purpose} takes no imported {algorithm} key: check both", purpose=purpose, version=0)


def size_of(algorithm: KeyAlgorithm) -> int:
    """Return the size in bytes of a symmetric key."""
    return _SYMMETRIC_SIZES[algorithm]


def block_size_of(algorithm: KeyAlgorithm) -> int:
    """Return the size in bytes of the blocks that a symmetric key enciphers."""
    return DES_BLOCK if algorithm is KeyAlgorithm.DES3 else AES_BLOCK


def encryptor(key: Secret, algorithm: KeyAlgorithm) -> Callable[[bytes | memoryview, memoryview], object]:
    """Return what enciphers whole blocks, each by itself, to the front of a buffer with room for one block more.

    It holds the key's schedule, so it serves many calls; one thread at a time.
    """
    value = key.reveal()
    cipher = TripleDES(value + value[:DES_BLOCK]) if algorithm is KeyAlgorithm.DES3 else AES(value)
    return Cipher(cipher, ECB()).encryptor().update_into  # noqa: S305 - what derivations are made of


def symmetric_check_value(key: Secret, algorithm: KeyAlgorithm) -> str:
    """Return a symmetric key's check value, 3 bytes in upper-case hex, as GlobalPlatform computes it."""
    return (kcv_des3 if algorithm is KeyAlgorithm.DES3 else kcv_aes)(key.reveal()).hex().upper()


def hash_of(algorithm: KeyAlgorithm) -> hashes.HashAlgorithm:
    """Return the hash a signature key of this algorithm signs with."""
    return hashes.SHA384() if algorithm is KeyAlgorithm.EC_P384 else hashes.SHA256()


def make(algorithm: KeyAlgorithm) -> bytes:
    """Make fresh key material from the operating system's generator."""
    if algorithm in _SYMMETRIC_SIZES:
        return secrets.token_bytes(_SYMMETRIC_SIZES[algorithm])
    key: PrivateKey
    if algorithm in _CURVES:
        key = ec.generate_private_key(_CURVES[algorithm])
    elif algorithm in _RSA_SIZES:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_SIZES[algorithm])
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private(material: bytes) -> PrivateKey:
    """Load a private key from its PKCS #8 form."""
    key = serialization.load_der_private_key(material, password=None)
    if not isinstance(key, PrivateKey):
        raise TypeError(f"{type(key).__name__} is no signature key of ours")
    return key


def spki(key: PrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo of a private key."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def sign(key: PrivateKey, algorithm: KeyAlgorithm, messages: Sequence[bytes]) -> list[bytes]:
    """Sign each message with the algorithm's own hash."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return [key.sign(message) for message in messages]
    return _sign_hashed(key, hash_of(algorithm), messages)


def sign_digests(key: PrivateKey, algorithm: KeyAlgorithm, digests: Sequence[bytes]) -> list[bytes]:
    """Sign digests made with `hash_of(algorithm)`; raises `ValueError` for Ed25519 and for a digest of wrong length."""
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"{algorithm} signs whole messages only")  # noqa: TRY004 - a key of ours, of the wrong kind
    return _sign_hashed(key, Prehashed(hash_of(algorithm)), digests)


def _sign_hashed(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    algorithm: hashes.HashAlgorithm | Prehashed,
    inputs: Sequence[bytes],
) -> list[bytes]:
    if isinstance(key, rsa.RSAPrivateKey):
        pkcs1 = padding.PKCS1v15()
        return [key.sign(data, pkcs1, algorithm) for data in inputs]
    ecdsa = ec.ECDSA(algorithm)
    return [key.sign(data, ecdsa) for data in inputs]


def public_check_value(public_key: bytes) -> bytes:
    """Return the first 8 bytes of SHA-256 over a SubjectPublicKeyInfo."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(public_key)
    return digest.finalize()[:8]
