"""What a station has seen of the cards in its readers: each card that is put in is looked at once.

Until that is done the reader counts as empty, so that nobody begins work on a card whose look takes its power away. Its
insertion is told all the same: a hub that hears of the reader for the first time knows by it that the card was there.
"""

from dataclasses import replace

from issuance.production.sighting import Sighting
from issuance.station.wire import Reader


class Sightings:
    """Answers by reader, each of one insertion; for the loop's thread alone."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: dict[str, tuple[int, Sighting | None]] = {}
        self._begun: dict[str, int] = {}

    def has(self, reader: Reader) -> bool:
        """Whether the card in it was looked at, or is being looked at."""
        done = reader.name in self._seen and self._seen[reader.name][0] == reader.insertion
        return done or self._begun.get(reader.name) == reader.insertion

    def begin(self, reader: Reader) -> None:
        """It is being looked at."""
        self._begun[reader.name] = reader.insertion

    def end(self, reader: Reader, seen: Sighting | None) -> None:
        """It was looked at; None for a card that said nothing of use."""
        self._seen[reader.name] = reader.insertion, seen
        if self._begun.get(reader.name) == reader.insertion:
            del self._begun[reader.name]

    def shown(self, reader: Reader) -> Reader:
        """The reader as others may hear of it."""
        insertion, seen = self._seen.get(reader.name, (None, None))
        if not reader.card:
            return reader
        if insertion != reader.insertion:
            return replace(reader, card=False)
        return replace(reader, seen=seen.told if seen is not None else ())
