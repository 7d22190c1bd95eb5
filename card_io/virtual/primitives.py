"""Symmetric cryptography as the specifications write it: CMAC, ISO 9797 padding, retail MAC, key check values.

NIST SP 800-38B (CMAC), ISO/IEC 9797-1 (padding method 2, MAC algorithms 1 and 3), GlobalPlatform 2.3.1 annex B.
The card side has its own: the host's must not be able to agree with it by sharing an error.
"""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

_ZERO_16 = bytes(16)
_ZERO_8 = bytes(8)


def pad(data: bytes, block: int) -> bytes:
    """80, then zeros to a whole block; always at least the 80."""
    return data + b"\x80" + bytes(-(len(data) + 1) % block)


def unpad(data: bytes) -> bytes | None:
    """Without the padding, or None when there is none."""
    stripped = data.rstrip(b"\x00")
    return stripped[:-1] if stripped.endswith(b"\x80") else None


def cmac(key: bytes, data: bytes) -> bytes:
    """AES-CMAC, 16 bytes."""
    context = CMAC(AES(key))
    context.update(data)
    return context.finalize()


def aes_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """AES without chaining, for single blocks."""
    context = Cipher(AES(key), modes.ECB()).encryptor()  # noqa: S305 - counter blocks and key check values
    return context.update(data) + context.finalize()


def aes_cbc_encrypt(key: bytes, data: bytes, iv: bytes = _ZERO_16) -> bytes:
    """AES-CBC of whole blocks."""
    context = Cipher(AES(key), modes.CBC(iv)).encryptor()
    return context.update(data) + context.finalize()


def aes_cbc_decrypt(key: bytes, data: bytes, iv: bytes = _ZERO_16) -> bytes:
    """AES-CBC of whole blocks."""
    context = Cipher(AES(key), modes.CBC(iv)).decryptor()
    return context.update(data) + context.finalize()


def _two_key(key: bytes) -> TripleDES:
    return TripleDES(key + key[:8] if len(key) == 16 else key)


def des3_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """Triple DES without chaining."""
    context = Cipher(_two_key(key), modes.ECB()).encryptor()  # noqa: S305 - key wrapping as GlobalPlatform says
    return context.update(data) + context.finalize()


def des3_ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """Triple DES without chaining."""
    context = Cipher(_two_key(key), modes.ECB()).decryptor()  # noqa: S305 - key wrapping as GlobalPlatform says
    return context.update(data) + context.finalize()


def des3_cbc_encrypt(key: bytes, data: bytes, iv: bytes = _ZERO_8) -> bytes:
    """Triple DES in CBC mode."""
    context = Cipher(_two_key(key), modes.CBC(iv)).encryptor()
    return context.update(data) + context.finalize()


def des3_cbc_decrypt(key: bytes, data: bytes, iv: bytes = _ZERO_8) -> bytes:
    """Triple DES in CBC mode."""
    context = Cipher(_two_key(key), modes.CBC(iv)).decryptor()
    return context.update(data) + context.finalize()


def des_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """Single DES: triple DES with three equal parts."""
    return des3_ecb_encrypt(key * 3, data)


def full_mac(key: bytes, data: bytes, iv: bytes = _ZERO_8) -> bytes:
    """Triple DES CBC-MAC over padded data (ISO 9797-1 algorithm 1, GlobalPlatform B.1.2.1)."""
    return des3_cbc_encrypt(key, pad(data, 8), iv)[-8:]


def retail_mac(key: bytes, data: bytes, iv: bytes = _ZERO_8) -> bytes:
    """Single DES CBC-MAC with a final triple DES, over padded data (algorithm 3, GlobalPlatform B.1.2.2)."""
    padded = pad(data, 8)
    single = key[:8] * 3
    state = iv if len(padded) == 8 else des3_cbc_encrypt(single, padded[:-8], iv)[-8:]
    return des3_cbc_encrypt(key, padded[-8:], state)


def check_value(key: bytes, *, aes: bool) -> bytes:
    """Key check value, 3 bytes: AES over sixteen bytes 01, triple DES over eight bytes 00."""
    return (aes_ecb_encrypt(key, b"\x01" * 16) if aes else des3_ecb_encrypt(key, _ZERO_8))[:3]
