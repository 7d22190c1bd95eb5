"""The silicon: production data, randomness, key pair generation, all from one seed so that a test can repeat a card.

CPLC is the 42-byte record of GlobalPlatform's older profiles (tag 9F7F): fabricator, type, system, dates, serial,
batch... The stream of randomness restarts under a new number at every power-on, so a card loaded from its file never
repeats itself.
"""

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from card_io.virtual.memory import Area

CPLC_SIZE: Final = 42


def cplc_for(seed: bytes) -> bytes:
    """The production record of the chip with this seed, 42 bytes: serial number and batch come from the seed."""
    unique = hashlib.sha256(b"cplc" + seed).digest()
    # Maker and type of the chip; its system, with date and level; the date of the chip.
    head = bytes.fromhex("47900500479181023B006035")
    return head + unique[:6] + bytes.fromhex("481260364813603748146038") + bytes(12)


def diversification_data(cplc: bytes) -> bytes:
    """Ten bytes that INITIALIZE UPDATE tells: fabricator (2), then date, serial number and batch (8) of the CPLC."""
    return cplc[0:2] + cplc[10:18]


class Randomness:
    """A deterministic stream: HMAC-SHA256 of the seed over the number of the power-on and a count."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._boot = 0
        self._count = 0

    def restart(self, area: Area) -> None:
        """Begin a stream of its own for this power-on."""
        self._boot = area.integer("boot") + 1
        self._count = 0
        area.put("boot", self._boot)

    def take(self, size: int) -> bytes:
        """`size` bytes that were never given before."""
        taken = b""
        while len(taken) < size:
            self._count += 1
            label = self._boot.to_bytes(8, "big") + self._count.to_bytes(8, "big")
            taken += hmac.digest(self._seed, label, "sha256")
        return taken[:size]

    def ec_key(self, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        """A private key from the stream: sixteen bytes more than the order has, so that the remainder is even."""
        order = curve.group_order
        number = int.from_bytes(self.take(curve.key_size // 8 + 16), "big")
        return ec.derive_private_key(number % (order - 1) + 1, curve)

    def rsa_key(self, bits: int) -> rsa.RSAPrivateKey:
        """An RSA key pair; its primes come from the operating system, not from the stream."""
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
