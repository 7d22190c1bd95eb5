"""Reminders: each card gets each one once, on its day, whatever day was missed; none where there is nothing to say."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import CardOffice, open_card_office
from tests.support.office import POLICY
from uec.services import reminders
from uec.store.tables import Application, Card, Certificate, Message

RULES = replace(POLICY, unclaimed_reminder_days=(14, 60), expiry_reminder_days=(60, 14), storage_days=100)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def new(office: CardOffice, **period: float) -> list[str]:
    """Kinds and occasions of the messages that the next look after a period queues."""
    office.clock.advance(**period)
    with office.sessions() as session:
        last = session.scalars(select(Message.id).order_by(Message.id.desc()).limit(1)).first() or 0
        counted = reminders.remind(session, policy=RULES, now=office.clock())
        keys = list(session.scalars(select(Message.key).where(Message.id > last).order_by(Message.id)))
        assert sum(counted.values()) == len(keys)
    return keys


def test_a_card_at_the_point_is_told_of_and_reminded_of(office: CardOffice) -> None:
    first, second = office.make_cards(1, 2)
    assert new(office) == [f"ready:{first}", f"ready:{second}"]
    assert new(office, days=10) == [], "once"
    office.hand_over(first)
    assert new(office, days=4.1) == [f"unclaimed:14:{second}"]
    assert new(office, days=1) == []
    assert new(office, days=60) == [f"unclaimed:60:{second}"]
    with office.sessions() as session:
        facts = session.scalars(select(Message.facts).where(Message.key == f"unclaimed:60:{second}")).one()
        made = session.get_one(Card, second).personalised_at
        assert made is not None and facts["days"] == 75
        assert facts["until"] == (POLICY.day(made) + timedelta(days=100)).isoformat()
        assert reminders.stored_too_long(session, policy=RULES, now=office.clock()) == 0
        assert reminders.stored_too_long(session, policy=RULES, now=office.clock() + timedelta(days=30)) == 1
    assert new(office, days=40) == [], "what is stored for too long is no matter of reminders"


def test_days_that_were_missed_are_caught_up_with_the_latest_only(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    assert new(office, days=70) == [f"unclaimed:60:{card}"]
    assert new(office, days=1) == []


def test_a_card_that_runs_out_is_reminded_of_at_both_marks(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    office.hand_over(card)
    with office.sessions() as session:
        ends = session.get_one(Card, card).expires_on
        office.clock.now = office.clock.now.replace(year=ends.year, month=ends.month, day=ends.day)
    assert new(office, days=-61) == []
    assert new(office, days=1) == [f"card-expiry:60:{card}"]
    assert new(office, days=45) == []
    assert new(office, days=1) == [f"card-expiry:14:{card}"]
    assert new(office, days=14) == [], "its last day"


def test_a_certificate_that_ends_before_its_card_has_a_reminder_of_its_own(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    office.hand_over(card)
    ends = office.clock.now + timedelta(days=100)
    with office.sessions() as session:
        session.execute(update(Certificate).where(Certificate.card_id == card).values(not_after=ends))
        session.commit()
    assert new(office, days=30) == []
    assert new(office, days=11) == [f"certificate-expiry:60:{card}"]
    assert new(office, days=50) == [f"certificate-expiry:14:{card}"]
    with office.sessions() as session:
        session.execute(update(Certificate).where(Certificate.card_id == card).values(not_after=ends))
        assert session.scalars(select(Message.facts).order_by(Message.id.desc())).first() == {
            "until": POLICY.day(ends).isoformat()
        }


def test_no_days_mean_no_reminders(office: CardOffice) -> None:
    (card,) = office.make_cards(1)
    quiet = replace(RULES, unclaimed_reminder_days=(), expiry_reminder_days=())
    with office.sessions() as session:
        counted = reminders.remind(session, policy=quiet, now=office.clock())
        assert counted == {"ready": 1, "unclaimed": 0, "card-expiry": 0, "certificate-expiry": 0}
        assert session.scalars(select(Application.id)).one() and session.get_one(Card, card)
