"""Algorithm identifiers, key references and admin keys of PIV.

NIST SP 800-78-5 tables 9 to 11 (algorithms), SP 800-73-5 part 1 table 4b (key references). Hides which object
belongs to which slot.
"""

from collections.abc import Callable
from enum import IntEnum

from card_io.ciphers import aes_ecb_decrypt, aes_ecb_encrypt, des3_ecb_decrypt, des3_ecb_encrypt

PIV_AID = bytes.fromhex("A00000030800001000")
"""The PIV AID without its version, which selects every edition."""


class KeyAlgorithm(IntEnum):
    """Algorithms of key pairs."""

    RSA_3072 = 0x05
    RSA_2048 = 0x07
    ECC_P256 = 0x11
    ECC_P384 = 0x14

    @property
    def block_bytes(self) -> int:
        """Bytes of what is signed: the RSA modulus, or the digest that fits the curve."""
        return {KeyAlgorithm.RSA_3072: 384, KeyAlgorithm.RSA_2048: 256, KeyAlgorithm.ECC_P256: 32}.get(self, 48)

    @property
    def is_rsa(self) -> bool:
        """True for the RSA algorithms."""
        return self in (KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072)


class AdminAlgorithm(IntEnum):
    """Algorithms of the admin key (card management key, 9B)."""

    TDES = 0x03
    AES_128 = 0x08
    AES_192 = 0x0A
    AES_256 = 0x0C

    @property
    def key_bytes(self) -> int:
        """Length of the key."""
        return {AdminAlgorithm.TDES: 24, AdminAlgorithm.AES_128: 16, AdminAlgorithm.AES_192: 24}.get(self, 32)

    @property
    def block_bytes(self) -> int:
        """Length of witness and challenge."""
        return 8 if self is AdminAlgorithm.TDES else 16

    @property
    def encrypt(self) -> Callable[[bytes, bytes], bytes]:
        """One-block cipher: (key, block) to block."""
        return des3_ecb_encrypt if self is AdminAlgorithm.TDES else aes_ecb_encrypt

    @property
    def decrypt(self) -> Callable[[bytes, bytes], bytes]:
        """The reverse of `encrypt`."""
        return des3_ecb_decrypt if self is AdminAlgorithm.TDES else aes_ecb_decrypt


class Slot(IntEnum):
    """Key references."""

    AUTHENTICATION = 0x9A
    ADMIN = 0x9B
    SIGNATURE = 0x9C
    KEY_MANAGEMENT = 0x9D
    CARD_AUTHENTICATION = 0x9E
    RETIRED_1 = 0x82
    RETIRED_2 = 0x83
    RETIRED_3 = 0x84
    RETIRED_4 = 0x85
    RETIRED_5 = 0x86
    RETIRED_6 = 0x87
    RETIRED_7 = 0x88
    RETIRED_8 = 0x89
    RETIRED_9 = 0x8A
    RETIRED_10 = 0x8B
    RETIRED_11 = 0x8C
    RETIRED_12 = 0x8D
    RETIRED_13 = 0x8E
    RETIRED_14 = 0x8F
    RETIRED_15 = 0x90
    RETIRED_16 = 0x91
    RETIRED_17 = 0x92
    RETIRED_18 = 0x93
    RETIRED_19 = 0x94
    RETIRED_20 = 0x95
    ATTESTATION = 0xF9


PIN_APPLICATION = 0x80
PIN_GLOBAL = 0x00
PUK = 0x81
