"""What a results file says beside what was ordered, in a private file on disk: of any size, in little memory.

Hides where it stands: SQLite's own temporary database, which no other process sees and which ends with the report. A
card in it costs no memory, so a file of a million cards is checked in as much as one of a hundred.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from issuance.bureau.reply import Shipped
from uec.domain.bureau import BureauRefused, OrderedState
from uec.domain.lifecycle import CardState

SAID_LIMIT = 40
AT_ONCE = 500
_TABLES = """
CREATE TABLE card (
    number TEXT PRIMARY KEY, row_id INTEGER, card_id INTEGER, state TEXT, card_state TEXT, chip TEXT, sent INTEGER,
    barred INTEGER DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE chip (chip TEXT PRIMARY KEY, check_values BLOB) WITHOUT ROWID;
CREATE TABLE made (number TEXT PRIMARY KEY, chip TEXT) WITHOUT ROWID;
CREATE TABLE not_made (number TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
CREATE TABLE spoiled (chip TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
CREATE TABLE finished (number TEXT PRIMARY KEY, chip TEXT) WITHOUT ROWID;
CREATE TABLE unfit (number TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
CREATE TABLE shipped (id INTEGER PRIMARY KEY, number TEXT, seal TEXT, cards INTEGER);
CREATE TABLE sent (shipped INTEGER, number TEXT);
CREATE INDEX sent_number ON sent (number);
CREATE INDEX sent_shipped ON sent (shipped);
"""


@dataclass(frozen=True, slots=True)
class OrderedCard:
    """A card of the order as the office knows it."""

    row_id: int
    card_id: int
    number: str
    state: OrderedState
    card_state: CardState
    chip_id: str | None
    sent: bool
    barred: bool = False


class Report:
    """Takes what a file says and what was ordered; then compares. Closed by `with`."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.executescript(f"PRAGMA journal_mode = OFF; {_TABLES} BEGIN;")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def say(self, kind: str, key: str, value: str) -> None:
        """Note what the file says of a card or a chip; raises `BureauRefused` when it says it twice.

        `kind`: `made` or `finished` (a card's chip), `not_made` (a card's reason), `spoiled` (a chip's reason).
        """
        try:
            self._db.execute(f"INSERT INTO {kind} VALUES (?, ?)", (key, value))  # noqa: S608 - one of our tables
        except sqlite3.IntegrityError as error:
            raise BureauRefused(f"The file reports {cut(key)} twice.", finding="reported-twice") from error

    def say_shipped(self, shipped: Shipped) -> None:
        """Note a consignment that the file announces."""
        row = (shipped.consignment, shipped.seal, len(shipped.numbers))
        made = self._db.execute("INSERT INTO shipped (number, seal, cards) VALUES (?, ?, ?)", row).lastrowid
        self._db.executemany("INSERT INTO sent VALUES (?, ?)", ((made, number) for number in shipped.numbers))

    def count(self, kind: str) -> int:
        """How many there are of a kind; `shipped`: consignments, `unfit`: cards that we reject."""
        (found,) = self._db.execute(f"SELECT count(*) FROM {kind}").fetchone()  # noqa: S608 - one of our tables
        return int(found)

    def order(self, cards: Iterable[OrderedCard], chips: Iterable[tuple[str, bytes]]) -> None:
        """Note what was ordered, and the check values of the chips that are still free."""
        self._db.executemany(
            "INSERT INTO card VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (one.number, one.row_id, one.card_id, one.state, one.card_state, one.chip_id, one.sent, one.barred)
                for one in cards
            ),
        )
        self._db.executemany("INSERT INTO chip VALUES (?, ?)", chips)

    def card(self, number: str) -> OrderedCard:
        """A card of the order."""
        row = self._db.execute(
            "SELECT row_id, card_id, number, state, card_state, chip, sent, barred FROM card WHERE number = ?",
            (number,),
        ).fetchone()
        row_id, card_id, _, state, card_state, chip, sent, barred = row
        return OrderedCard(
            row_id, card_id, number, OrderedState(state), CardState(card_state), chip, bool(sent), bool(barred)
        )

    def check_values(self, chip_id: str) -> bytes:
        """The check values of the keys that were sent for a chip."""
        (found,) = self._db.execute("SELECT check_values FROM chip WHERE chip = ?", (chip_id,)).fetchone()
        return bytes(found)

    def reject(self, number: str, reason: str) -> None:
        """Note why a card that was made is unfit; the first reason counts."""
        self._db.execute("INSERT OR IGNORE INTO unfit VALUES (?, ?)", (number, reason))

    def is_unfit(self, number: str) -> bool:
        """Whether a card was found unfit."""
        return self._db.execute("SELECT 1 FROM unfit WHERE number = ?", (number,)).fetchone() is not None

    def findings(self) -> Mapping[str, int]:
        """How many cards are unfit, by the word that says why."""
        word = "SELECT substr(reason, 1, instr(reason || ':', ':') - 1), count(*) FROM unfit GROUP BY 1 ORDER BY 1"
        return dict(self._db.execute(word))

    def first(self, query: str) -> tuple[Any, ...] | None:
        """The first row of a question about the tables above, or None."""
        found: tuple[Any, ...] | None = self._db.execute(query).fetchone()
        return found

    def parts(self, query: str, *values: object) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a question about the tables above, some hundred at a time."""
        cursor = self._db.execute(query, values)
        while rows := cursor.fetchmany(AT_ONCE):
            yield rows


def cut(text: str) -> str:
    """What a file calls something, as long as a sentence bears it."""
    return text if len(text) <= SAID_LIMIT else f"{text[:SAID_LIMIT]}…"
