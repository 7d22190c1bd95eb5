"""What a card showed of itself, whatever kind it is: read by `observe`, judged by `judge`."""

from collections.abc import Mapping
from dataclasses import dataclass

from issuance.pki.possession import Proof


@dataclass(frozen=True, slots=True)
class PinState:
    """What the card says of one PIN; `transport` and `blocked` are its flags."""

    tries_left: int
    tries: int
    transport: bool
    blocked: bool


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
