"""Key pairs of the instance: generated here, never leaving, each with its rule and its uses.

ISO/IEC 7816-8:2019: GENERATE ASYMMETRIC KEY PAIR (public key template 7F49), PERFORM SECURITY OPERATION.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from card_io import tlv
from card_io.applets.uec.layout import KeyAlgorithm, KeySlot, KeyUse, Rule
from card_io.virtual.chip import Randomness
from card_io.virtual.memory import Area
from card_io.virtual.refusal import CONDITIONS, NOT_SUPPORTED, REFERENCE_NOT_FOUND, WRONG_DATA, Refused

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: Final = {KeyAlgorithm.EC_P256: ec.SECP256R1(), KeyAlgorithm.EC_P384: ec.SECP384R1()}
_HASH_OF_SIZE: Final = {32: hashes.SHA256(), 48: hashes.SHA384()}
HASH_MAX: Final = 64


@dataclass(frozen=True)
class Key:
    """A key pair with what it may do."""

    slot: int
    algorithm: int
    rule: int
    use: int
    private: PrivateKey

    def may(self, use: KeyUse) -> bool:
        """Whether it was generated for that use."""
        return bool(self.use & use)


class Keys:
    """Key pairs in the instance's area; loaded ones are kept while there is power."""

    def __init__(self, area: Area, randomness: Randomness) -> None:
        self._area = area
        self._randomness = randomness
        self._loaded: dict[bytes, PrivateKey] = {}

    def generate(self, slot: int, algorithm: int, rule: int, use: int) -> bytes:
        """Generate a pair (replacing the slot's) and return its public key."""
        known = slot in set(KeySlot) and algorithm in set(KeyAlgorithm)
        if not known or rule not in {Rule.ALWAYS, Rule.PIN1, Rule.PIN2} or not use or use & ~0x07:
            raise Refused(WRONG_DATA)
        if algorithm == KeyAlgorithm.RSA_2048:
            if use & KeyUse.AGREE:
                raise Refused(NOT_SUPPORTED)
            private: PrivateKey = self._randomness.rsa_key(2048)
        else:
            private = self._randomness.ec_key(_CURVES[KeyAlgorithm(algorithm)])
        encoded = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._loaded[encoded] = private
        self._area.put(f"key/{slot}", (algorithm, rule, use, encoded))
        return public_key(private)

    def slots(self) -> list[int]:
        """Slots that hold a pair."""
        return [int(name.removeprefix("key/")) for name in self._area.names("key/")]

    def get(self, slot: int) -> Key:
        """The pair of a slot; 6A88 when it is empty."""
        match self._area.row(f"key/{slot}"):
            case (int(algorithm), int(rule), int(use), bytes(encoded)):
                return Key(slot, algorithm, rule, use, self._load(encoded))
            case _:
                raise Refused(REFERENCE_NOT_FOUND)

    def _load(self, encoded: bytes) -> PrivateKey:
        if encoded not in self._loaded:
            private = serialization.load_der_private_key(encoded, None)
            if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
                raise Refused(NOT_SUPPORTED)
            self._loaded[encoded] = private
        return self._loaded[encoded]

    def overview(self) -> bytes:
        """Four bytes a key: slot, algorithm, rule, uses."""
        found = (self.get(slot) for slot in self.slots())
        return b"".join(bytes([key.slot, key.algorithm, key.rule, key.use]) for key in found)


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
    block = b"\x00\x01" + b"\xff" * (size - 3 - len(digest_info)) + b"\x00" + digest_info
    numbers = private.private_numbers()
    return pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


def agree(private: PrivateKey, point: bytes) -> bytes:
    """The X coordinate of the point shared with the peer's uncompressed point."""
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise Refused(CONDITIONS)
    try:
        peer = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, point)
    except ValueError as error:
        raise Refused(WRONG_DATA) from error
    return private.exchange(ec.ECDH(), peer)
