"""Nobody alone, on both databases: every pair of the five duties, on every way an application comes in."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.sealing import seal_pins
from tests.support.desk import LETTER, PINS, CardOffice, open_card_office
from tests.support.office import NOW, POLICY, RULES, add_resident, add_staff, form, publish_notice
from uec.domain.actors import Actor
from uec.domain.errors import SamePerson
from uec.domain.lifecycle import ApplicationReason, ApplicationState, CardState, OperationKind, Route
from uec.domain.permissions import Role
from uec.services import batches, cards, cohort, decision, handover, operations, preparation
from uec.services.duties import Duty
from uec.services.intake import submit_application
from uec.store.tables import Application, Card

ROUTES = (
    "window",
    "cohort",
    pytest.param("replacement", marks=pytest.mark.slow),
    pytest.param("remake", marks=pytest.mark.slow),
)
PAIRS = list(combinations(Duty, 2))


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


class Way:
    """One card's way, each duty by the person `doers` names, or by the one who is there for it."""

    def __init__(self, office: CardOffice, doers: dict[Duty, Actor], route: str = "window") -> None:
        self.office, self.route = office, route
        staff = office.staff
        self.doers = {
            Duty.TAKE: staff.operator,
            Duty.APPROVE: staff.officer,
            Duty.RELEASE: staff.releaser,
            Duty.PRODUCE: staff.producer,
            Duty.HAND_OVER: staff.second_operator,
        }
        if route == "cohort":
            with office.sessions() as session:
                approver = add_staff(session, "approver", Role.RELEASER)
                session.commit()
            self.doers |= {Duty.TAKE: staff.planner, Duty.APPROVE: approver}
        self.doers |= doers

    def go(self, *, until: Duty = Duty.HAND_OVER) -> None:
        """All duties in their order; the last one done is `until`."""
        steps = {
            Duty.TAKE: getattr(self, f"take_{self.route}"),
            Duty.APPROVE: self.approve,
            Duty.RELEASE: self.release,
            Duty.PRODUCE: self.produce,
            Duty.HAND_OVER: self.hand_over,
        }
        for duty in Duty:
            steps[duty]()
            if duty is until:
                return

    def take_window(self, number: int = 1) -> None:
        with self.office.sessions() as session:
            submit_application(
                session,
                form=form(number, point_id=self.office.staff.points[0]),
                route=Route.WINDOW,
                actor=self.doers[Duty.TAKE],
                policy=POLICY,
                now=self.office.clock(),
                random=self.office.desk.bench.random,
            )

    def take_cohort(self) -> None:
        with self.office.sessions() as session:
            add_resident(session, 1)
            session.commit()
            made = cohort.compute(
                session, actor=self.office.staff.planner, as_of=NOW.date(), policy=POLICY, now=self.office.clock()
            )
            cohort.propose(session, made.id, actor=self.doers[Duty.TAKE], now=self.office.clock())
        self.root = made.digest

    def take_replacement(self) -> None:
        (card_id,) = self.office.make_cards(1)
        self.office.hand_over(card_id)
        with self.office.sessions() as session:
            cards.replace(
                session,
                card_id,
                actor=self.doers[Duty.TAKE],
                reason=ApplicationReason.REPLACEMENT,
                policy=POLICY,
                now=self.office.clock(),
                random=self.office.desk.bench.random,
            )

    def take_remake(self) -> None:
        """The first card of the application is spoiled; people who had to do with it may well do another duty now."""
        self.take_window()
        self.decide()
        self.release(by=self.office.staff.releaser)
        card_id = self.newest()
        with self.office.sessions() as session:
            cards.spoil(session, card_id, actor=self.office.staff.producer, reason="bent", now=self.office.clock())

    def approve(self) -> None:
        if self.route == "cohort":
            self.approve_cohort()
        elif self.route != "remake":
            self.decide()

    def approve_cohort(self) -> None:
        now, planner = self.office.clock(), self.office.staff.planner
        with self.office.sessions() as session:
            publish_notice(session, self.office.staff, now=now)
            cohort.approve(session, 1, actor=self.doers[Duty.APPROVE], digest=self.root, now=now)
            assert cohort.open_applications(session, 1, actor=planner, policy=POLICY, now=now) == 1

    def decide(self) -> None:
        with self.office.sessions() as session:
            application = session.scalars(select(Application).order_by(Application.id.desc())).first()
            assert application is not None
            for state in (ApplicationState.CHECKING, ApplicationState.CHECKED):
                application.state = state
                session.flush()
            session.commit()
            actor = self.doers[Duty.APPROVE]
            decision.approve(session, application.id, actor=actor, reason="seen", now=self.office.clock())

    def release(self, by: Actor | None = None) -> None:
        with self.office.sessions() as session:
            made = batches.plan(session, actor=self.office.staff.planner, rules=RULES, now=self.office.clock())
            (batch_id,) = [batch.id for batch in made.batches]
            batches.release(session, batch_id, actor=by or self.doers[Duty.RELEASE], now=self.office.clock())
            profile = self.office.desk.bench.profile
            preparation.prepare(session, batch_id, profile=profile, issuer="УОС", now=self.office.clock())

    def produce(self) -> None:
        with self.office.sessions() as session:
            operations.request_operation(
                session,
                kind=OperationKind.PERSONALISE,
                card_id=self.newest(),
                station_id=None,
                reader=None,
                actor=self.doers[Duty.PRODUCE],
                now=self.office.clock(),
            )
        self.office.work()

    def hand_over(self) -> None:
        card_id = self.newest()
        number = self.office.card(card_id).number
        sealed = seal_pins(self.office.desk.sealing_key.public_key, PINS | LETTER, card_number=number)
        with self.office.sessions() as session:
            handover.request(
                session,
                card_id,
                actor=self.doers[Duty.HAND_OVER],
                station_id=None,
                reader=None,
                sealed_pins=sealed,
                holder_checked=True,
                now=self.office.clock(),
            )
        self.office.work()
        assert self.office.card(card_id).state is CardState.ACTIVE

    def newest(self) -> int:
        with self.office.sessions() as session:
            return session.scalars(select(Card.id).order_by(Card.id.desc())).first() or 0


def everybody(office: CardOffice) -> Actor:
    with office.sessions() as session:
        made = add_staff(session, "all", Role.OPERATOR, Role.OFFICER, Role.PLANNER, Role.RELEASER, Role.PRODUCER)
        session.commit()
        return made


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_no_pair_of_duties_for_one_card(office: CardOffice, route: str, earlier: Duty, later: Duty) -> None:
    both = everybody(office)
    way = Way(office, {earlier: both, later: both}, route)
    with pytest.raises(SamePerson) as refused:
        way.go()
    assert refused.value.actor == both.reference


@pytest.mark.parametrize("route", ROUTES)
def test_five_people_get_it_done(office: CardOffice, route: str) -> None:
    way = Way(office, {}, route)
    way.go()
    assert office.card(way.newest()).state is CardState.ACTIVE


@pytest.mark.parametrize("earlier", [Duty.TAKE, Duty.APPROVE, Duty.RELEASE])
def test_inspecting_is_producing(office: CardOffice, earlier: Duty) -> None:
    both = everybody(office)
    way = Way(office, {earlier: both})
    way.go(until=Duty.PRODUCE)
    with office.sessions() as session, pytest.raises(SamePerson):
        operations.request_operation(
            session,
            kind=OperationKind.INSPECT,
            card_id=way.newest(),
            station_id=None,
            reader=None,
            actor=both,
            now=office.clock(),
        )


def test_who_asked_for_the_whole_batch_has_produced_each_card(office: CardOffice) -> None:
    both = everybody(office)
    way = Way(office, {Duty.HAND_OVER: both})
    way.go(until=Duty.RELEASE)
    with office.sessions() as session:
        batch_id = session.get_one(Card, way.newest()).batch_id
        assert operations.request_batch(session, batch_id, station_id=None, actor=both, now=office.clock()) == 1
    office.work()
    with pytest.raises(SamePerson, match="produced"):
        way.hand_over()


def test_work_that_was_called_off_counts_for_nothing(office: CardOffice) -> None:
    both = everybody(office)
    way = Way(office, {Duty.HAND_OVER: both})
    way.go(until=Duty.RELEASE)
    with office.sessions() as session:
        asked = operations.request_operation(
            session,
            kind=OperationKind.PERSONALISE,
            card_id=way.newest(),
            station_id=None,
            reader=None,
            actor=both,
            now=office.clock(),
        )
        operations.cancel_operation(session, asked, actor=both, now=office.clock())
    way.produce()
    way.hand_over()
    assert office.card(way.newest()).state is CardState.ACTIVE
