"""What the journal of one card says: the only memory a personalisation has of what was begun before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from issuance.production.bundle import Record, RecordKind
from issuance.production.pin_profile import Keeping


@dataclass(frozen=True, slots=True)
class SeenSession:
    """What a card answered when it last opened a channel; `counter` is how often this key set had been asked to."""

    kdd: bytes
    kvn: int
    i: int
    counter: int


class Journal:
    """Reads the records of one card, oldest first."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Take them as the office keeps them."""
        self._records = tuple(records)

    def has(self, kind: RecordKind) -> bool:
        """Whether there is an entry of this kind."""
        return self.count(kind) > 0

    def count(self, kind: RecordKind) -> int:
        """How many entries there are of this kind."""
        return sum(record.kind == kind for record in self._records)

    @property
    def claimed_chip(self) -> str | None:
        """The chip that this card was begun on, if any; one that was let go does not count."""
        record = self._last(RecordKind.CHIP_CLAIMED, RecordKind.CHIP_RELEASED)
        return str(record.facts["chip_id"]) if record and record.kind is RecordKind.CHIP_CLAIMED else None

    @property
    def cplc(self) -> bytes:
        """The production record of the chip that is claimed now, as it told it last; empty where nobody noted it."""
        told = next((record.facts["cplc"] for record in self._of_this_chip() if "cplc" in record.facts), "")
        return bytes.fromhex(str(told))

    @property
    def writes(self) -> int:
        """How often the chip that is claimed now was begun to be written."""
        return sum(record.kind is RecordKind.WRITE_INTENT for record in self._of_this_chip())

    @property
    def card_state(self) -> int | None:
        """The card's own life cycle state when its keys were made; None where it was not asked for."""
        record = self._last(RecordKind.KEYS_MADE)
        state = record.facts.get("card_state") if record else None
        return state if isinstance(state, int) else None

    def key_version_of(self, kvn: int) -> int | None:
        """The card master's version that key version `kvn` on this card must derive from; the latest intent counts."""
        for record in reversed(self._records):
            if record.kind is RecordKind.KEY_CHANGE_INTENT and record.facts["kvn"] == kvn:
                return int(str(record.facts["key_version"]))
        return None

    def intended_at(self, kvn: int) -> int:
        """Where the latest intent to give the card keys of version `kvn` stands; -1 where nobody had it."""
        places = (
            place
            for place, record in enumerate(self._records)
            if record.kind is RecordKind.KEY_CHANGE_INTENT and record.facts["kvn"] == kvn
        )
        return max(places, default=-1)

    @property
    def last_session(self) -> SeenSession | None:
        """The last channel that a card with foretellable challenges opened, if any was noted."""
        facts = next((record.facts["session"] for record in reversed(self._records) if "session" in record.facts), None)
        if not isinstance(facts, Mapping):
            return None
        return SeenSession(bytes.fromhex(facts["kdd"]), int(facts["kvn"]), int(facts["i"]), int(facts["counter"]))

    @property
    def public_keys(self) -> dict[str, bytes]:
        """The public keys (DER) of the key pairs that the card is known to have made, by slot; empty before."""
        record = self._last(RecordKind.KEYS_MADE)
        keys = record.facts["public_keys"] if record else {}
        if not isinstance(keys, dict):
            raise TypeError("the journal entry keys_made holds no mapping")
        return {str(slot): bytes.fromhex(str(key)) for slot, key in keys.items()}

    def kept(self, code: str, *, by: RecordKind = RecordKind.PIN_CHANGED) -> Keeping | None:
        """Who keeps an unblock code of the card, `by` the last entry of a kind; None while it is the transport one."""
        record = self._last(by)
        kept = record.facts.get("kept", {}) if record else {}
        return Keeping(kept[code]) if isinstance(kept, Mapping) and code in kept else None

    def _of_this_chip(self) -> Iterator[Record]:
        """The newest first, down to where another chip was let go."""
        return takewhile(lambda record: record.kind is not RecordKind.CHIP_RELEASED, reversed(self._records))

    def _last(self, *kinds: RecordKind) -> Record | None:
        return next((record for record in reversed(self._records) if record.kind in kinds), None)
