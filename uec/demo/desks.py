"""The desks of the demo: applicants, officer, planner, releaser, producer and the window, each with its services."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from secrets import token_bytes
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.secret import Secret
from uec.demo.hands import Hands
from uec.demo.office import DemoOffice, MainJobFailed
from uec.demo.report import Report
from uec.domain.actors import CITIZEN, Actor
from uec.domain.lifecycle import (
    ApplicationState,
    CardState,
    OperationKind,
    OperationState,
    Route,
)
from uec.services import (
    batches,
    decision,
    handover,
    intake,
    operations,
    points,
    unblock_letters,
)
from uec.services.forms import ApplicationForm
from uec.services.rules import batch_rules
from uec.services.views import PlanOutcome, Receipt
from uec.store.tables import Application, Card, Resident

PINS = {"pin1": Secret(b"4815"), "pin2": Secret(b"162342")}


class Desks:
    """Everybody who has a hand in a card, each doing the own part by the same services as the pages."""

    def __init__(self, office: DemoOffice, hands: Hands, report: Report) -> None:
        self._office, self._hands, self._report = office, hands, report
        self._sessions: sessionmaker[Session] = office.sessions

    def submit(self, form: ApplicationForm, route: Route, actor: Actor) -> Receipt:
        now = self._office.now()
        policy = self._office.settings.policy.at(now)
        with self._sessions() as session:
            receipt = intake.submit_application(
                session, form=form, route=route, actor=actor, policy=policy, now=now, random=token_bytes
            )
            status = intake.application_status(session, number=receipt.number, secret=receipt.secret, now=now)
        self._report.expect(status.number == receipt.number, f"The status page of {receipt.number} does not open.")
        return receipt

    def people(self, count: int) -> list[Resident]:
        """Adults of the register with a telephone who have no application yet."""
        today = self._office.settings.policy.day(self._office.now())
        applied = select(Application.snils)
        adults = select(Resident).where(
            Resident.birth_date <= today.replace(year=today.year - 20, day=1),
            Resident.death_date.is_(None),
            Resident.phone.is_not(None),
            Resident.snils.not_in(applied),
        )
        with self._sessions() as session:
            found = list(session.scalars(adults.order_by(Resident.id).limit(count)))
        if len(found) < count:
            raise MainJobFailed(f"The register has {len(found)} adults with a telephone, {count} are needed.")
        return found

    def form_of(self, resident: Resident) -> ApplicationForm:
        with self._sessions() as session:
            point = points.list_points(session)[0]
        same = ("surname", "name", "birth_date", "birth_place", "sex", "snils", "doc_type", "doc_series", "doc_number")
        optional = ("patronymic", "oms", "phone", "email")
        values: dict[str, Any] = {name: getattr(resident, name) for name in same}
        values |= {name: getattr(resident, name) or "" for name in optional}
        return ApplicationForm(
            **values,
            doc_date=resident.doc_date,
            doc_issuer=resident.doc_issuer,
            address=resident.address,
            point_id=point.id,
        )

    def await_checks(self) -> None:
        """Wait until the registers have said their word about everybody."""
        waiting = (ApplicationState.SUBMITTED, ApplicationState.CHECKING)
        unsettled = select(Application.id).where(Application.state.in_(waiting)).limit(1)
        self._office.until(lambda session: session.scalar(unsettled) is None, "The registers' answers", job="checks")

    def in_state(self, state: ApplicationState) -> Any:
        return select(Application.id).where(Application.state == state).order_by(Application.id)

    def plan(self) -> list[int]:
        """Plan what is approved, have it released by a second person and prepared; the batches."""
        made = self._planned()
        with self._sessions() as session:
            for batch in made.batches:
                batches.release(session, batch.id, actor=self._office.actor("releaser"), now=self._office.now())
        unprepared = select(Card.id).where(Card.batch_id.in_([batch.id for batch in made.batches]))
        unprepared = unprepared.where(Card.state == CardState.PLANNED).limit(1)
        self._office.until(lambda session: session.scalar(unprepared) is None, "The cards' data", job="prepare")
        return [batch.id for batch in made.batches]

    def plan_only(self) -> list[str]:
        """Plan what is approved and leave it to be released; the batches' numbers."""
        return [batch.number for batch in self._planned().batches]

    def _planned(self) -> PlanOutcome:
        now = self._office.now()
        rules = batch_rules(
            self._office.settings, today=self._office.settings.policy.day(now), transport=self._report.transport
        )
        with self._sessions() as session:
            return batches.plan(session, actor=self._office.actor("planner"), rules=rules, now=now)

    def submit_new(self, count: int, route: Route) -> list[Receipt]:
        """So many more people apply."""
        return [self.submit(self.form_of(resident), route, CITIZEN) for resident in self.people(count)]

    def approve_new(self, count: int) -> list[Receipt]:
        """So many more people apply, are confirmed by the registers, and approved."""
        receipts = self.submit_new(count, Route.WEB)
        self.await_checks()
        numbers = [receipt.number for receipt in receipts]
        with self._sessions() as session:
            checked = self.in_state(ApplicationState.CHECKED).where(Application.number.in_(numbers))
            for application_id in session.scalars(checked).all():
                decision.approve(
                    session,
                    application_id,
                    actor=self._office.actor("officer"),
                    reason="все реестры подтвердили",
                    now=self._office.now(),
                )
        return receipts

    def number_of(self, card_id: int) -> str:
        """The number printed on a card."""
        with self._sessions() as session:
            return session.get_one(Card, card_id).number

    def spare_blank(self) -> None:
        """Lay a blank on the tray."""
        self._hands.tray.blank()

    def personalise(self, batch_ids: list[int]) -> list[int]:
        """Write and inspect every prepared card of the batches, in all readers side by side; their ids."""
        with self._sessions() as session:
            wanted = select(Card.id).where(Card.batch_id.in_(batch_ids), Card.state == CardState.PREPARED)
            card_ids = list(session.scalars(wanted.order_by(Card.number)))
        self._side_by_side(self._personalise, card_ids)
        return card_ids

    def hand_over(self, card_ids: list[int]) -> None:
        """Hand cards over, in all readers side by side."""
        self._side_by_side(self._hand_over_in, card_ids)

    def _side_by_side(self, work: Callable[[int, int], None], card_ids: list[int]) -> None:
        """Do `work(card id, lane)` for every card, each lane one card at a time; raises the first error."""
        free: SimpleQueue[int] = SimpleQueue()
        for lane in range(self._hands.lanes):
            free.put(lane)

        def in_a_lane(card_id: int) -> None:
            lane = free.get()
            try:
                work(card_id, lane)
            finally:
                free.put(lane)

        with ThreadPoolExecutor(self._hands.lanes, thread_name_prefix="lane") as pool:
            under_way = [pool.submit(in_a_lane, card_id) for card_id in card_ids]
            try:
                for one in under_way:
                    one.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _hand_over_in(self, card_id: int, lane: int) -> None:
        with self._sessions() as session:
            number = session.get_one(Card, card_id).number
            letter = unblock_letters.draw(
                session, card_id, box=self._office.letter_box(), settings=self._office.settings, now=self._office.now()
            )
            operation_id = handover.request(
                session,
                card_id,
                actor=self._office.actor("operator2"),
                station_id=self._hands.station_id,
                reader=self._hands.reader(lane),
                sealed_pins=self._hands.seal(PINS | letter, number),
                holder_checked=True,
                now=self._office.now(),
            )
        self._see_through(operation_id, card_id, lane)

    def _personalise(self, card_id: int, lane: int) -> None:
        with self._sessions() as session:
            operation_id = operations.request_operation(
                session,
                kind=OperationKind.PERSONALISE,
                card_id=card_id,
                station_id=self._hands.station_id,
                reader=self._hands.reader(lane),
                actor=self._office.actor("producer"),
                now=self._office.now(),
            )
        self._see_through(operation_id, card_id, lane)

    def _see_through(self, operation_id: int, card_id: int, lane: int) -> None:
        done = self._hands.work(operation_id, card_id, lane=lane)
        if done.state is not OperationState.DONE:
            raise MainJobFailed(f"{done.kind} of card {card_id} ended as {done.state}: {done.error_text}")
