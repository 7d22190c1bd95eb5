"""Whose key is in two cards: of any file what a look at all keys at once would find, and what the database knows."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.reply import Made, MadeKey
from issuance.pki.hygiene import public_key_digest
from uec.domain.bureau import OrderedState
from uec.domain.lifecycle import CardState
from uec.services import bureau_report
from uec.services.bureau_report import OrderedCard, Report
from uec.services.bureau_shared_keys import reject_shared
from uec.store.tables import BureauKey

SLOTS = ("a", "b")
KEYS = st.integers(0, 12)
CARDS = st.lists(st.tuples(KEYS, KEYS), max_size=8)


def cards(chosen: list[tuple[int, int]]) -> list[Made]:
    """Cards with these keys, by number."""
    return [
        Made(str(number), bytes(10), bytes(42), 0x30, (bytes(3),) * 3,
             {slot: MadeKey(bytes([key]) * 5, b"") for slot, key in zip(SLOTS, keys, strict=True)})
        for number, keys in enumerate(chosen)
    ]  # fmt: skip


def digests(made: Made) -> list[str]:
    return [public_key_digest(key.public_key) for key in made.keys.values()]


def shared(session: Session, made: list[Made], without: set[str]) -> set[str]:
    """Whose key is in another card too, by numbers; of those `without` something else is wrong."""
    with Report() as report:
        for one in made:
            report.say_made(one, "size: another thing" if one.number in without else "")
        ordered = (OrderedCard(0, 0, one.number, OrderedState.ORDERED, CardState.WRITING, None, False) for one in made)
        report.order(ordered, [(bytes(10).hex(), bytes(9))])
        report.judge(0x30)
        reject_shared(session, report)
        unfit = [row for rows in report.parts("SELECT number, reason FROM unfit") for row in rows]
    assert {number for number, reason in unfit if not reason.startswith("duplicate-key: ")} == without & {
        one.number for one in made
    }
    return {number for number, _ in unfit} - without


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    chosen=CARDS,
    without=st.sets(st.integers(0, 8).map(str)),
    known=st.sets(KEYS, max_size=2),
    at_once=st.integers(1, 5),
)
def test_any_file(
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
    chosen: list[tuple[int, int]],
    without: set[str],
    known: set[int],
    at_once: int,
) -> None:
    """Neither where a part of the file ends, nor which card was unfit before, changes what is found."""
    made = cards(chosen)
    fit = [one for one in made if one.number not in without]
    stored = {digest for key in known for digest in digests(cards([(key, key)])[0])}
    monkeypatch.setattr(bureau_report, "AT_ONCE", at_once)
    with sessions() as session:
        without_cards(session)
        session.add_all(BureauKey(digest=digest, card_id=1, slot="a") for digest in stored)
        session.flush()
        counted = Counter(digest for one in fit for digest in digests(one))
        wanted = {one.number for one in fit for digest in digests(one) if counted[digest] > 1 or digest in stored}
        assert shared(session, made, without) == wanted
        session.rollback()


def without_cards(session: Session) -> None:
    """Let keys stand for this transaction, which is not committed, without the cards that they are of."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    session.execute(
        text("PRAGMA defer_foreign_keys = ON" if sqlite else "SET LOCAL session_replication_role = replica")
    )
