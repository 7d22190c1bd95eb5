"""The list and its reasons are one: whatever the office holds, on a list is who fulfils every condition."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, POLICY, Office, add_resident, form, open_office, person, seeded_random
from uec.domain.actors import CITIZEN
from uec.domain.errors import NotAllowed, NotFound
from uec.domain.lifecycle import Route
from uec.services import cohort, cohort_members, cohort_why, refusals, twins
from uec.services.cohort_members import Cursor
from uec.services.intake import submit_application
from uec.services.merkle import merkle_root
from uec.services.views import CohortView
from uec.store.tables import (
    Application,
    Cohort,
    CohortPart,
    Message,
    Refusal,
    RegisterCheck,
    Resident,
    TwinCase,
    TwinMember,
)

TODAY = NOW.date()


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions)


def compute(session: Session, office: Office, **changes: object) -> CohortView:
    arguments = {"as_of": TODAY, "policy": POLICY, "now": NOW} | changes
    return cohort.compute(session, actor=office.planner, **arguments)  # type: ignore[arg-type]


def explored(session: Session, office: Office) -> list[cohort_why.Verdict]:
    return cohort_why.explore(session, actor=office.planner, as_of=TODAY, policy=POLICY, now=NOW, limit=100)


# Age, death, place, refusal, application, whose SNILS.
facts = st.tuples(
    st.sampled_from([date(1980, 1, 1), date(2012, 3, 2), date(2012, 3, 3)]),
    st.booleans(),
    st.sampled_from(["71701000", "71601000", "71601000101", "99999999"]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 6),
)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=8, deadline=None
)
@given(st.lists(facts, min_size=1, max_size=6))
def test_a_list_holds_exactly_those_for_whom_every_condition_holds(
    sessions: sessionmaker[Session], office: Office, people: list[tuple[date, bool, str, bool, bool, int]]
) -> None:
    with sessions() as session:
        for table in (
            RegisterCheck, Message, Application, Refusal, TwinMember, TwinCase, CohortPart, Cohort, Resident,
        ):  # fmt: skip
            session.execute(delete(table))
        session.commit()
        applied: set[int] = set()
        for number, (born, dead, place, refuses, applies, snils) in enumerate(people, 1):
            death = date(2026, 1, 1) if dead else None
            add_resident(session, number, birth_date=born, death_date=death, oktmo=place, snils=person(snils)["snils"])
            session.commit()
            if refuses:
                refusals.file(session, snils=person(snils)["snils"], channel="post", actor=office.operator, now=NOW)
            if applies and snils not in applied:
                applied.add(snils)
                submit_application(
                    session,
                    form=form(snils, point_id=office.points[0]),
                    route=Route.WEB,
                    actor=CITIZEN,
                    policy=POLICY,
                    now=NOW,
                    random=seeded_random(number),
                )
        twins.search(session, actor=office.officer, now=NOW)
        session.commit()
        verdicts = explored(session, office)
        assert len(verdicts) == len(people)
        made = compute(session, office)
        members = sorted(session.scalars(cohort_members.member_ids(session, made.id)))
        assert members == [one.resident_id for one in verdicts if one.entitled]
        for verdict, (born, dead, place, *_rest) in zip(verdicts, people, strict=True):
            assert verdict.answers["age"] is (born <= date(2012, 3, 2))
            assert dead is False or verdict.answers["alive"] is False
            assert verdict.answers["residence"] is (place != "99999999")
        shares = cohort_members.breakdown(session, made.id)
        assert sum(share.count for share in shares) == len(members) == made.count
        register_ids = session.scalars(
            select(Resident.register_id).where(Resident.id.in_(members)).order_by(Resident.id)
        )
        assert made.digest == merkle_root(one.encode() for one in register_ids).hex()


def test_the_breakdown_counts_by_place_age_and_sex(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        add_resident(session, 1, birth_date=date(2010, 1, 1), oktmo="71601000101")
        add_resident(session, 2, birth_date=date(2000, 1, 1), sex="F")
        add_resident(session, 3, birth_date=date(1991, 3, 3))
        add_resident(session, 4, birth_date=date(1991, 3, 2))
        add_resident(session, 5, birth_date=date(1950, 1, 1))
        add_resident(session, 6, birth_date=date(1951, 1, 1))
        session.commit()
        made = compute(session, office)
        shares = [(one.oktmo, one.band, one.sex, one.count) for one in cohort_members.breakdown(session, made.id)]
    assert shares == [
        ("71601000", "0-17", "M", 1),
        ("71701000", "18-34", "F", 1),
        ("71701000", "18-34", "M", 1),
        ("71701000", "35-59", "M", 1),
        ("71701000", "60+", "M", 2),
    ]


def test_a_list_of_a_municipality_has_its_parts(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        for number, place in enumerate(("71601000", "71601000101", "71601000106", "71701000"), 1):
            add_resident(session, number, oktmo=place)
        session.commit()
        asked = (["71601000"], ["71601000101"], ["71601000101", "71701000"], ["71601"])
        assert [compute(session, office, oktmo=codes).count for codes in asked] == [3, 1, 2, 0]


def test_a_region_whose_codes_begin_with_zero(sessions: sessionmaker[Session], office: Office) -> None:
    from uec.store.tables import Municipality

    with sessions() as session:
        session.add(Municipality(oktmo="01601000", name_ru="Район", name_en="District"))
        add_resident(session, 1, oktmo="01601000101")
        session.commit()
        made = compute(session, office)
        assert [one.oktmo for one in cohort_members.breakdown(session, made.id)] == ["01601000"]


def test_pages_of_a_list_cover_it_once_kind_by_kind(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        for number in range(1, 24):
            add_resident(session, number, oktmo="71601000" if number % 3 else "71701000")
        session.commit()
        made = compute(session, office)
        everybody = sorted(session.scalars(cohort_members.member_ids(session, made.id)))
        assert len(everybody) == 23
        seen: list[Cursor] = []
        while part := cohort_members.page_of(session, made.id, after=seen[-1] if seen else None, limit=5):
            assert len(part) == 5 or len(seen) == 20
            seen += part
        assert [one.oktmo for one in seen] == ["71601000"] * 16 + ["71701000"] * 7
        assert sorted(one.after for one in seen) == everybody
        assert all(a.after < b.after for a, b in pairwise(seen) if a.oktmo == b.oktmo)
        town = [one.after for one in cohort_members.page_of(session, made.id, oktmo="71701000", limit=100)]
        assert len(town) == 7 and set(town) < set(everybody)
        assert cohort_members.page_of(session, made.id, sex="F") == []
        assert cohort_members.page_of(session, made.id, oktmo="71701000", after=seen[3]) != []
        assert cohort_members.page_of(session, made.id, oktmo="71601000", after=seen[-1]) == []
        assert cohort_members.take_off(session, made.id, town[0]) is True
        assert cohort_members.take_off(session, made.id, town[0]) is False
        assert not cohort_members.is_member(session, made.id, town[0])
        assert session.scalar(select(func.sum(CohortPart.count)).where(CohortPart.cohort_id == made.id)) == 22
        shares = cohort_members.breakdown(session, made.id)
        assert [share.count for share in shares] == [16, 6]


def test_the_last_of_a_kind_leaves_no_empty_line(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        add_resident(session, 1)
        add_resident(session, 2, sex="F")
        session.commit()
        made = compute(session, office)
        (woman,) = cohort_members.page_of(session, made.id, sex="F")
        assert cohort_members.take_off(session, made.id, woman.after)
        assert [(one.sex, one.count) for one in cohort_members.breakdown(session, made.id)] == [("M", 1)]
        assert cohort_members.page_of(session, made.id, sex="F") == []


def test_who_moved_after_the_list_was_made_is_still_found_on_it(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        one = add_resident(session, 1, oktmo="71601000")
        session.commit()
        made = compute(session, office)
        one.oktmo, one.birth_date = "71701000", date(1950, 1, 1)
        session.commit()
        assert cohort_members.is_member(session, made.id, one.id)
        assert cohort_members.take_off(session, made.id, one.id)


@pytest.mark.parametrize(
    "written", ["", "1", "71601000.18-34.M", "71601000.18-34.X.1", "71601000.1-3.M.1", "71601000.18-34.M.-1",
                "71601000.18-34.M.99999999999", "71601000.18-34.M.x"]
)  # fmt: skip
def test_a_cursor_that_nobody_wrote_is_none(written: str) -> None:
    assert Cursor.parse(written) is None
    cursor = Cursor("71601000", "18-34", "M", 17)
    assert Cursor.parse(str(cursor)) == cursor


def test_a_look_is_audited_and_needs_a_right(sessions: sessionmaker[Session], office: Office) -> None:
    from uec.store.tables import AuditEntry

    with sessions() as session:
        add_resident(session, 1)
        session.commit()
        made = compute(session, office)
        (resident_id,) = session.scalars(cohort_members.member_ids(session, made.id))
        arguments = {"as_of": TODAY, "policy": POLICY, "now": NOW}
        told = cohort_why.why(session, resident_id, actor=office.releaser, cohort_id=made.id, **arguments)  # type: ignore[arg-type]
        assert (told.on_list, told.entitled, told.against) == (True, True, ())
        looks = session.scalars(select(AuditEntry.person_id).where(AuditEntry.action == "cohort.look")).all()
        assert looks == [resident_id]
        with pytest.raises(NotAllowed):
            cohort_why.why(session, resident_id, actor=office.security, **arguments)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            cohort_why.why(session, resident_id + 1, actor=office.planner, **arguments)  # type: ignore[arg-type]
