"""What a card showed of itself, whatever kind it is: read by `observe`, judged by `judge`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

CHALLENGE_BYTES = 32


@dataclass(frozen=True, slots=True)
class PinState:
    """What the card says of one PIN; `transport` and `blocked` are its flags."""

    tries_left: int
    tries: int
    transport: bool
    blocked: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """What a key was asked and what it answered.

    Signing keys: `asked` is the message, `answer` the ECDSA signature over its SHA-256 (DER). Agreement keys:
    `ephemeral` is the host's half, `answer` the X coordinate of the shared point as the card computes it.
    """

    asked: bytes
    answer: bytes
    ephemeral: ec.EllipticCurvePrivateKey | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a card showed: files by identifier (those that were there and readable), sizes of all, PINs, proofs."""

    chip_id: str
    life_cycle: int | None
    closed: bool
    sizes: Mapping[int, int]
    files: Mapping[int, bytes]
    pins: Mapping[int, PinState]
    proofs: Mapping[str, Proof]
