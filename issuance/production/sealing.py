"""Sealing a holder's PINs to one hub process: ECIES over P-256, so that web, database and backups see no PIN.

The scheme is ECDH on P-256 with an ephemeral key, HKDF-SHA256 (RFC 5869) and AES-256-GCM (SP 800-38D). Layout:
`01 | ephemeral point (65 bytes, uncompressed) | ciphertext and tag`. The AES key and the nonce both come out of the
HKDF, whose `info` binds the two public keys and the context; every message has its own ephemeral key, so no nonce
repeats. The opening key lives in the memory of one process only and is never stored: when that process ends, what was
sealed to it can no longer be opened, and the PINs are asked for again.
"""

import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from card_io.secret import Secret
from issuance.production.errors import SealBroken

VERSION = b"\x01"
POINT_BYTES = 65
KEY_BYTES = 32
NONCE_BYTES = 12
_CURVE = ec.SECP256R1()


class SealingKey:
    """The opening half. Make one when the process starts; nothing here can export the private key."""

    def __init__(self) -> None:
        """Generate a new key pair from the system's randomness."""
        self._private = ec.generate_private_key(_CURVE)

    @property
    def public_key(self) -> bytes:
        """The key to seal to: an uncompressed P-256 point, 65 bytes."""
        return _point(self._private.public_key())

    def open(self, sealed: bytes, *, context: bytes) -> Secret:
        """The plaintext of `sealed`; `SealBroken` when it is damaged, for another key, or for another context."""
        if len(sealed) <= len(VERSION) + POINT_BYTES or sealed[:1] != VERSION:
            raise SealBroken
        point = sealed[1 : 1 + POINT_BYTES]
        try:
            shared = self._private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point))
            key, nonce = _derive(shared, point, self.public_key, context)
            return Secret(AESGCM(key).decrypt(nonce, sealed[1 + POINT_BYTES :], context))
        except (ValueError, InvalidTag) as error:
            raise SealBroken from error


def seal(public_key: bytes, plaintext: Secret, *, context: bytes) -> bytes:
    """Seal `plaintext` to `public_key` (65-byte point); only the holder of the key opens it, with the same context."""
    try:
        recipient = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public_key)
    except ValueError as error:
        raise SealBroken from error
    ephemeral = ec.generate_private_key(_CURVE)
    point = _point(ephemeral.public_key())
    key, nonce = _derive(ephemeral.exchange(ec.ECDH(), recipient), point, public_key, context)
    return VERSION + point + AESGCM(key).encrypt(nonce, plaintext.reveal(), context)


def seal_pins(public_key: bytes, pins: Mapping[str, Secret], *, card_number: str) -> bytes:
    """Seal the PINs a holder has chosen (`pin1`, `pin2`) for one card to the hub's `public_key`."""
    text = json.dumps({name: pin.reveal().decode("ascii") for name, pin in sorted(pins.items())})
    return seal(public_key, Secret(text.encode("ascii")), context=_pin_context(card_number))


def open_pins(key: SealingKey, sealed: bytes, *, card_number: str) -> dict[str, Secret]:
    """The PINs sealed by `seal_pins` for this card; `SealBroken` for any other key, card or content."""
    text = key.open(sealed, context=_pin_context(card_number)).reveal()
    try:
        content = json.loads(text)
    except ValueError as error:
        raise SealBroken from error
    if not isinstance(content, dict) or not all(isinstance(pin, str) for pin in content.values()):
        raise SealBroken
    return {str(name): Secret(pin.encode("ascii")) for name, pin in content.items()}


def _pin_context(card_number: str) -> bytes:
    return b"uec holder pins " + card_number.encode("ascii")


def _derive(shared: bytes, ephemeral: bytes, recipient: bytes, context: bytes) -> tuple[bytes, bytes]:
    info = b"uec sealing 1" + ephemeral + recipient + context
    material = HKDF(hashes.SHA256(), KEY_BYTES + NONCE_BYTES, salt=None, info=info).derive(shared)
    return material[:KEY_BYTES], material[KEY_BYTES:]


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
