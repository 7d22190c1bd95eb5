"""What the journal of one card says: the only memory a personalisation has of what was begun before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from issuance.production.bundle import Record, RecordKind


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
        """The chip that this card was begun on, if any."""
        record = self._last(RecordKind.CHIP_CLAIMED)
        return None if record is None else str(record.facts["chip_id"])

    def key_version_of(self, kvn: int) -> int | None:
        """The card master's version that key version `kvn` on this card must derive from; the latest intent counts."""
        for record in reversed(self._records):
            if record.kind is RecordKind.KEY_CHANGE_INTENT and record.facts["kvn"] == kvn:
                return int(str(record.facts["key_version"]))
        return None

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

    def _last(self, kind: RecordKind) -> Record | None:
        return next((record for record in reversed(self._records) if record.kind is kind), None)
