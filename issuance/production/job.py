"""Orders to the generators and what they hand back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from card_io.secret import Secret
from issuance.keys.port import KeyRef
from issuance.production.bundle import Record
from issuance.production.sighting import Sighting

Random = Callable[[int], bytes]
"""So many random bytes: challenges for the card, nothing that becomes a key."""


@dataclass(frozen=True, slots=True)
class CardJob:
    """One card to personalise.

    `data_groups` are the prepared files by number. `blank_master` is the key set that the blanks' keys derive from,
    `card_master` the one for production keys. `journal` is everything recorded for this card so far, oldest first:
    empty for a fresh card, and all that a card put back is finished from. `seen` is what is known of the card in the
    reader before it is asked.
    """

    card_number: str
    batch_number: str
    data_groups: Mapping[int, bytes]
    blank_master: KeyRef
    card_master: KeyRef
    journal: tuple[Record, ...] = ()
    seen: Sighting | None = None


@dataclass(frozen=True, slots=True)
class PersonalisedCard:
    """A finished card: what the office keeps of it. Public keys are SubjectPublicKeyInfo (DER), by slot name."""

    card_number: str
    chip_id: str
    kvn: int
    key_version: int
    public_keys: Mapping[str, bytes]
    resumed: bool


@dataclass(frozen=True, slots=True)
class InspectionJob:
    """One card to inspect: what it must be. `public_keys` by slot name (DER), `data_groups` by number."""

    card_number: str
    chip_id: str
    data_groups: Mapping[int, bytes]
    public_keys: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class HandOverJob:
    """One card to hand over; `card_key` is the public half of its card-authentication key (DER), empty without one.

    `pins` are those the holder has chosen, by name, and what the holder's letter will say of each unblock code. PINs
    that stand empty are chosen at the reader's own keys; `chosen` names those that were in this sitting already.
    `journal` as in `CardJob`.
    """

    card_number: str
    chip_id: str
    card_key: bytes
    pins: Mapping[str, Secret] = field(repr=False)
    journal: tuple[Record, ...] = ()
    chosen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The card answered the challenge, and its PINs are the holder's; `at_reader`: typed at the reader's own keys."""

    card_number: str
    chip_id: str
    resumed: bool
    at_reader: bool = False


@dataclass(frozen=True, slots=True)
class UnblockJob:
    """One PIN of a card in use to set anew; `card_key` and `journal` as in `HandOverJob`.

    `pin` names it, `new` is what the holder has chosen: empty when that is done at the reader's own keys. `code` is
    what the holder's letter says: None where there is none, or where a whole code is typed at the reader too.
    """

    card_number: str
    chip_id: str
    card_key: bytes
    pin: str
    new: Secret = field(repr=False)
    code: Secret | None = field(default=None, repr=False)
    journal: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Unblocked:
    """The PIN is the one that the holder has chosen, with all its tries; `at_reader` as in `HandedOver`."""

    card_number: str
    chip_id: str
    pin: str
    at_reader: bool = False
