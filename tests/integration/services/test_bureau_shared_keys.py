"""Whose key is in two cards: of any file what a look at all keys at once would find, and what the database knows."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.reply import Made, MadeKey
from uec.services import bureau_shared_keys
from uec.services.bureau_shared_keys import SharedKeys, key_digests
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


def shared(session: Session, made: list[Made], without: set[str]) -> set[str]:
    found = SharedKeys(session)
    for one in made:
        if one.number not in without:
            found.add(one)
    return found.numbers(one for one in made if one.number not in without)


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
    stored = {digest for key in known for _, digest in key_digests(cards([(key, key)])[0])}
    monkeypatch.setattr(bureau_shared_keys, "AT_ONCE", at_once)
    with sessions() as session:
        without_cards(session)
        session.add_all(BureauKey(digest=digest, card_id=1, slot="a") for digest in stored)
        session.flush()
        counted = Counter(digest for one in fit for _, digest in key_digests(one))
        wanted = {
            one.number for one in fit for _, digest in key_digests(one) if counted[digest] > 1 or digest in stored
        }
        assert shared(session, made, without) == wanted
        session.rollback()


def test_equal_beginnings_are_no_equal_keys(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bureau_shared_keys, "_mark", lambda digest: 1)
    with sessions() as session:
        assert shared(session, cards([(1, 2), (3, 4), (5, 1)]), set()) == {"0", "2"}


def without_cards(session: Session) -> None:
    """Let keys stand for this transaction, which is not committed, without the cards that they are of."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    session.execute(
        text("PRAGMA defer_foreign_keys = ON" if sqlite else "SET LOCAL session_replication_role = replica")
    )
