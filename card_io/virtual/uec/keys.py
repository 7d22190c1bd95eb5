"""Key pairs of the instance: generated here, never leaving, each with its rule and its uses.

ISO/IEC 7816-8:2019: GENERATE ASYMMETRIC KEY PAIR, PERFORM SECURITY OPERATION.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from card_io.applets.uec.layout import SLOT_MAX, KeyAlgorithm, KeyUse, Rule
from card_io.virtual.asymmetric import PrivateKey, decode, encode, public_key
from card_io.virtual.chip import Randomness
from card_io.virtual.memory import Area
from card_io.virtual.refusal import NOT_SUPPORTED, REFERENCE_NOT_FOUND, WRONG_DATA, Refused

_CURVES: Final = {KeyAlgorithm.EC_P256: ec.SECP256R1(), KeyAlgorithm.EC_P384: ec.SECP384R1()}


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
        known = 1 <= slot <= SLOT_MAX and algorithm in set(KeyAlgorithm)
        if not known or rule not in {Rule.ALWAYS, Rule.PIN1, Rule.PIN2} or not use or use & ~0x07:
            raise Refused(WRONG_DATA)
        if algorithm == KeyAlgorithm.RSA_2048:
            if use & KeyUse.AGREE:
                raise Refused(NOT_SUPPORTED)
            private: PrivateKey = self._randomness.rsa_key(2048)
        else:
            private = self._randomness.ec_key(_CURVES[KeyAlgorithm(algorithm)])
        encoded = encode(private)
        self._loaded[encoded] = private
        self._area.put(f"key/{slot}", (algorithm, rule, use, encoded))
        return public_key(private)

    def slots(self) -> list[int]:
        """Slots that hold a pair."""
        return [int(name.removeprefix("key/")) for name in self._area.names("key/")]

    def rules(self) -> set[int]:
        """What must hold for some pair to be used."""
        return {self.get(slot).rule for slot in self.slots()}

    def get(self, slot: int) -> Key:
        """The pair of a slot; 6A88 when it is empty."""
        match self._area.row(f"key/{slot}"):
            case (int(algorithm), int(rule), int(use), bytes(encoded)):
                return Key(slot, algorithm, rule, use, self._load(encoded))
            case _:
                raise Refused(REFERENCE_NOT_FOUND)

    def _load(self, encoded: bytes) -> PrivateKey:
        if encoded not in self._loaded:
            self._loaded[encoded] = decode(encoded)
        return self._loaded[encoded]

    def overview(self) -> bytes:
        """Four bytes a key: slot, algorithm, rule, uses."""
        found = (self.get(slot) for slot in self.slots())
        return b"".join(bytes([key.slot, key.algorithm, key.rule, key.use]) for key in found)
