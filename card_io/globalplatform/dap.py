"""DAP blocks: the signature of a security domain's provider over the hash of code to be loaded.

GlobalPlatform Card Specification 2.3.1 C.3, with the algorithms of B.1.2.2 (3DES), B.2.2 (AES), B.3 (RSA) and B.4.3
(ECC). Who holds the key signs: the functions take a private key, or a callable where a vault holds it. Hides that the
message to be signed is itself a hash, and how each kind of signature is written.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from card_io import tlv
from card_io.ciphers import DES_BLOCK, aes_cmac, mac_des_des3
from card_io.errors import InvalidApdu
from card_io.globalplatform.aid import check_aid
from card_io.secret import Secret

DAP_KEY_VERSION = 0x73
"""The key version that cards commonly keep for the DAP key (identifier 01)."""
_RSA_SCHEME_1_BITS = 1024
_HASHES: dict[int, hashes.HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}


@dataclass(frozen=True, slots=True)
class DapBlock:
    """A signature over the load file data block hash by the owner of a security domain (C.3)."""

    security_domain: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Data object E2."""
        domain = tlv.encode(0x4F, check_aid(self.security_domain))
        return tlv.encode(0xE2, domain + tlv.encode(0xC3, self.signature))


def sign_with_aes(key: Secret, block_hash: bytes) -> bytes:
    """16 bytes: AES-CMAC over the load file data block hash."""
    return aes_cmac(key.reveal(), block_hash)


def sign_with_des(key: Secret, block_hash: bytes) -> bytes:
    """8 bytes: single DES MAC with a final triple DES over the padded load file data block hash."""
    return mac_des_des3(key.reveal(), block_hash, bytes(DES_BLOCK))


def sign_with_rsa(key: rsa.RSAPrivateKey, block_hash: bytes) -> bytes:
    """RSA: PKCS #1 1.5 with SHA-1 under 1024-bit keys (scheme 1), PSS with SHA-256 under longer ones (scheme 2)."""
    if key.key_size == _RSA_SCHEME_1_BITS:
        return key.sign(block_hash, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - scheme 1 says so
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    return key.sign(block_hash, pss, hashes.SHA256())


def sign_with_ecc(sign: Callable[[bytes], bytes], size_bits: int, block_hash: bytes) -> bytes:
    """ECDSA: r and s one after the other; `sign` hashes and signs a message and returns DER, as vaults do.

    `size_bits` is that of the curve: 256, 384 or 521.
    """
    if size_bits not in _HASHES:
        raise InvalidApdu(f"no DAP hash is laid down for a curve of {size_bits} bits; use P-256, P-384 or P-521")
    half = -(-size_bits // 8)
    r, s = decode_dss_signature(sign(block_hash))
    return r.to_bytes(half, "big") + s.to_bytes(half, "big")


def ecc_signer(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    """A signer for `sign_with_ecc` from a key in this process, with the hash that its size asks for (table B-3)."""
    algorithm = _HASHES[key.key_size]
    return lambda message: key.sign(message, ec.ECDSA(algorithm))
