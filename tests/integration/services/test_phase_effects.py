"""What a change of the policy moves, against a checker that asks every application, notice and list for itself."""

# ruff: noqa: F811 - the fixture is imported

import threading
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_phases import BASE, TODAY, apply_for, confirm, office, propose  # noqa: F401
from tests.support.office import (
    NOW,
    POLICY,
    Office,
    add_resident,
    form,
    publish_notice,
)
from uec.domain.actors import CITIZEN
from uec.domain.errors import InvalidInput, Stale, UecError
from uec.domain.lifecycle import ApplicationState, CohortState
from uec.domain.policy import Policy, PolicyBook, age_on
from uec.services import cohort, notice_windows, notices, phases
from uec.services.phases import ChangeView
from uec.services.views import CohortView
from uec.store.tables import Application, Cohort, PublicNotice


def listed(session: Session, office: Office, *, day: date = TODAY, now: datetime = NOW) -> CohortView:
    return cohort.compute(session, actor=office.planner, as_of=day, policy=POLICY, now=now)


def approved(session: Session, office: Office, *, day: date = TODAY, now: datetime = NOW) -> CohortView:
    made = listed(session, office, day=day, now=now)
    cohort.propose(session, made.id, actor=office.planner, now=now)
    return cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=now)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("zone", ["UTC", "Asia/Yekaterinburg"])
def test_however_changes_overlap_every_promise_is_that_of_its_day(
    sessions: sessionmaker[Session], office: Office, seed: int, zone: str
) -> None:
    """Applications come on days around New Year; changes are confirmed in any order, past and future days alike."""
    chance, base = Random(seed), PolicyBook(Policy(zone=ZoneInfo(zone)))
    with sessions() as session:
        for number in range(1, 9):
            # Near midnight, where the office's day is not that of UTC.
            moment = datetime(2026, 12, 22, tzinfo=UTC) + timedelta(hours=chance.randrange(0, 24 * 20))
            apply_for(session, office, number, now=moment, base=base)
        now = datetime(2027, 1, 12, 9, 0, tzinfo=UTC)
        for _change in range(5):
            day, days = date(2026, 12, 20) + timedelta(days=chance.randrange(30)), str(chance.randrange(20, 50))
            before = _due(session)
            try:
                change = propose(session, office, day, base=base, now=now, production_days=days)
            except InvalidInput:
                session.rollback()
                continue
            confirm(session, office, change, base=base, now=now)
            session.expire_all()
            after = _due(session)
            counted = change.effects["production_days"]["applications"]
            assert counted == sum(after[one] != before[one] for one in after)
            book = phases.book(session, base)
            for one in session.scalars(select(Application)):
                registered = book.day(one.submitted_at)
                assert one.due_on == book.on(registered).due_on(registered), (one.number, registered)


def _due(session: Session) -> Mapping[int, date]:
    return dict(session.execute(select(Application.id, Application.due_on)).all())


def test_two_changes_of_one_rule_confirmed_at_once_are_counted_one_behind_the_other(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        apply_for(session, office, 1, now=NOW)
        longer = propose(session, office, TODAY, production_days="40")
        shorter = propose(session, office, TODAY, production_days="20")
    told: list[UecError | ChangeView] = []
    begin = threading.Barrier(2)

    def press(change: ChangeView) -> None:
        begin.wait(timeout=60)
        with sessions() as own:
            try:
                told.append(confirm(own, office, change))
            except UecError as error:
                told.append(error)

    people = [threading.Thread(target=press, args=(one,)) for one in (longer, shorter)]
    for one in people:
        one.start()
    for one in people:
        one.join(timeout=120)
    # Whoever came second was shown other numbers than those that hold now.
    assert sorted(type(one) for one in told if isinstance(one, UecError)) == [Stale]
    with sessions() as session:
        days = phases.book(session, BASE).on(TODAY).production_days
        assert session.scalars(select(Application.due_on)).one() == TODAY + timedelta(days=days)
        (again,) = [one for one in phases.list_changes(session, actor=office.planner) if one.decided_by is None]
        assert again.effects["production_days"] == {"applications": 1, "days": -20 if days == 40 else 20}


def test_a_draft_of_other_rules_is_void_like_the_lists_somebody_has_signed(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        for number, born in ((1, date(1990, 1, 1)), (2, date(2010, 6, 1))):
            add_resident(session, number, birth_date=born)
        session.commit()
        older, drafted = approved(session, office), listed(session, office)
        tomorrow = listed(session, office, day=TODAY + timedelta(days=1))
        asked = cohort.ask(session, actor=office.planner, as_of=TODAY, policy=POLICY, now=NOW)
        change = propose(session, office, TODAY, entitled_age_years="18")
        assert change.effects["lists"] == [older.number, drafted.number, tomorrow.number]
        confirm(session, office, change)
        session.expire_all()
        states = dict(session.execute(select(Cohort.number, Cohort.state)).all())
        assert states == {
            older.number: CohortState.VOID,
            drafted.number: CohortState.VOID,
            tomorrow.number: CohortState.VOID,
            asked.number: CohortState.DRAFT,
        }
        book = phases.book(session, BASE)
        (computed,) = cohort.compute_asked(session, actor=office.planner, book=book, now=NOW)
        assert computed.count == 1, "what was only asked for is computed by the rules of its day"


def test_a_list_of_a_day_for_which_another_change_says_the_old_age_stands(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        add_resident(session, 1)
        session.commit()
        back = propose(session, office, date(2026, 5, 1), entitled_age_years="14", storage_days="90")
        confirm(session, office, back)
        early, late = (approved(session, office, day=day) for day in (date(2026, 4, 30), date(2026, 5, 1)))
        change = propose(session, office, date(2026, 4, 1), entitled_age_years="16")
        assert change.effects["lists"] == [early.number]
        confirm(session, office, change)
        session.expire_all()
        states = dict(session.execute(select(Cohort.number, Cohort.state)).all())
        assert (states[early.number], states[late.number]) == (CohortState.VOID, CohortState.APPROVED)


def test_who_waits_is_told_of_and_nothing_more_is_opened_until_mass_emission_begins(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        for number in (1, 2, 3):
            add_resident(session, number)
        session.commit()
        publish_notice(session, office)
        first = cohort.compute(session, actor=office.planner, as_of=TODAY, policy=POLICY, now=NOW, limit=2)
        cohort.propose(session, first.id, actor=office.planner, now=NOW)
        cohort.approve(session, first.id, actor=office.releaser, digest=first.digest, now=NOW)
        assert cohort.open_applications(session, first.id, actor=office.planner, policy=POLICY, now=NOW) == 2
        # Of a day before the change's first one: that list stands.
        other = approved(session, office)
        later = TODAY + timedelta(days=1)
        change = propose(session, office, later, mass_emission_from="2026-06-01")
        assert change.effects == {
            "plan": True,
            "people": {"day": later.isoformat(), "before": 1, "after": 0},
            "waiting": {"applications": 2, "day": "2026-06-01"},
        }
        confirm(session, office, change)
        morrow = NOW + timedelta(days=1)
        policy = phases.book(session, BASE).at(morrow)
        for opening in (cohort.open_applications, cohort.ask_opening):
            with pytest.raises(InvalidInput, match=r"begins on 01\.06\.2026"):
                opening(session, other.id, actor=office.planner, policy=policy, now=morrow)
            session.rollback()
        june = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
        policy = phases.book(session, BASE).at(june)
        assert cohort.open_applications(session, other.id, actor=office.planner, policy=policy, now=june) == 1


def test_lists_void_after_their_opening_say_how_many_applications_stand(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        for number in (1, 2):
            add_resident(session, number)
        session.commit()
        publish_notice(session, office)
        made = approved(session, office)
        cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        change = propose(session, office, TODAY, entitled_age_years="16")
        assert (change.effects["lists"], change.effects["opened"]) == ([made.number], 2)
        confirm(session, office, change)
        assert set(session.scalars(select(Application.state))) == {ApplicationState.APPROVED}


def test_no_application_is_opened_before_the_day_of_its_list(sessions: sessionmaker[Session], office: Office) -> None:
    birthday = TODAY + timedelta(days=10)
    with sessions() as session:
        child = add_resident(session, 1, birth_date=date(birthday.year - 14, birthday.month, birthday.day))
        session.commit()
        publish_notice(session, office)
        made = approved(session, office, day=birthday)
        assert made.count == 1 and age_on(child.birth_date, TODAY) == 13
        with pytest.raises(InvalidInput, match="from that day on"):
            cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        session.rollback()
        then = NOW + timedelta(days=10)
        assert cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=then) == 1


def test_a_window_that_opens_again_is_counted_again_when_it_closes(
    sessions: sessionmaker[Session], office: Office
) -> None:
    published = TODAY - timedelta(days=70)
    with sessions() as session:
        made = notices.propose(
            session, text="Текст", text_en="Text", places=["Газета"], banks=["Банк"], published_on=published,
            actor=office.planner, policy=POLICY, now=NOW,
        )  # fmt: skip
        notices.confirm(session, made.id, actor=office.releaser, now=NOW)
        (closed,) = notice_windows.close_due(session, policy=POLICY, now=NOW)
        assert closed.notice_id == made.id
        change = propose(session, office, published, refusal_window_days="90", bank_choice_days="75")
        assert change.effects == {
            "windows": [
                {
                    "published_on": published.isoformat(),
                    "refusal": [(published + timedelta(days=days)).isoformat() for days in (60, 90)],
                    "bank": [(published + timedelta(days=days)).isoformat() for days in (30, 75)],
                }
            ]
        }
        confirm(session, office, change)
        session.expire_all()
        assert session.scalars(select(PublicNotice.closing)).one() is None
        choice = notices.choose_bank(
            session, snils=form(1, point_id=1).snils, bank="Банк", channel="web", actor=CITIZEN, policy=POLICY, now=NOW
        )
        assert choice == "B-000001"
        assert notice_windows.close_due(session, policy=POLICY, now=NOW + timedelta(days=20)) == []
        (again,) = notice_windows.close_due(session, policy=POLICY, now=NOW + timedelta(days=21))
        assert again.bank_choices == 1


def test_a_notice_of_another_time_keeps_its_windows(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        notices.propose(
            session, text="Текст", places=["Газета"], banks=["Банк"], published_on=date(2026, 4, 10),
            actor=office.planner, policy=POLICY, now=NOW,
        )  # fmt: skip
        confirm(session, office, propose(session, office, date(2026, 4, 5), refusal_window_days="50"))
        change = propose(session, office, date(2026, 4, 1), refusal_window_days="70")
        assert change.effects == {}, "that of 5 April says otherwise for its day"
        confirm(session, office, change)
        session.expire_all()
        assert session.scalars(select(PublicNotice.refusal_until)).one() == date(2026, 5, 30)


@pytest.mark.parametrize(
    ("day", "rules", "field"),
    [
        (date(1, 1, 1), {"production_days": "20"}, "valid_from"),
        (date(9999, 12, 31), {"production_days": "20"}, "valid_from"),
        (TODAY, {"mass_emission_from": "9999-12-31"}, "value"),
        (TODAY, {"mass_emission_from": "01.01.0001"}, "value"),
    ],
)
def test_days_that_nobody_can_mean(
    session: Session, office: Office, day: date, rules: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        propose(session, office, day, **rules)
    assert caught.value.field == field


@pytest.mark.parametrize("day", [date(1, 1, 1), date(1899, 12, 31), date(9999, 12, 31)])
def test_notices_and_lists_of_days_that_nobody_can_mean(session: Session, office: Office, day: date) -> None:
    with pytest.raises(InvalidInput) as caught:
        notices.propose(
            session, text="x", places=["y"], banks=["z"], published_on=day, actor=office.planner, policy=POLICY, now=NOW
        )
    assert caught.value.field == "published_on"
    with pytest.raises(InvalidInput) as caught:
        cohort.ask(session, actor=office.planner, as_of=day, policy=POLICY, now=NOW)
    assert caught.value.field == "as_of"
