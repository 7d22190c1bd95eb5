"""PIN, PUK and management key of the PIV application.

NIST SP 800-73-4 part 2: 3.2.1 VERIFY, 3.2.2 CHANGE REFERENCE DATA, 3.2.3 RESET RETRY COUNTER, 3.2.4 GENERAL
AUTHENTICATE with the management key (external and mutual authentication). Values are eight bytes, padded with FF.
"""

import hmac
from typing import Final

from card_io.virtual.chip import Randomness
from card_io.virtual.memory import Area
from card_io.virtual.piv.card_data import AES_128, BLOCK_SIZE, KEY_SIZE, PIN, PUK, TDES, FactoryValues
from card_io.virtual.primitives import aes_ecb_encrypt, des3_ecb_encrypt
from card_io.virtual.refusal import BLOCKED, REFERENCE_NOT_FOUND, SECURITY_STATUS, WRONG_DATA, WRONG_P1P2, Refused

TRIES: Final = 3
SIZE: Final = 8
_TRIES_LEFT: Final = 0x63C0


def padded(value: bytes) -> bytes:
    """The value as it travels and lies in the chip."""
    return value.ljust(SIZE, b"\xff")


class ReferenceData:
    """PIN (80) and PUK (81) with their counters."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self.verified = False
        self.fresh = False
        """The PIN was verified right before this command: what the signature key asks for."""

    def set_up(self, values: FactoryValues) -> None:
        """Factory state."""
        for ref, value in ((PIN, values.pin), (PUK, values.puk)):
            self._area.put(f"reference/{ref:02x}", padded(value))
            self._area.put(f"left/{ref:02x}", TRIES)

    def forget(self) -> None:
        """Nothing is verified."""
        self.verified = self.fresh = False

    def left(self, ref: int) -> int:
        """Tries left."""
        return self._area.integer(f"left/{ref:02x}")

    def state(self) -> int:
        """Status word of VERIFY without data."""
        if self.verified:
            return 0x9000
        return _TRIES_LEFT | self.left(PIN) if self.left(PIN) else BLOCKED

    def check(self, ref: int, value: bytes) -> None:
        """Compare; the try is counted durably beforehand."""
        stored = self._area.octets(f"reference/{ref:02x}")
        if stored is None:
            raise Refused(REFERENCE_NOT_FOUND)
        left = self.left(ref)
        if ref == PIN:
            self.forget()
        if left == 0:
            raise Refused(BLOCKED)
        self._area.put(f"left/{ref:02x}", left - 1)
        self._area.checkpoint()
        if not hmac.compare_digest(stored, value):
            raise Refused(_TRIES_LEFT | (left - 1) if left > 1 else BLOCKED)
        self._area.put(f"left/{ref:02x}", TRIES)

    def verify(self, value: bytes) -> None:
        """VERIFY of the PIN."""
        if not _well_formed(PIN, value):
            raise Refused(WRONG_DATA)
        self.check(PIN, value)
        self.verified = self.fresh = True

    def replace(self, ref: int, value: bytes) -> None:
        """Store a new value with all its tries."""
        if not _well_formed(ref, value):
            raise Refused(WRONG_DATA)
        self._area.put(f"reference/{ref:02x}", value)
        self._area.put(f"left/{ref:02x}", TRIES)


def _well_formed(ref: int, value: bytes) -> bool:
    """Eight bytes; a PIN has six to eight digits and FF behind them (part 1, 2.4.3)."""
    digits = value.rstrip(b"\xff")
    return len(value) == SIZE and (ref == PUK or (len(digits) >= 6 and digits.isdigit()))


class ManagementKey:
    """The key of whoever manages the card, and where an authentication with it stands."""

    def __init__(self, area: Area, randomness: Randomness) -> None:
        self._area = area
        self._randomness = randomness
        self._witness: bytes | None = None
        self._challenge: bytes | None = None
        self.authenticated = False

    def set_up(self, values: FactoryValues) -> None:
        """Factory state."""
        self._area.put("management", (TDES, values.management_key))

    def forget(self) -> None:
        """Not authenticated, nothing under way."""
        self._witness = self._challenge = None
        self.authenticated = False

    def _key(self) -> tuple[int, bytes]:
        match self._area.row("management"):
            case (int(algorithm), bytes(value)):
                return algorithm, value
            case _:
                raise Refused(REFERENCE_NOT_FOUND)

    def replace(self, algorithm: int, value: bytes) -> None:
        """Store another key."""
        if len(value) != KEY_SIZE.get(algorithm):
            raise Refused(WRONG_DATA)
        self._area.put("management", (algorithm, value))

    def check_algorithm(self, algorithm: int) -> int:
        """The block size, when the algorithm is the key's (00 stands for 3DES)."""
        if (algorithm or TDES) != self._key()[0]:
            raise Refused(WRONG_P1P2)
        return BLOCK_SIZE[algorithm]

    def _encrypt(self, block: bytes) -> bytes:
        algorithm, key = self._key()
        return aes_ecb_encrypt(key, block) if algorithm >= AES_128 else des3_ecb_encrypt(key, block)

    def give_witness(self, size: int) -> bytes:
        """Mutual authentication, first half: a secret that only the key's owner can decrypt."""
        self.forget()
        self._witness = self._randomness.take(size)
        return self._encrypt(self._witness)

    def give_challenge(self, size: int) -> bytes:
        """External authentication, first half."""
        self.forget()
        self._challenge = self._randomness.take(size)
        return self._challenge

    def answer_mutual(self, witness: bytes, challenge: bytes, size: int) -> bytes:
        """Mutual authentication, second half: the host's challenge encrypted."""
        expected = self._witness
        self.forget()
        if expected is None or not hmac.compare_digest(expected, witness):
            raise Refused(SECURITY_STATUS)
        if len(challenge) != size:
            raise Refused(WRONG_DATA)
        self.authenticated = True
        return self._encrypt(challenge)

    def accept_external(self, response: bytes) -> None:
        """External authentication, second half."""
        expected = self._challenge
        self.forget()
        if expected is None or not hmac.compare_digest(self._encrypt(expected), response):
            raise Refused(SECURITY_STATUS)
        self.authenticated = True
