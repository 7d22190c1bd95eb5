"""A plan made again after an event: who must move is told by a letter that a mail server receives, nobody else is."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_messages import SITE, Mailbox, mailbox, text_of  # noqa: F401 - a fixture
from tests.integration.services.test_plan_infeasible import LINE
from tests.integration.services.test_plan_office import applicants
from tests.support.office import NOW, RULES, Office, open_office
from uec.domain.lifecycle import Route
from uec.gateways.mail import open_post
from uec.services import batches, messages, plan_facts, plan_moves
from uec.settings import MailSettings
from uec.store.tables import Application, Card, EmissionPlan, EmissionSlot

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Iterator[Office]:
    yield open_office(sessions, points=2, daily_capacity=30)


def days(session: Session) -> dict[int, object]:
    """The promised day of everybody in the newest plan or in a batch."""
    newest = select(EmissionPlan.id).order_by(EmissionPlan.id.desc()).limit(1).scalar_subquery()
    slots = session.execute(select(EmissionSlot.people, EmissionSlot.promised_on).where(EmissionSlot.plan_id == newest))
    planned = {person: day for people, day in slots for person in people}
    cut = dict(session.execute(select(Card.application_id, Card.promised_on)).all())
    return planned | cut


@pytest.mark.slow
def test_a_line_stops_and_only_those_who_move_get_a_letter(
    sessions: sessionmaker[Session],
    office: Office,
    mailbox: tuple[Mailbox, MailSettings],  # noqa: F811
) -> None:
    box, settings = mailbox
    two = {"lines": [LINE, LINE | {"code": "L2", "name_en": "Line 2"}]}
    stands = {"first": "2026-03-16", "last": "2026-03-20", "machines": 1}
    with sessions() as session:
        people = applicants(session, office, 280, route=Route.MASS)
        for number, person in enumerate(people):
            session.execute(
                update(Application).where(Application.id == person).values(email=f"p{number}@region.example")
            )
        plan_facts.store(session, two, reason="two lines", actor=office.planner, now=NOW)
        batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        before = days(session)
        assert len(before) == 280 and None not in before.values()
        one = {"lines": [LINE, LINE | {"code": "L2", "name_en": "Line 2", "maintenance": [stands]}]}
        plan_facts.store(session, one, reason="L2 stands", actor=office.planner, now=LATER)
        batches.plan(session, actor=office.planner, rules=RULES, now=LATER)
        after = days(session)
        moved = {person for person in people if after[person] != before[person]}
        assert 0 < len(moved) < 280, "some must move, and who need not does not"
        assert all(after[person] is None or after[person] > before[person] for person in moved)  # type: ignore[operator]
        with open_post(settings) as post:
            messages.send_due(session, post, site=SITE, now=LATER)
            assert box.letters == [], "nobody hears of it before a planner has seen it"
            assert plan_moves.tell(session, actor=office.planner, now=LATER) == len(moved)
            while messages.send_due(session, post, site=SITE, now=LATER).sent:
                pass
        mails = {f"p{number}@region.example": person for number, person in enumerate(people)}
        assert sorted(mails[str(letter["To"])] for letter in box.letters) == sorted(moved)
        for letter in box.letters:
            person = mails[str(letter["To"])]
            told = re.findall(r"\d\d\.\d\d\.\d{4}", text_of(letter))
            assert f"{before[person]:%d.%m.%Y}" in told
            assert after[person] is None or f"{after[person]:%d.%m.%Y}" in told
