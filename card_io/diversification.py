"""One key set a card from a master key: none, EMV, VISA2, KDF3.

EMV Card Personalization Specification 1.1 §4.1 (EMV); VISA2 as public GlobalPlatform hosts implement it; NIST SP
800-108 counter mode with CMAC (KDF3). The key diversification data (KDD) are the 10 bytes that open the answer to
INITIALIZE UPDATE. Pure functions for the keeper of the master key: nothing else in this room calls them.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from card_io.ciphers import AES_BLOCK, aes_cmac, des3_ecb_encrypt
from card_io.errors import CardError
from card_io.keyset import KeySet
from card_io.secret import Secret

KDD_SIZE = 10


class UnknownScheme(CardError, ValueError):
    """A diversification scheme that no function here computes."""

    code = "card.diversification"

    def __init__(self, scheme: str) -> None:
        super().__init__(f"no key diversification is called {scheme!r}; use one of {', '.join(SCHEMES)}")
        self.scheme = scheme


def _kdf3_key(master: bytes, kdd: bytes, purpose: int) -> bytes:
    """As many CMAC blocks as the master is long: counter, label 000000NN, separator 00, context KDD."""
    fixed = bytes([0, 0, 0, purpose, 0]) + kdd
    blocks = -(-len(master) // AES_BLOCK)
    stream = b"".join(aes_cmac(master, bytes([counter]) + fixed) for counter in range(1, blocks + 1))
    return stream[: len(master)]


def _des_key(master: bytes, seed: bytes, purpose: int) -> bytes:
    return des3_ecb_encrypt(master, seed + bytes([0xF0, purpose]) + seed + bytes([0x0F, purpose]))


def _emv_key(master: bytes, kdd: bytes, purpose: int) -> bytes:
    return _des_key(master, kdd[4:10], purpose)


def _visa2_key(master: bytes, kdd: bytes, purpose: int) -> bytes:
    return _des_key(master, kdd[0:2] + kdd[4:8], purpose)


def _no_key(master: bytes, kdd: bytes, purpose: int) -> bytes:
    del kdd, purpose
    return master


SCHEMES: Mapping[str, Callable[[bytes, bytes, int], bytes]] = MappingProxyType(
    {"none": _no_key, "emv": _emv_key, "visa2": _visa2_key, "kdf3": _kdf3_key}
)
"""Key derivation by scheme: (master, KDD, key identifier 1 ENC, 2 MAC, 3 DEK) to the card's key."""


def diversify(scheme: str, masters: KeySet, kdd: bytes) -> KeySet:
    """The card's key set under `scheme`, each key from its own master.

    `kdd` is 10 bytes; EMV and VISA2 take 16-byte 3DES masters, KDF3 AES masters of any size. Raises `UnknownScheme`.
    """
    if scheme not in SCHEMES:
        raise UnknownScheme(scheme)
    if len(kdd) != KDD_SIZE:
        raise CardError(f"key diversification data of {len(kdd)} bytes; take the first 10 of INITIALIZE UPDATE")
    derive = SCHEMES[scheme]
    enc, mac, dek = (
        Secret(derive(master.reveal(), kdd, purpose)) for purpose, master in enumerate(masters.in_order(), start=1)
    )
    return KeySet(enc, mac, dek)


def kdf3(master: Secret, kdd: bytes) -> KeySet:
    """The card's AES key set from one master (KDF3)."""
    return diversify("kdf3", KeySet.same(master), kdd)
