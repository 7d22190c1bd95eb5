"""Statements that go together say what the same statements say one by one, on both databases."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.rows import make_row
from uec.domain.errors import IllegalMove, StoreUnavailable
from uec.domain.lifecycle import CardState
from uec.store.tables import Card
from uec.store.tables.production import PreparedPart
from uec.store.together import Step, flushed_later, run_together

NAMES = ("batch_id", "cards", "root", "prepared_at", "signer")
KEEPING = insert(PreparedPart).values({name: bindparam(name) for name in NAMES}).returning(PreparedPart.id)
PARTS = select(PreparedPart.cards, PreparedPart.root).where(PreparedPart.cards >= bindparam("least"))
MOVING = (
    update(Card)
    .where(Card.id.between(bindparam("first"), bindparam("last")), Card.state == CardState.PLANNED)
    .values(state=bindparam("after", type_=Card.state.type), version=Card.version + 1)
)


def kept(session: Session, cards: int) -> dict[str, object]:
    at = datetime(2026, 3, 2, 12, tzinfo=timezone(timedelta(hours=5)))
    batch = make_row(session.connection(), "batch")
    return {"batch_id": batch, "cards": cards, "root": bytes(32), "prepared_at": at, "signer": None}


def test_each_step_tells_its_rows_and_its_count(session: Session) -> None:
    ids = [make_row(session.connection(), "card", state="PLANNED") for _ in range(3)]
    place = {"first": ids[0], "last": ids[1], "after": CardState.PREPARED}
    for _ in range(7):  # the driver prepares a statement after some times: nothing may change by that
        made, parts, moved, none = run_together(
            session,
            [
                Step(KEEPING, kept(session, 3)),
                Step(PARTS, {"least": 3}),
                Step(MOVING, place),
                Step(MOVING, place),
            ],
        )
        ((part_id,),) = made.rows
        assert list(parts.rows) == [(3, bytes(32))]
        assert (moved.rows, moved.count, none.count) == ((), 2, 0)
        part = session.get_one(PreparedPart, part_id)
        assert part.prepared_at == datetime(2026, 3, 2, 7, tzinfo=UTC) and part.signer is None
        states = session.scalars(select(Card.state).where(Card.id.in_(ids)).order_by(Card.id)).all()
        assert states == [CardState.PREPARED, CardState.PREPARED, CardState.PLANNED]
        session.rollback()
        session.expire_all()
        ids = [make_row(session.connection(), "card", state="PLANNED") for _ in range(3)]
        place |= {"first": ids[0], "last": ids[1]}


def test_no_steps_are_no_outcomes(session: Session) -> None:
    assert run_together(session, []) == []
    assert run_together(session, [Step(PARTS, {"least": 0})])[0].rows in ([], ())


def test_what_the_database_refuses_is_told_and_stops_what_follows(session: Session) -> None:
    card = make_row(session.connection(), "card", state="PLANNED")
    session.commit()
    whole = kept(session, 1)
    session.commit()
    steps = [Step(MOVING, {"first": card, "last": card, "after": CardState.ACTIVE}), Step(KEEPING, whole)]
    with pytest.raises(IllegalMove):
        run_together(session, steps)
    session.rollback()
    assert session.scalars(select(PreparedPart)).all() == []
    (after,) = run_together(session, [Step(MOVING, {"first": card, "last": card, "after": CardState.PREPARED})])
    assert after.count == 1, "the session goes on after a rollback"


def test_a_commit_may_be_flushed_later_in_its_own_transaction_only(session: Session) -> None:
    run_together(session, flushed_later(session))
    if session.get_bind().dialect.name == "postgresql":
        assert session.scalar(text("SHOW synchronous_commit")) == "off"
        session.commit()
        assert session.scalar(text("SHOW synchronous_commit")) != "off"


@pytest.mark.postgres
def test_a_server_that_has_gone_is_told_as_such(sessions: sessionmaker[Session]) -> None:
    with sessions() as session, sessions() as other:
        if session.get_bind().dialect.name != "postgresql":
            return
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        with pytest.raises(StoreUnavailable):
            run_together(session, [Step(PARTS, {"least": 0}), Step(PARTS, {"least": 1})])
        session.rollback()
        assert len(run_together(session, [Step(PARTS, {"least": 0})])) == 1, "another connection serves"
