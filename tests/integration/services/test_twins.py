"""Twins on both databases: found by what they share, decided by a clerk, and no card for a person in doubt."""

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import (
    NOW,
    POLICY,
    Office,
    add_resident,
    form,
    open_office,
    person,
    publish_notice,
    seeded_random,
)
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed
from uec.domain.lifecycle import ApplicationState, Route
from uec.domain.twins import TwinKind, TwinRole, TwinState
from uec.services import cohort, cohort_members, decision, twins
from uec.services.batches import plan
from uec.services.intake import submit_application
from uec.store.tables import Application, AuditEntry, Resident, TwinCase, TwinMember

SNILS_OF_ONE = person(1)["snils"]


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions)


def search(sessions: sessionmaker[Session], office: Office) -> int:
    with sessions() as session:
        opened = twins.search(session, actor=office.officer, now=NOW)
        session.commit()
        return opened


def cases(sessions: sessionmaker[Session]) -> list[tuple[str, TwinKind, TwinState, list[int]]]:
    with sessions() as session:
        rows = session.scalars(select(TwinCase).order_by(TwinCase.key)).all()
        return [(row.key, row.kind, row.state, members(session, row.id)) for row in rows]


def members(session: Session, case_id: int) -> list[int]:
    mine = select(TwinMember.resident_id).where(TwinMember.case_id == case_id)
    return list(session.scalars(mine.order_by(TwinMember.resident_id)))


def add(sessions: sessionmaker[Session], *residents: tuple[int, dict[str, object]]) -> None:
    with sessions() as session:
        for number, changes in residents:
            add_resident(session, number, **changes)
        session.commit()


def on_list(sessions: sessionmaker[Session], office: Office) -> list[int]:
    with sessions() as session:
        made = cohort.compute(session, actor=office.planner, as_of=NOW.date(), policy=POLICY, now=NOW)
        return sorted(session.scalars(cohort_members.member_ids(session, made.id)))


def test_each_kind_of_twins_is_found_once(sessions: sessionmaker[Session], office: Office) -> None:
    one, two = person(1), person(2)
    namesake = {name: one[name] for name in ("surname", "name", "patronymic", "birth_date", "birth_place")}
    add(
        sessions,
        (1, {}),
        (2, {}),
        (3, {"snils": one["snils"]}),  # another name: the number is used twice
        (4, {"doc_series": two["doc_series"], "doc_number": two["doc_number"]}),
        (5, namesake),  # the same person by all but the numbers
        (6, {}),
    )
    assert search(sessions, office) == 3
    found = cases(sessions)
    assert [(kind, state, who) for _, kind, state, who in found] == [
        (TwinKind.DOCUMENT_REUSED, TwinState.OPEN, [2, 4]),
        (TwinKind.SAME_PERSON, TwinState.OPEN, [1, 5]),
        (TwinKind.SNILS_REUSED, TwinState.OPEN, [1, 3]),
    ]
    assert search(sessions, office) == 0, "what is known is not found again"
    assert on_list(sessions, office) == [6]


def test_one_person_twice_by_the_same_number_is_one_case(sessions: sessionmaker[Session], office: Office) -> None:
    same = {name: value for name, value in person(1).items() if name != "address"}
    add(sessions, (1, {}), (2, {**same, "address": "г. Ишим, ул. Новая, д. 1"}))
    assert search(sessions, office) == 1
    assert [(kind, who) for _, kind, _, who in cases(sessions)] == [(TwinKind.SAME_PERSON, [1, 2])]


def test_the_record_that_stands_gets_the_card(sessions: sessionmaker[Session], office: Office) -> None:
    add(sessions, (1, {}), (2, {"snils": SNILS_OF_ONE}), (3, {}))
    search(sessions, office)
    with sessions() as session:
        (case,) = twins.list_cases(session, actor=office.officer)
        assert (case.shared, case.records, twins.open_count(session)) == (SNILS_OF_ONE, 2, 1)
        twins.decide_same(session, case.id, standing_id=2, reason="паспорт один", actor=office.officer, now=NOW)
        assert twins.list_cases(session, actor=office.officer) == []
        shown = twins.look(session, case.id, actor=office.officer, now=NOW)
        assert [(one.resident_id, one.role) for one in shown.records] == [
            (1, TwinRole.SUPERSEDED),
            (2, TwinRole.STANDS),
        ]
        assert (shown.reason, shown.decided_by) == ("паспорт один", office.officer.display)
        assert {"full_name", "document", "address"} <= shown.differ and "snils" not in shown.differ
        told = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
        assert told.count("twins.decide") == 2 and told.count("twins.view") == 2 and told.count("twins.open") == 1
    assert on_list(sessions, office) == [2, 3]


def test_a_death_in_any_record_of_one_person_counts(sessions: sessionmaker[Session], office: Office) -> None:
    add(sessions, (1, {"death_date": date(2026, 1, 1)}), (2, {"snils": SNILS_OF_ONE}))
    search(sessions, office)
    with sessions() as session:
        twins.decide_same(session, 1, standing_id=2, reason="один человек", actor=office.officer, now=NOW)
    assert on_list(sessions, office) == []


def test_whose_number_is_wrong_waits_for_the_register(sessions: sessionmaker[Session], office: Office) -> None:
    add(sessions, (1, {}), (2, {"snils": SNILS_OF_ONE}))
    search(sessions, office)
    with sessions() as session:
        twins.decide_different(session, 1, wrong_ids=[2], reason="ответ ПФР", actor=office.officer, now=NOW)
    assert on_list(sessions, office) == [1]
    with sessions() as session:  # a later export sets it right
        session.get_one(Resident, 2).snils = person(2)["snils"]
        session.commit()
    assert search(sessions, office) == 0
    assert [state for _, _, state, _ in cases(sessions)] == [TwinState.CLOSED]
    assert on_list(sessions, office) == [1, 2]


def test_a_case_opens_again_when_its_records_change(sessions: sessionmaker[Session], office: Office) -> None:
    add(sessions, (1, {}), (2, {"snils": SNILS_OF_ONE}))
    search(sessions, office)
    with sessions() as session:
        twins.decide_same(session, 1, standing_id=1, reason="один человек", actor=office.officer, now=NOW)
    add(sessions, (3, {"snils": SNILS_OF_ONE}))
    assert search(sessions, office) == 1
    with sessions() as session:
        case = session.get_one(TwinCase, 1)
        assert (case.state, case.reason, case.decided_by) == (TwinState.OPEN, None, None)
        assert set(session.scalars(select(TwinMember.role))) == {None}
    assert on_list(sessions, office) == []


def test_namesakes_may_all_be_right(sessions: sessionmaker[Session], office: Office) -> None:
    one = person(1)
    namesake = {name: one[name] for name in ("surname", "name", "patronymic", "birth_date", "birth_place")}
    add(sessions, (1, {}), (2, namesake))
    assert search(sessions, office) == 1
    with sessions() as session:
        twins.decide_different(session, 1, wrong_ids=[], reason="двойные тёзки", actor=office.officer, now=NOW)
    assert search(sessions, office) == 0
    assert on_list(sessions, office) == [1, 2]


def test_decisions_that_cannot_be(sessions: sessionmaker[Session], office: Office) -> None:
    add(sessions, (1, {}), (2, {"snils": SNILS_OF_ONE}), (3, {}))
    search(sessions, office)
    with sessions() as session:
        wrong = [
            lambda: twins.decide_same(session, 1, standing_id=3, reason="x", actor=office.officer, now=NOW),
            lambda: twins.decide_same(session, 1, standing_id=1, reason=" ", actor=office.officer, now=NOW),
            lambda: twins.decide_different(session, 1, wrong_ids=[], reason="x", actor=office.officer, now=NOW),
            lambda: twins.decide_different(session, 1, wrong_ids=[3], reason="x", actor=office.officer, now=NOW),
        ]
        for decide in wrong:
            with pytest.raises(InvalidInput):
                decide()
            session.rollback()
        with pytest.raises(NotAllowed):
            twins.decide_same(session, 1, standing_id=1, reason="x", actor=office.planner, now=NOW)
        with pytest.raises(NotAllowed):
            twins.list_cases(session, actor=office.planner)
        twins.decide_same(session, 1, standing_id=1, reason="x", actor=office.officer, now=NOW)
        with pytest.raises(IllegalMove):
            twins.decide_same(session, 1, standing_id=2, reason="x", actor=office.officer, now=NOW)


def test_cases_page_by_their_ids(sessions: sessionmaker[Session], office: Office) -> None:
    add(
        sessions,
        *((number, {}) for number in range(1, 6)),
        *((10 + n, {"snils": person(n)["snils"]}) for n in range(1, 6)),
    )
    assert search(sessions, office) == 5
    with sessions() as session:
        first = twins.list_cases(session, actor=office.officer, limit=2)
        rest = twins.list_cases(session, actor=office.officer, after=first[-1].id, limit=10)
        assert len(first) == 2 and len(rest) == 3 and not {one.id for one in first} & {one.id for one in rest}


def test_an_application_in_doubt_waits_and_is_not_lost(sessions: sessionmaker[Session], office: Office) -> None:
    from tests.support.office import RULES

    add(sessions, (1, {}), (2, {"snils": SNILS_OF_ONE}))
    with sessions() as session:
        submit_application(
            session,
            form=form(1, point_id=office.points[0]),
            route=Route.WINDOW,
            actor=office.operator,
            policy=POLICY,
            now=NOW,
            random=seeded_random(),
        )
        application = session.scalars(select(Application)).one()
        for state in (ApplicationState.CHECKING, ApplicationState.CHECKED):
            application.state = state
            session.commit()
        decision.approve(session, application.id, actor=office.officer, reason="верно", now=NOW)
    search(sessions, office)
    with sessions() as session:
        assert plan(session, actor=office.planner, rules=RULES, now=NOW).cards == 0
        assert session.scalars(select(Application.state)).one() is ApplicationState.APPROVED
        twins.decide_different(session, 1, wrong_ids=[2], reason="ответ ПФР", actor=office.officer, now=NOW)
        assert plan(session, actor=office.planner, rules=RULES, now=NOW).cards == 1


def test_a_doubt_after_opening_keeps_the_second_record_from_a_card(
    sessions: sessionmaker[Session], office: Office
) -> None:
    from tests.support.office import RULES

    add(sessions, (1, {}), (2, {}))
    with sessions() as session:
        publish_notice(session, office)
        made = cohort.compute(session, actor=office.planner, as_of=NOW.date(), policy=POLICY, now=NOW)
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        assert cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW) == 2
        session.get_one(Resident, 2).snils = SNILS_OF_ONE
        session.commit()
    search(sessions, office)
    with sessions() as session:
        assert plan(session, actor=office.planner, rules=RULES, now=NOW).cards == 0
        twins.decide_same(session, 1, standing_id=1, reason="один", actor=office.officer, now=NOW)
        assert plan(session, actor=office.planner, rules=RULES, now=NOW).cards == 1
        states = session.scalars(select(Application.state).order_by(Application.resident_id)).all()
        assert states == [ApplicationState.PLANNED, ApplicationState.WITHDRAWN]


people = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=8)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=15, deadline=None
)
@given(st.lists(people, min_size=1, max_size=3))
def test_cases_are_what_a_plain_search_finds(
    sessions: sessionmaker[Session], office: Office, exports: list[list[tuple[int, int, int]]]
) -> None:
    """Whatever exports follow each other: the open cases are the groups of a dictionary, and only they hold people."""
    with sessions() as session:
        for table in (TwinMember, TwinCase, Resident):
            session.execute(delete(table))
        session.commit()
    for export in exports:
        with sessions() as session:
            session.execute(delete(TwinMember))
            session.execute(delete(Resident))
            for number, (name, snils, document) in enumerate(export, 1):
                named = {key: person(name)[key] for key in ("surname", "name", "birth_date")}
                papers = {"snils": person(snils)["snils"], "doc_number": f"{document:06}"}
                add_resident(session, number, **named, **papers)
            session.commit()
            ids = list(session.scalars(select(Resident.id).order_by(Resident.id)))
        search(sessions, office)
        groups: dict[tuple[object, ...], set[int]] = {}
        for number, (name, snils, document) in enumerate(export, 1):
            for key in (("snils", snils), ("document", document), ("person", name)):
                groups.setdefault(key, set()).add(number)
        wanted = set()
        for (what, _), who in groups.items():
            papers = {export[one - 1] for one in who}
            several_snils = len({one[1] for one in papers}) > 1
            several_documents = len({one[2] for one in papers}) > 1
            own_case = {"snils": True, "document": several_snils, "person": several_snils and several_documents}
            if len(who) > 1 and own_case[what]:  # type: ignore[index]
                wanted.add((what, tuple(ids[one - 1] for one in sorted(who))))
        found = {(key.split()[0], tuple(who)) for key, _, state, who in cases(sessions) if state is TwinState.OPEN}
        assert found == wanted
        with sessions() as session:
            held = set(session.scalars(select(Resident.id).where(twins.held(Resident.id))))
        assert held == {one for _, who in wanted for one in who}
