"""Days are the office's: what happens between local midnight and midnight UTC counts from the new day."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import open_card_office
from tests.support.office import POLICY, RULES, add_resident, form, open_office, publish_notice, seeded_random
from uec.domain.actors import CITIZEN
from uec.domain.errors import InvalidInput, InvalidSettings
from uec.domain.lifecycle import Route
from uec.domain.policy import Policy
from uec.services import batches, cohort, intake
from uec.services.forms import InvalidForm
from uec.services.views import Receipt
from uec.settings import Settings, load_settings
from uec.store.tables import Application

YEKATERINBURG = replace(POLICY, zone=ZoneInfo("Asia/Yekaterinburg"))
# 1 January 2027, 1 o'clock in the night in Yekaterinburg; still 2026 in UTC.
NIGHT = datetime(2026, 12, 31, 20, 0, tzinfo=UTC)


def submit(sessions: sessionmaker[Session], number: int, point: int, *, now: datetime = NIGHT) -> Receipt:
    with sessions() as session:
        return intake.submit_application(
            session,
            form=form(number, point_id=point),
            route=Route.WEB,
            actor=CITIZEN,
            policy=YEKATERINBURG,
            now=now,
            random=seeded_random(number),
        )


def test_an_application_of_the_night_counts_from_the_local_day(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions)
    before = submit(sessions, 1, office.points[0], now=NIGHT - timedelta(hours=2))
    after = submit(sessions, 2, office.points[0])
    assert before.due_on == date(2026, 12, 31) + timedelta(days=YEKATERINBURG.production_days)
    assert after.due_on == date(2027, 1, 1) + timedelta(days=YEKATERINBURG.production_days)
    assert before.number == "2026-0000001"
    assert after.number == "2027-0000001"


def test_applications_open_at_local_midnight(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions)
    policy = replace(YEKATERINBURG, on_application_from=date(2027, 1, 1))
    ways = {
        "form": form(1, point_id=office.points[0]),
        "route": Route.WEB,
        "actor": CITIZEN,
        "policy": policy,
        "random": seeded_random(),
    }
    with sessions() as session, pytest.raises(InvalidInput, match=r"from 01\.01\.2027"):
        intake.submit_application(session, **ways, now=NIGHT - timedelta(hours=1, seconds=1))
    with sessions() as session:
        assert intake.submit_application(session, **ways, now=NIGHT - timedelta(hours=1)).number == "2027-0000001"


def test_a_birthday_counts_from_local_midnight(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions)
    born = YEKATERINBURG.day(NIGHT)
    newborn = form(1, point_id=office.points[0], birth_date=born)
    with pytest.raises(InvalidForm) as in_utc:
        newborn.validate(today=POLICY.day(NIGHT), policy=POLICY)
    with pytest.raises(InvalidForm) as here:
        newborn.validate(today=born, policy=YEKATERINBURG)
    assert "birth_date" in in_utc.value.errors
    assert "birth_date" not in here.value.errors, "only the representative is missing"


@pytest.mark.parametrize(("policy", "first"), [(POLICY, date(2026, 12, 31)), (YEKATERINBURG, date(2027, 1, 1))])
def test_batches_are_planned_from_the_local_day(
    sessions: sessionmaker[Session], tmp_path: Path, policy: Policy, first: date
) -> None:
    office = open_card_office(sessions, tmp_path)
    office.approve_applicants(1)
    with sessions() as session:
        rules = replace(RULES, policy=policy)
        made = batches.plan(session, actor=office.staff.planner, rules=rules, now=NIGHT)
    assert [row.planned_for for row in made.batches] == [first]
    office.desk.bench.vault.close()


def test_applications_of_a_list_count_from_the_local_day(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions)
    with sessions() as session:
        add_resident(session, 1)
        session.commit()
        publish_notice(session, office, policy=YEKATERINBURG, now=NIGHT)
        day = YEKATERINBURG.day(NIGHT)
        drafted = cohort.compute(session, actor=office.planner, as_of=day, policy=YEKATERINBURG, now=NIGHT)
        cohort.propose(session, drafted.id, actor=office.planner, now=NIGHT)
        cohort.approve(session, drafted.id, actor=office.releaser, digest=drafted.digest, now=NIGHT)
        cohort.open_applications(session, drafted.id, actor=office.planner, policy=YEKATERINBURG, now=NIGHT)
        opened = session.scalars(select(Application)).one()
        assert opened.number == "2027-0000001"
        assert opened.due_on == date(2027, 1, 1) + timedelta(days=YEKATERINBURG.production_days)


def test_the_settings_zone_is_that_of_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "uec.toml"
    file.write_text('timezone = "Asia/Kamchatka"\n[policy]\nproduction_days = 20\n')
    settings = load_settings(file)
    assert settings.policy.at(NIGHT).zone == ZoneInfo("Asia/Kamchatka")
    assert settings.policy.day(datetime(2026, 6, 1, 12, 0, tzinfo=UTC)) == date(2026, 6, 2)
    file.write_text("")
    assert load_settings(file).policy.day(NIGHT) == date(2027, 1, 1), "also where nobody named a zone"
    assert Settings().policy.day(NIGHT) == date(2027, 1, 1)
    for name in ("Mars/Olympus", "..", ""):
        file.write_text(f'timezone = "{name}"\n')
        with pytest.raises(InvalidSettings, match="timezone"):
            load_settings(file)
