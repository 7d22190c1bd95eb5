"""What the clock may release: planned by a person, at rest for a minute, near enough, stopped by nobody."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import CardOffice, open_card_office
from tests.support.office import POLICY, RULES, add_staff
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import IllegalMove, SamePerson
from uec.domain.lifecycle import ApplicationState, BatchState, CardState, Route
from uec.domain.permissions import Role
from uec.domain.policy import Policy
from uec.services import batches, preparation, refusals, release_by_policy
from uec.store.tables import Application, AuditEntry, Batch, Card

CLOCKWORK = system_actor("scheduler")
LETTING = replace(POLICY, release_ahead_days=400)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def planned(office: CardOffice, *people: int, by: Actor | None = None) -> int:
    """A batch for these people that has rested."""
    office.approve_applicants(*people)
    with office.sessions() as session:
        made = batches.plan(session, actor=by or office.staff.planner, rules=RULES, now=office.clock())
    office.clock.advance(minutes=2)
    (batch,) = made.batches
    return batch.id


def release(office: CardOffice, policy: Policy = LETTING, *, actor: Actor = CLOCKWORK) -> list[int]:
    with office.sessions() as session:
        return list(release_by_policy.release_due(session, policy=policy, actor=actor, now=office.clock()))


def batch(office: CardOffice, batch_id: int) -> Batch:
    with office.sessions() as session:
        return session.get_one(Batch, batch_id)


def waiting(office: CardOffice, *, days: int = 0) -> int:
    with office.sessions() as session:
        now = office.clock() + timedelta(days=days)
        return release_by_policy.waiting_for_people(session, policy=LETTING, now=now)


def test_by_default_people_release_and_the_clock_only_counts_what_waits(office: CardOffice) -> None:
    made = planned(office, 1)
    assert POLICY.release_ahead_days == 0
    assert release(office, POLICY) == []
    assert (waiting(office, days=-1), waiting(office)) == (0, 1), "its day has come"
    assert batch(office, made).state is BatchState.PLANNED
    office.release(made)
    assert waiting(office, days=60) == 0


def test_what_the_clock_releases_is_told_as_its_own_and_once(office: CardOffice) -> None:
    made = planned(office, 1)
    assert (release(office), release(office)) == ([made], [])
    gone = batch(office, made)
    assert (gone.state, gone.released_by) == (BatchState.RELEASED, None)
    with office.sessions() as session:
        told = session.scalars(
            select(AuditEntry).where(AuditEntry.subject_kind == "batch", AuditEntry.actor == CLOCKWORK.reference)
        ).all()
    assert len(told) == 1 and told[0].at == gone.released_at


def test_what_the_scheduler_planned_itself_waits_for_a_person(office: CardOffice) -> None:
    """Two pairs of eyes: one at least of them has a face."""
    made = planned(office, 1, by=CLOCKWORK)
    assert batch(office, made).planned_by is None
    assert release(office) == []
    assert waiting(office, days=60) == 1
    office.release(made)
    assert batch(office, made).released_by is not None


def test_no_person_releases_their_own_batch_by_way_of_the_clock(office: CardOffice) -> None:
    with office.sessions() as session:
        both = add_staff(session, "both", Role.PLANNER, Role.RELEASER)
        session.commit()
    made = planned(office, 1, by=both)
    with pytest.raises(SamePerson):
        release(office, actor=both)
    assert batch(office, made).state is BatchState.PLANNED


@pytest.mark.parametrize(("days_before", "goes"), [(4, False), (3, True), (0, True)])
def test_only_batches_of_the_next_days_go(office: CardOffice, days_before: int, goes: bool) -> None:
    made = planned(office, 1)
    day = POLICY.day(office.clock()) + timedelta(days=days_before)
    with office.sessions() as session:
        session.execute(update(Batch).values(planned_for=day))
        session.commit()
    assert release(office, replace(POLICY, release_ahead_days=3)) == ([made] if goes else [])


@pytest.mark.parametrize(("rested_s", "goes"), [(0, False), (59, False), (60, True)])
def test_a_batch_rests_for_a_minute(office: CardOffice, rested_s: int, goes: bool) -> None:
    made = planned(office, 1)
    with office.sessions() as session:
        now = office.clock()
        session.execute(update(Batch).values(planned_at=now - timedelta(seconds=rested_s)))
        session.commit()
        gone = release_by_policy.release_due(session, policy=LETTING, actor=CLOCKWORK, now=now)
    assert list(gone) == ([made] if goes else [])


def test_a_person_stops_what_the_clock_would_release(office: CardOffice) -> None:
    made = planned(office, 1)
    with office.sessions() as session:
        batches.cancel(
            session, made, actor=office.staff.planner, reason="the print of the lot is pale", now=office.clock()
        )
    assert release(office) == []
    assert batch(office, made).state is BatchState.CANCELLED
    with office.sessions() as session:
        assert set(session.scalars(select(Card.state))) == {CardState.ANNULLED}
        with pytest.raises(IllegalMove):
            batches.release(session, made, actor=CLOCKWORK, now=office.clock())


def test_who_has_refused_gets_no_card_of_a_batch_that_the_clock_let_go(office: CardOffice) -> None:
    made = planned(office, 1, 2, 3)
    with office.sessions() as session:
        first, second, _third = session.scalars(select(Application).order_by(Application.id))
        first.route = second.route = Route.MASS
        session.commit()
        refusals.file(session, snils=first.snils, channel="post", actor=office.staff.operator, now=office.clock())
    assert release(office) == [made]
    with office.sessions() as session:
        profile = office.desk.bench.profile
        preparation.prepare(session, made, profile=profile, issuer="УОС", now=office.clock())
    with office.sessions() as session:
        states = list(session.scalars(select(Card.state).order_by(Card.application_id)))
        kept = list(session.scalars(select(Application.state).order_by(Application.id)))
    assert states == [CardState.ANNULLED, CardState.PREPARED, CardState.PREPARED]
    assert kept[0] is ApplicationState.WITHDRAWN


def test_one_that_was_called_off_does_not_stop_the_others(office: CardOffice) -> None:
    first = planned(office, 1)
    second = planned(office, 2)
    with office.sessions() as session:
        batches.cancel(session, first, actor=office.staff.planner, reason="called off", now=office.clock())
    assert release(office) == [second]
