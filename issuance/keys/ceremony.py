"""A key ceremony: a master key from components that different custodians enter, each with its own check value.

Pure part: who may enter what, and what the protocol says; screens, printing and the vault are the caller's. Components
are joined by XOR, so that fewer than all of them tell nothing; a k-of-n split is `issuance.keys.share_ceremony`. Who
may enter what, for life, is `issuance.keys.custodians`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.errors import BadComponent
from issuance.keys import custodians, material
from issuance.keys.card_keys import combine
from issuance.keys.custodians import Place, Scheme, WrongCustodian
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from issuance.keys.share_ceremony import EnteredShare, ShareCeremony
from issuance.keys.shares import Share


@dataclass(frozen=True)
class Entered:
    """A component that a custodian has entered; its check value may be shown and printed."""

    custodian: str
    number: int
    value: Secret
    check_value: str

    @property
    def place(self) -> Place:
        """Which part of the key it is."""
        return Place(Scheme.COMPONENT, self.number)


@dataclass(frozen=True)
class Ceremony:
    """A ceremony under way; `history` says which part each known custodian has had."""

    purpose: KeyPurpose
    algorithm: KeyAlgorithm
    places: int
    history: Mapping[str, Place]
    entered: tuple[Entered, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse what no ceremony can make; raises `BadComponent`."""
        if self.purpose not in material.SYMMETRIC_PURPOSES or not material.fits(self.purpose, self.algorithm):
            raise BadComponent(f"a key for {self.purpose} is not put together from {self.algorithm} components")
        if self.places not in (2, 3):
            raise BadComponent("a key has two or three components")

    @property
    def missing(self) -> tuple[int, ...]:
        """The places that are still to be entered."""
        done = {item.number for item in self.entered}
        return tuple(place for place in range(1, self.places + 1) if place not in done)

    def enter(self, custodian: str, place: int, component: Secret, check_value: str | None) -> "Ceremony":
        """Return the ceremony after a custodian entered a component.

        `component` is raw bytes, `check_value` the six hex digits printed with it, None where the paper has none.
        Raises `WrongCustodian` for a person who has another place, or for a place that is taken, `BadComponent` for a
        mistyped component.
        """
        self._check_person(custodian, place)
        if len(component) != material.size_of(self.algorithm):
            raise BadComponent(f"component {place} has {len(component)} bytes, {self.algorithm} needs another length")
        found = material.symmetric_check_value(component, self.algorithm)
        if check_value is not None and found != check_value.strip().upper():
            raise BadComponent(f"component {place} has check value {found}: it was mistyped, enter it again")
        return replace(self, entered=(*self.entered, Entered(custodian, place, component, found)))

    def _check_person(self, custodian: str, place: int) -> None:
        if place not in self.missing:
            raise WrongCustodian(f"there is no component {place} to enter", custodian=custodian, place=place)
        done = [(item.custodian, item.place) for item in self.entered]
        custodians.require(custodian, Place(Scheme.COMPONENT, place), self.history, done)

    def components(self) -> tuple[Secret, ...]:
        """Return all components in the order of their places; raises `BadComponent` while one is missing."""
        if self.missing:
            raise BadComponent(f"component {self.missing[0]} is still to be entered")
        return tuple(item.value for item in sorted(self.entered, key=lambda item: item.number))

    def key(self) -> Secret:
        """Return the key; raises `BadComponent` while a component is missing."""
        return combine(self.components(), material.size_of(self.algorithm))

    def check_value(self) -> str:
        """Return the key's own check value: compare it with the paper before the key is taken into the vault."""
        return material.symmetric_check_value(self.key(), self.algorithm)

    def parts(self) -> str:
        """How the key was divided, for the protocol."""
        return f"{self.places} components, all of them needed (XOR)"


def split(key: Secret, places: int, random: Callable[[int], bytes]) -> tuple[tuple[Secret, str], ...]:
    """Split a key into components with their check values, for handing it to another vault."""
    if places not in (2, 3):
        raise BadComponent("a key has two or three components")
    components = [random(len(key)) for _ in range(places - 1)]
    last = int.from_bytes(key.reveal(), "big")
    for component in components:
        last ^= int.from_bytes(component, "big")
    components.append(last.to_bytes(len(key), "big"))
    return tuple((Secret(component), kcv_aes(component).hex().upper()) for component in components)


def protocol(ceremony: Ceremony | ShareCeremony, ref: KeyRef, *, now: datetime) -> str:
    """Return the text of the protocol: who entered what, and check values; its last line is a digest to sign."""
    entered: Sequence[Entered | EnteredShare] = ceremony.entered
    lines = [
        f"Key ceremony of {now:%Y-%m-%d %H:%M} UTC",
        f"Key: {ref.purpose} version {ref.version}, {ceremony.algorithm}, check value {ceremony.check_value()}",
        f"Put together from {ceremony.parts()}",
        *(
            f"{str(item.place).capitalize()}: {item.custodian}, check value {item.check_value}"
            for item in sorted(entered, key=lambda item: item.place)
        ),
    ]
    return signed_below(lines)


def division_protocol(
    algorithm: KeyAlgorithm, key_check_value: str, given: Sequence[tuple[str, Share]], *, now: datetime
) -> str:
    """Return the text of the protocol of a division: which custodian was given which share of a new key."""
    first = given[0][1]
    lines = [
        f"Key divided on {now:%Y-%m-%d %H:%M} UTC",
        f"Key: {algorithm}, check value {key_check_value}, not kept anywhere",
        f"Divided into {len(given)} shares, {first.threshold} of them make the key (SLIP-39 set {first.set_id})",
        *(f"Share {share.number}: {custodian}, check value {share.check_value}" for custodian, share in given),
    ]
    return signed_below(lines)


def signed_below(lines: Sequence[str]) -> str:
    """The lines, and below them the digest that signatures stand for."""
    text = "\n".join(lines)
    return f"{text}\nSHA-256 of the lines above: {hashlib.sha256(text.encode()).hexdigest()}\n"
