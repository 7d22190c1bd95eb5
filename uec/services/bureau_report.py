"""What a results file says beside what was ordered, in a private file on disk: of any size, in little memory.

Hides where it stands: SQLite's own temporary database, which no other process sees and which ends with the report. A
card in it costs no memory, so a file of a million cards is checked in as much as one of a hundred.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from issuance.bureau.reply import Made, Shipped
from issuance.pki.hygiene import public_key_digest
from uec.domain.bureau import BureauRefused, OrderedState
from uec.domain.lifecycle import CardState
from uec.services.bureau_rejecting import BARRED, NOT_WANTED

SAID_LIMIT = 40
AT_ONCE = 500
CACHE_KB = 16_000
_TABLES = """
CREATE TABLE card (
    number TEXT PRIMARY KEY, row_id INTEGER, card_id INTEGER, state TEXT, card_state TEXT, chip TEXT, sent INTEGER,
    barred INTEGER DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE chip (chip TEXT PRIMARY KEY, check_values BLOB) WITHOUT ROWID;
CREATE TABLE made (
    number TEXT PRIMARY KEY, chip TEXT, kvn INTEGER, check_values BLOB, flaw TEXT, public_keys TEXT, proofs TEXT
);
CREATE TABLE key (digest TEXT, number TEXT, slot TEXT);
CREATE TABLE taken_key (digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE not_made (number TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
CREATE TABLE spoiled (chip TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
CREATE TABLE finished (number TEXT PRIMARY KEY, chip TEXT) WITHOUT ROWID;
CREATE TABLE unfit (number TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
CREATE TABLE shipped (id INTEGER PRIMARY KEY, number TEXT, seal TEXT, cards INTEGER);
CREATE TABLE sent (shipped INTEGER, number TEXT);
CREATE INDEX sent_number ON sent (number);
CREATE INDEX sent_shipped ON sent (shipped);
"""
# The first that holds is why; each is a word, a colon, a sentence.
_JUDGE = """
INSERT INTO unfit SELECT number, reason FROM (
    SELECT made.number, CASE
        WHEN card.card_state <> 'WRITING' THEN :not_wanted || ': the card is ' || card.card_state || ' by now'
        WHEN card.barred THEN :barred
        WHEN made.kvn IS NOT :kvn OR made.check_values <> chip.check_values
            THEN 'check-values: the chip''s keys are not those that were sent for it'
        ELSE made.flaw END AS reason
    FROM made JOIN card USING (number) JOIN chip ON chip.chip = made.chip
) WHERE reason <> ''
"""
FIT_KEYS = "key WHERE number NOT IN (SELECT number FROM unfit)"
_JUDGE_SHARED = f"""
INSERT INTO unfit
    SELECT DISTINCT number, 'duplicate-key: a public key of this card is in another card' FROM {FIT_KEYS}
        AND (digest IN (SELECT digest FROM taken_key)
            OR digest IN (SELECT digest FROM {FIT_KEYS} GROUP BY digest HAVING count(*) > 1))
"""  # noqa: S608 - every part is written here


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
        self._db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA cache_size = -{CACHE_KB}; {_TABLES} BEGIN;")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def say(self, kind: str, key: str, *values: str | int | bytes) -> None:
        """Note what the file says of a card or a chip; raises `BureauRefused` when it says it twice.

        `kind`: `finished` (a card's chip), `not_made` (a card's reason), `spoiled` (a chip's reason); `made` has more.
        """
        row = (key, *values)
        try:
            self._db.execute(f"INSERT INTO {kind} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - our tables
        except sqlite3.IntegrityError as error:
            raise BureauRefused(f"The file reports {cut(key)} twice.", finding="reported-twice") from error

    def say_made(self, made: Made, flaw: str) -> None:
        """Note a card that was made, and what is wrong with it as far as it shows by itself, or ''."""
        public = {slot: key.public_key.hex() for slot, key in made.keys.items()}
        proofs = {slot: key.proof.hex() for slot, key in made.keys.items()}
        values = b"".join(made.check_values)
        self.say(
            "made", made.number, made.chip_id.hex(), made.kvn, values, flaw, json.dumps(public), json.dumps(proofs)
        )
        keys = ((public_key_digest(key.public_key), made.number, slot) for slot, key in made.keys.items())
        self._db.executemany("INSERT INTO key VALUES (?, ?, ?)", keys)

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

    def judge(self, kvn: int | None) -> None:
        """Note why cards that were made are unfit, by what was ordered and by themselves; `kvn` is the ordered one."""
        self._db.execute(_JUDGE, {"kvn": kvn, "not_wanted": NOT_WANTED, "barred": BARRED})

    def note_taken(self, digests: Iterable[str]) -> None:
        """Note public keys that are in other cards."""
        self._db.executemany("INSERT OR IGNORE INTO taken_key VALUES (?)", ((digest,) for digest in digests))

    def judge_shared(self) -> None:
        """Note as unfit whose key is in another card, of this file or any other."""
        self._db.execute(_JUDGE_SHARED)

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
