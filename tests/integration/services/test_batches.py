"""Planning, releasing and preparing batches on both databases: set-based, twice safe, nobody alone, nobody barred."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.groups_writer import read_groupings
from tests.support.desk import CardOffice, open_card_office
from tests.support.office import NOW, RULES, add_staff
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, SamePerson
from uec.domain.lifecycle import ApplicationState, BatchState, CardState
from uec.domain.permissions import Role
from uec.services import batch_lists, batches, cards, plan_facts, plan_office, preparation
from uec.store.tables import Application, AuditEntry, Batch, Card, CardData


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path, daily_capacity=3)
    yield opened
    opened.desk.bench.vault.close()


def card_states(office: CardOffice) -> list[CardState]:
    with office.sessions() as session:
        return list(session.scalars(select(Card.state).order_by(Card.id)))


def application_states(office: CardOffice) -> list[ApplicationState]:
    with office.sessions() as session:
        return list(session.scalars(select(Application.state).order_by(Application.id)))


def test_a_plan_fills_days_gives_numbers_and_names(office: CardOffice) -> None:
    # Two points that hand over three each: the line they have without facts makes six a day.
    office.approve_applicants(*range(1, 8))
    with office.sessions() as session:
        made = batches.plan(session, actor=office.staff.planner, rules=RULES, now=office.clock())
    assert [(row.total, row.planned_for) for row in made.batches] == [(6, date(2026, 3, 2)), (1, date(2026, 3, 3))]
    assert (made.cards, made.late, dict(made.unplaced)) == (7, 0, {})
    with office.sessions() as session:
        found = session.scalars(select(Card).order_by(Card.id)).all()
        assert [card.number[:15] for card in found] == [f"964360{number:09}" for number in range(1, 8)]
        # Three a day are handed over from the morning after the making.
        assert Counter(card.promised_on for card in found) == {
            date(2026, 3, 3): 3,
            date(2026, 3, 4): 3,
            date(2026, 3, 5): 1,
        }
        assert {(row.line, row.departs_on) for row in session.scalars(select(Batch))} == {
            ("centre", date(2026, 3, 3)),
            ("centre", date(2026, 3, 4)),
        }
        assert found[0].printed_name == "PETROV IVAN" and found[0].expires_on == date(2031, 3, 1)
        planned = session.scalars(select(AuditEntry.action).where(AuditEntry.action == "application.plan")).all()
        assert len(planned) == 7
    assert set(application_states(office)) == {ApplicationState.PLANNED}
    assert office.plan() == [], "nothing is planned twice"


def test_a_second_plan_uses_only_what_room_is_left(office: CardOffice) -> None:
    office.approve_applicants(1, 2, 3, 4, 5)
    office.plan()
    office.approve_applicants(6, 7)
    with office.sessions() as session:
        made = batches.plan(session, actor=office.staff.planner, rules=RULES, now=office.clock())
    assert [(row.total, row.planned_for) for row in made.batches] == [(1, date(2026, 3, 2)), (1, date(2026, 3, 3))]


def test_only_the_next_days_are_cut_and_the_rest_has_a_promised_day(office: CardOffice) -> None:
    office.approve_applicants(*range(1, 10))
    with office.sessions() as session:
        rules = replace(RULES, freeze_days=1)
        made = batches.plan(session, actor=office.staff.planner, rules=rules, now=office.clock())
        assert (made.cards, dict(made.unplaced)) == (6, {})
        waiting = session.scalars(select(Application.number).where(Application.state == ApplicationState.APPROVED))
        days = [plan_office.explain(session, number, actor=office.staff.planner).promised_on for number in waiting]
        assert days == [date(2026, 3, 5)] * 3
        office.clock.advance(days=1)
        later = batches.plan(session, actor=office.staff.planner, rules=rules, now=office.clock())
        assert [(row.total, row.planned_for) for row in later.batches] == [(3, date(2026, 3, 3))]


def test_no_room_before_the_horizon_is_said(office: CardOffice) -> None:
    office.approve_applicants(*range(1, 8))
    with office.sessions() as session:
        rules = replace(RULES, horizon_days=2)
        made = batches.plan(session, actor=office.staff.planner, rules=rules, now=office.clock())
    # Six are made on the first day and one on the second, from which no courier leaves within two days.
    assert (made.cards, sum(made.unplaced.values())) == (7, 4)


def test_two_planners_at_once_plan_everybody_once(office: CardOffice) -> None:
    office.approve_applicants(*range(1, 9))

    def plan(_: int) -> int:
        with office.sessions() as session:
            return batches.plan(session, actor=office.staff.planner, rules=RULES, now=NOW).cards

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(plan, range(4))) == 8
    with office.sessions() as session:
        numbers = session.scalars(select(Card.number).order_by(Card.number)).all()
        assert [number[6:15] for number in numbers] == [f"{number:09}" for number in range(1, 9)]


def test_release_takes_another_person(office: CardOffice) -> None:
    with office.sessions() as session:
        both = add_staff(session, "both", Role.PLANNER, Role.RELEASER, Role.OFFICER)
        session.commit()
    office.approve_applicants(1)
    with office.sessions() as session:
        (batch,) = batches.plan(session, actor=both, rules=RULES, now=office.clock()).batches
        with pytest.raises(SamePerson, match="planned"):
            batches.release(session, batch.id, actor=both, now=office.clock())
        session.rollback()
        session.get_one(Batch, batch.id).planned_by = office.staff.planner.staff_id
        session.scalars(select(Application)).one().decided_by = both.staff_id
        session.commit()
        with pytest.raises(SamePerson, match="decided"):
            batches.release(session, batch.id, actor=both, now=office.clock())
        session.rollback()
        with pytest.raises(NotAllowed):
            batches.release(session, batch.id, actor=office.staff.planner, now=office.clock())
        batches.release(session, batch.id, actor=office.staff.releaser, now=office.clock())
        with pytest.raises(IllegalMove):
            batches.release(session, batch.id, actor=office.staff.releaser, now=office.clock())
    with office.sessions() as session:
        row, listed = batch_lists.detail(session, batch.id, actor=office.staff.releaser)
        assert (row.state, row.planned_by, row.released_by) == (BatchState.RELEASED, "Staff3", "Staff4")
        assert [card.full_name for card in listed] == [""], "a batch shows no names"


def test_preparing_stores_data_groups_once_and_goes_on_where_it_stopped(office: CardOffice) -> None:
    office.approve_applicants(1, 2)
    (batch_id,) = office.plan()
    profile = office.desk.bench.profile
    with office.sessions() as session:
        with pytest.raises(InvalidInput, match="release"):
            preparation.prepare(session, batch_id, profile=profile, issuer="УОС", now=office.clock())
        batches.release(session, batch_id, actor=office.staff.releaser, now=office.clock())
        assert preparation.waiting(session) == [(batch_id, "uec")]
        assert preparation.prepare(session, batch_id, profile=profile, issuer="УОС", now=office.clock()) == 2
        assert preparation.prepare(session, batch_id, profile=profile, issuer="УОС", now=office.clock()) == 0
        assert preparation.waiting(session) == []
        prepared = session.scalars(select(CardData.groups).order_by(CardData.card_id)).all()
    assert [list(read_groupings(groups)) for groups in prepared] == [[1, 2, 3]] * 2, "without a photo no fourth group"
    assert card_states(office) == [CardState.PREPARED] * 2


def test_a_cancelled_batch_gives_its_people_back(office: CardOffice) -> None:
    office.approve_applicants(1, 2)
    (batch_id,) = office.plan()
    office.release(batch_id)
    with office.sessions() as session:
        batches.cancel(session, batch_id, actor=office.staff.planner, reason="line stopped", now=office.clock())
    assert card_states(office) == [CardState.ANNULLED] * 2
    assert application_states(office) == [ApplicationState.APPROVED] * 2
    office.plan()
    with office.sessions() as session:
        assert session.scalar(select(func.count(func.distinct(Card.number)))) == 4, "no number is used twice"


def test_a_spoiled_card_is_made_again_before_new_orders(office: CardOffice) -> None:
    office.approve_applicants(1)
    (batch_id,) = office.plan()
    office.release(batch_id)
    with office.sessions() as session:
        card_id = session.scalars(select(Card.id)).one()
        cards.spoil(session, card_id, actor=office.staff.producer, reason="chip mute", now=office.clock())
    office.approve_applicants(2, 3)
    with office.sessions() as session:
        rules = replace(RULES, batch_limit=1)
        made = batches.plan(session, actor=office.staff.planner, rules=rules, now=office.clock())
        first = session.scalars(select(Card.application_id).where(Card.batch_id == made.batches[0].id)).one()
    assert first == 1


def test_the_calendar_shows_load_against_capacity(office: CardOffice) -> None:
    office.approve_applicants(*range(1, 8))
    office.plan()
    with office.sessions() as session:
        asked: dict[str, Any] = {"actor": office.staff.releaser, "today": date(2026, 3, 2)}
        asked |= {"first": date(2026, 3, 1), "last": date(2026, 3, 3)}
        days = batch_lists.calendar(session, working=RULES.calendar, point_id=office.staff.points[0], **asked)
        everywhere = batch_lists.calendar(session, working=RULES.calendar, **asked)
        elsewhere = batch_lists.calendar(session, working=RULES.calendar, point_id=office.staff.points[1], **asked)
        with pytest.raises(InvalidInput):
            batch_lists.calendar(session, working=RULES.calendar, **asked | {"last": date(2026, 2, 1)})
        line = {"code": "L1", "machines": 1, "cards_per_hour": 10, "shift_hours": 1, "shifts": [1, 2, 1, 1, 1, 0, 0]}
        planner = office.staff.planner
        plan_facts.store(session, {"lines": [line]}, reason="L1", actor=planner, now=office.clock())
        told = batch_lists.calendar(session, working=RULES.calendar, **asked)
        weekend = {"lines": [line | {"shifts": [1, 1, 1, 1, 1, 0, 1]}]}
        plan_facts.store(session, weekend, reason="Sundays", actor=planner, now=office.clock())
        sunday = batch_lists.calendar(session, working=RULES.calendar, **asked)[0]
    whole = 3 * len(office.staff.points)
    loads = [(one.working, one.capacity, one.made, one.planned, one.count, len(one.batches)) for one in days]
    assert loads == [(False, 0, 0, 0, 0, 0), (True, whole, 6, 6, 1, 1), (True, whole, 1, 1, 1, 1)]
    assert [(one.capacity, one.made, one.planned, one.count) for one in everywhere] == [
        (0, 0, 0, 0), (whole, 6, 6, 1), (whole, 1, 1, 1),
    ]  # fmt: skip
    assert [(one.made, one.planned, one.count) for one in elsewhere] == [(0, 0, 0), (6, 0, 0), (1, 0, 0)]
    assert [one.capacity for one in told] == [0, 10, 20], "what the lines make"
    assert (sunday.working, sunday.capacity) == (False, 10)


def test_a_day_of_many_batches_names_the_first(office: CardOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    office.approve_applicants(*range(1, 7))
    with office.sessions() as session:
        batches.plan(session, actor=office.staff.planner, rules=replace(RULES, batch_limit=1), now=office.clock())
        asked: dict[str, Any] = {"actor": office.staff.releaser, "today": date(2026, 3, 2)}
        asked |= {"first": date(2026, 3, 2), "last": date(2026, 3, 2)}
        (whole,) = batch_lists.calendar(session, working=RULES.calendar, **asked)
        monkeypatch.setattr(batch_lists, "NAMED_A_DAY", 5)
        monkeypatch.setattr(batch_lists, "NAMED_OF_MANY", 2)
        (short,) = batch_lists.calendar(session, working=RULES.calendar, **asked)
    assert (whole.count, len(whole.batches)) == (6, 6)
    assert (short.count, short.planned) == (6, 6)
    assert [one.number for one in short.batches] == [one.number for one in whole.batches][:2]


def test_an_annulled_card_counts_on_no_day(office: CardOffice) -> None:
    office.approve_applicants(1, 2)
    office.plan()
    with office.sessions() as session:
        card_id = session.scalars(select(Card.id).order_by(Card.id)).first()
        cards.annul(session, card_id, actor=office.staff.security, reason="left the region", now=office.clock())
        (day,) = batch_lists.calendar(
            session,
            actor=office.staff.releaser,
            first=date(2026, 3, 2),
            last=date(2026, 3, 2),
            working=RULES.calendar,
            today=date(2026, 3, 2),
        )
    assert (day.planned, day.count) == (1, 1)
