"""Dated policy and public notices on both databases: four eyes, what a change moves, and the windows it opens."""

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import (
    NOW,
    POLICY,
    Office,
    add_resident,
    add_staff,
    form,
    open_office,
    publish_notice,
    seeded_random,
)
from uec.domain.actors import CITIZEN
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, SamePerson, Stale
from uec.domain.lifecycle import CohortState, Route
from uec.domain.permissions import Role
from uec.domain.phases import ChangeState
from uec.domain.policy import Policy, PolicyBook
from uec.services import cohort, notice_windows, notices, phases, refusals, schedule
from uec.services.intake import submit_application
from uec.services.phases import ChangeView
from uec.store.tables import Application, AuditEntry, Cohort, Message, PublicNotice

BASE = PolicyBook(Policy())
TODAY = NOW.date()


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions)


def propose(
    session: Session, office: Office, day: date = TODAY, *, base: PolicyBook = BASE, now: datetime = NOW, **rules: str
) -> ChangeView:
    return phases.propose(
        session, rules=rules, valid_from=day, act="Постановление № 1", actor=office.planner, base=base, now=now
    )


def confirm(
    session: Session, office: Office, change: ChangeView, *, base: PolicyBook = BASE, now: datetime = NOW
) -> ChangeView:
    return phases.confirm(session, change.id, shown=change.effects, actor=office.releaser, base=base, now=now)


def apply_for(session: Session, office: Office, number: int, *, now: datetime = NOW, base: PolicyBook = BASE) -> None:
    submit_application(
        session,
        form=form(number, point_id=office.points[0]),
        route=Route.WEB,
        actor=CITIZEN,
        policy=phases.book(session, base).at(now),
        now=now,
        random=seeded_random(number),
    )


def test_a_change_counts_only_when_a_second_person_confirmed_it(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        change = propose(session, office, date(2026, 6, 1), production_days="20", default_bank="Банк")
        assert phases.book(session, BASE) == BASE
        confirmed = confirm(session, office, change)
        book = phases.book(session, BASE)
        assert (book.on(date(2026, 5, 31)).production_days, book.on(date(2026, 6, 1)).production_days) == (30, 20)
        assert book.on(date(2027, 1, 1)).default_bank == "Банк"
        assert (confirmed.state, confirmed.decided_by) == (ChangeState.CONFIRMED, office.releaser.display)
        later = propose(session, office, date(2026, 9, 1), production_days="25")
        confirm(session, office, later)
        earlier = propose(session, office, date(2026, 7, 1), validity_years="10")
        confirm(session, office, earlier)
        book = phases.book(session, BASE)
        days = [date(2026, 6, 1), date(2026, 7, 1), date(2026, 9, 1)]
        rules = [(book.on(day).production_days, book.on(day).validity_years) for day in days]
        assert rules == [(20, 5), (20, 10), (25, 10)]
        history = phases.list_changes(session, actor=office.auditor)
        assert [one.valid_from for one in history] == [earlier.valid_from, later.valid_from, change.valid_from]
        told = session.scalars(select(AuditEntry.action).where(AuditEntry.subject_kind == "policy_change")).all()
        assert sorted(told) == ["policy.confirm"] * 3 + ["policy.propose"] * 3


def test_nobody_confirms_alone(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        both = add_staff(session, "both", Role.PLANNER, Role.RELEASER)
        session.commit()
        change = phases.propose(
            session, rules={"storage_days": "90"}, valid_from=TODAY, act="x", actor=both, base=BASE, now=NOW
        )
        with pytest.raises(SamePerson):
            phases.confirm(session, change.id, shown=change.effects, actor=both, base=BASE, now=NOW)
        session.rollback()
        with pytest.raises(NotAllowed):
            phases.confirm(session, change.id, shown={}, actor=office.planner, base=BASE, now=NOW)
        phases.withdraw(session, change.id, actor=office.planner, now=NOW)
        with pytest.raises(IllegalMove):
            confirm(session, office, change)
        assert phases.book(session, BASE) == BASE


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"production_days": "0"}, "value"),
        ({"production_days": "30.5"}, "value"),
        ({"production_days": "٣٠"}, "value"),
        ({"entitled_age_years": "101"}, "value"),
        ({"mass_emission_from": "31.02.2026"}, "value"),
        ({"crl_days": "5"}, "rule"),
        ({"default_bank": "x" * 121}, "value"),
        ({"production_days": "30"}, "value"),
        ({}, "rule"),
    ],
)
def test_rules_that_cannot_be(
    sessions: sessionmaker[Session], office: Office, rules: dict[str, str], field: str
) -> None:
    with sessions() as session, pytest.raises(InvalidInput) as caught:
        propose(session, office, **rules)
    assert caught.value.field == field


def test_a_change_shows_and_moves_the_promises(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        for number in (1, 2, 3):
            apply_for(session, office, number)
        closed = session.scalars(select(Application).order_by(Application.id)).first()
        assert closed is not None
        closed_due = closed.due_on
        from uec.services.withdrawal import withdraw

        withdraw(session, closed.id, actor=office.operator, reason="передумал", now=NOW)
        change = propose(session, office, production_days="20")
        assert change.effects == {"production_days": {"applications": 2, "days": -10}, "plan": True}
        later = propose(session, office, TODAY + timedelta(days=1), production_days="20")
        assert later.effects["production_days"]["applications"] == 0, "registered before the rule"
        confirm(session, office, change)
        session.expire_all()
        due = session.scalars(select(Application.due_on).order_by(Application.id)).all()
        assert due == [closed_due, TODAY + timedelta(days=20), TODAY + timedelta(days=20)]
        moved = select(AuditEntry.subject_id).where(AuditEntry.action == "application.move-promise")
        assert sorted(session.scalars(moved)) == ["2", "3"]
        told = session.execute(select(Message.application_id, Message.key, Message.facts).order_by(Message.id)).all()
        facts = {"before": closed_due.isoformat(), "after": (TODAY + timedelta(days=20)).isoformat()}
        assert [tuple(row) for row in told] == [(number, f"promise:policy:{change.id}", facts) for number in (2, 3)]
        run = schedule.claim(session, now=NOW)
        assert run is not None and run.job == "plan", "what follows is planned anew at once"


def test_a_longer_storage_counts_the_cards_that_lie_there_and_plans_nothing(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        assert propose(session, office, storage_days="90").effects == {"stored": 0}
        confirm(session, office, propose(session, office, storage_days="80"))
        assert schedule.claim(session, now=NOW) is None


def test_when_its_windows_are_over_a_notice_is_counted_once_and_the_bank_of_the_tender_given(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        for number in (1, 2, 3, 4):
            add_resident(session, number)
        session.commit()
        made = notice(session, office, TODAY - timedelta(days=10))
        notices.confirm(session, made.id, actor=office.releaser, now=NOW)
        ways = {"channel": "web", "actor": CITIZEN, "now": NOW}
        refusals.file(session, snils=form(4, point_id=1).snils, **ways)
        for bank in ("Банк региона", "Другой банк"):
            notices.choose_bank(session, snils=form(1, point_id=1).snils, bank=bank, policy=POLICY, **ways)
        assert notice_windows.close_due(session, policy=POLICY, now=NOW) == []
        last = NOW + timedelta(days=POLICY.refusal_window_days - 10)
        assert notice_windows.close_due(session, policy=POLICY, now=last) == [], "its last day belongs to it"
        (closed,) = notice_windows.close_due(session, policy=POLICY, now=last + timedelta(days=1))
        assert (closed.refusals, closed.bank_choices, closed.default_bank) == (1, 1, 0)
        assert notice_windows.close_due(session, policy=POLICY, now=last + timedelta(days=2)) == []
        (shown,) = notices.list_notices(session, actor=office.planner)
        assert shown.closing["refusals"] == 1 and shown.closing["bank"] == "Банк региона"
        later = last + timedelta(days=3)
        listed = cohort.compute(session, actor=office.planner, as_of=later.date(), policy=POLICY, now=later)
        cohort.propose(session, listed.id, actor=office.planner, now=later)
        cohort.approve(session, listed.id, actor=office.releaser, digest=listed.digest, now=later)
        cohort.open_applications(session, listed.id, actor=office.planner, policy=POLICY, now=later)
        banks = session.scalars(select(Application.bank).order_by(Application.resident_id)).all()
        assert banks == ["Другой банк", "Банк региона", "Банк региона"], "without a rule, that of the notice"


def test_applications_that_were_open_before_get_the_bank_when_the_windows_close(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        for number in (1, 2):
            add_resident(session, number)
        session.commit()
        publish_notice(session, office)
        listed = cohort.compute(session, actor=office.planner, as_of=TODAY, policy=POLICY, now=NOW)
        cohort.propose(session, listed.id, actor=office.planner, now=NOW)
        cohort.approve(session, listed.id, actor=office.releaser, digest=listed.digest, now=NOW)
        cohort.open_applications(session, listed.id, actor=office.planner, policy=POLICY, now=NOW)
        session.execute(update(Application).values(bank=None))
        session.commit()
        (closed,) = notice_windows.close_due(session, policy=Policy(default_bank="Банк конкурса"), now=NOW)
        assert closed.default_bank == 2
        session.expire_all()
        assert set(session.scalars(select(Application.bank))) == {"Банк конкурса"}
        given = select(AuditEntry.subject_id).where(AuditEntry.action == "application.give-bank")
        assert len(session.scalars(given).all()) == 2


def test_what_moved_meanwhile_is_shown_again(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        apply_for(session, office, 1)
        change = propose(session, office, production_days="40")
        apply_for(session, office, 2)
        with pytest.raises(Stale, match="look at it again"):
            confirm(session, office, change)
        (anew,) = phases.list_changes(session, actor=office.releaser)
        assert (anew.state, anew.effects["production_days"]["applications"]) == (ChangeState.PROPOSED, 2)
        assert confirm(session, office, anew).state is ChangeState.CONFIRMED


def test_moving_mass_emission_voids_lists_and_says_who_is_entitled(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        for number in (1, 2):
            add_resident(session, number)
        add_resident(session, 3, birth_date=date(2010, 6, 1))
        session.commit()
        made = cohort.compute(session, actor=office.planner, as_of=TODAY, policy=POLICY, now=NOW)
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        older = propose(session, office, entitled_age_years="18")
        assert older.effects["people"] == {"day": TODAY.isoformat(), "before": 3, "after": 2}
        moved = propose(session, office, mass_emission_from="01.01.2027")
        assert moved.effects["lists"] == [made.number]
        assert moved.effects["people"] == {"day": TODAY.isoformat(), "before": 3, "after": 0}, "until then nobody"
        assert session.scalars(select(Cohort.state)).one() is CohortState.APPROVED
        confirm(session, office, moved)
        session.expire_all()
        assert session.scalars(select(Cohort.state)).one() is CohortState.VOID
        policy = phases.book(session, BASE).on(TODAY)
        with pytest.raises(InvalidInput, match=r"01\.01\.2027"):
            cohort.compute(session, actor=office.planner, as_of=TODAY, policy=policy, now=NOW)


def notice(session: Session, office: Office, day: date) -> notices.NoticeView:
    return notices.propose(
        session,
        text="Каждый житель получит карту.",
        places=["Газета", " ", "Портал"],
        banks=["Банк региона", "Другой банк"],
        published_on=day,
        actor=office.planner,
        policy=POLICY,
        now=NOW,
    )


def test_a_notice_opens_its_windows_when_two_people_stand_for_it(
    sessions: sessionmaker[Session], office: Office
) -> None:
    day = TODAY - timedelta(days=60)
    with sessions() as session:
        made = notice(session, office, day)
        assert (made.refusal_until, made.bank_until) == (TODAY, day + timedelta(days=30))
        assert made.places == ("Газета", "Портал")
        with pytest.raises(InvalidInput, match="No notice"):
            notices.require_windows_over(session, on=TODAY)
        session.rollback()
        with pytest.raises(NotAllowed):
            notices.confirm(session, made.id, actor=office.planner, now=NOW)
        notices.confirm(session, made.id, actor=office.releaser, now=NOW)
        with pytest.raises(InvalidInput, match=f"until {TODAY:%d.%m.%Y}"):
            notices.require_windows_over(session, on=TODAY)
        notices.require_windows_over(session, on=TODAY + timedelta(days=1))
        change = propose(session, office, day, refusal_window_days="90")
        was = (TODAY.isoformat(), (day + timedelta(days=30)).isoformat())
        shown = {"published_on": day.isoformat(), "refusal": [was[0], "2026-04-01"], "bank": [was[1], was[1]]}
        assert change.effects == {"windows": [shown]}
        confirm(session, office, change)
        session.expire_all()
        assert session.scalars(select(PublicNotice.refusal_until)).one() == day + timedelta(days=90)


def test_an_empty_notice_is_none(sessions: sessionmaker[Session], office: Office) -> None:
    arguments = {"text": "x", "places": ["y"], "banks": ["z"]}
    for missing, nothing in (("text", ""), ("places", [""]), ("banks", [])):
        with sessions() as session, pytest.raises(InvalidInput) as caught:
            notices.propose(
                session,
                **(arguments | {missing: nothing}),  # type: ignore[arg-type]
                published_on=TODAY,
                actor=office.planner,
                policy=POLICY,
                now=NOW,
            )
        assert caught.value.field == missing


def test_the_bank_chosen_last_in_time_stands_on_the_application(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        for number in (1, 2):
            add_resident(session, number)
        session.commit()
        made = notice(session, office, TODAY - timedelta(days=10))
        notices.confirm(session, made.id, actor=office.releaser, now=NOW)
        snils = form(1, point_id=1).snils

        def choose(bank: str, moment: int = 0) -> str:
            return notices.choose_bank(
                session,
                snils=snils,
                bank=bank,
                channel="window",
                actor=office.operator,
                policy=POLICY,
                now=NOW + timedelta(days=moment),
            )

        assert [choose("Банк региона"), choose("Другой банк")] == ["B-000001", "B-000002"]
        with pytest.raises(InvalidInput, match="Choose one of the banks"):
            choose("Чужой банк")
        session.rollback()
        with pytest.raises(InvalidInput, match="The time to choose a bank was until"):
            choose("Банк региона", 21)
        session.rollback()
        later = NOW + timedelta(days=60)
        listed = cohort.compute(session, actor=office.planner, as_of=later.date(), policy=POLICY, now=later)
        cohort.propose(session, listed.id, actor=office.planner, now=later)
        cohort.approve(session, listed.id, actor=office.releaser, digest=listed.digest, now=later)
        tender = Policy(default_bank="Банк конкурса")
        cohort.open_applications(session, listed.id, actor=office.planner, policy=tender, now=later)
        banks = session.scalars(select(Application.bank).order_by(Application.resident_id)).all()
        assert banks == ["Другой банк", "Банк конкурса"]


def test_applications_open_only_after_the_windows(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        add_resident(session, 1)
        session.commit()
        made = cohort.compute(session, actor=office.planner, as_of=TODAY, policy=POLICY, now=NOW)
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        with pytest.raises(InvalidInput, match="No notice"):
            cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        session.rollback()
        publish_notice(session, office)
        assert cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW) == 1
