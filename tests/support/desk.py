"""A whole office over a database for tests: vault, authority, card profile, and cards in this process to work on."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from issuance.production.bundle import RecordKind
from issuance.production.drivers import run_local
from issuance.production.sealing import SealingKey, seal_pins
from tests.support.keys import make_vault
from tests.support.line import UEC_PROFILE, blank_card, slot_of
from tests.support.office import NOW, POLICY, RULES, Office, form, open_office
from uec.domain.actors import system_actor
from uec.domain.lifecycle import ApplicationState, CardState, OperationKind, Route
from uec.services import (
    authority,
    batches,
    decision,
    handover,
    operations,
    preparation,
    production_office,
    rules,
    unblock_letters,
)
from uec.services.card_sessions import Desk, anchors_of, do_operation
from uec.services.intake import submit_application
from uec.services.unblock_letters import LetterBox
from uec.services.views import OperationView
from uec.settings import Settings
from uec.store.tables import Application, Card, JournalEntry

SETTINGS = Settings(profile_dir=UEC_PROFILE.parent)
PINS = {"pin1": Secret(b"2846"), "pin2": Secret(b"193752")}
LETTER = {"krp": Secret(b"40718265")}
"""What a letter says, where a test seals PINs itself and prints none."""
LETTERS = LetterBox(bytes(range(32)), random.Random(13).randbytes)


@dataclass
class Clock:
    """A moment that moves only when told, a little at each look."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=10)
        return self.now

    def advance(self, **period: float) -> None:
        self.now += timedelta(**period)


@dataclass
class CardOffice:
    """The office, its desk for card sessions, and the chips by card id."""

    sessions: sessionmaker[Session]
    staff: Office
    desk: Desk
    clock: Clock
    chips: dict[int, VirtualCard] = field(default_factory=dict)
    letters: LetterBox = LETTERS

    def approve_applicants(self, *people: int, point: int = 0) -> list[int]:
        """Applications taken at a window and approved; their ids. What the registers say is written straight in."""
        ids = []
        for number in people:
            with self.sessions() as session:
                receipt = submit_application(
                    session,
                    form=form(number, point_id=self.staff.points[point]),
                    route=Route.WINDOW,
                    actor=self.staff.operator,
                    policy=POLICY,
                    now=self.clock(),
                    random=self.desk.bench.random,
                )
                application = session.query(Application).filter_by(number=receipt.number).one()
                for state in (ApplicationState.CHECKING, ApplicationState.CHECKED):
                    application.state = state
                    session.flush()
                session.commit()
                decision.approve(session, application.id, actor=self.staff.officer, reason="seen", now=self.clock())
                ids.append(application.id)
        return ids

    def plan(self) -> list[int]:
        """Batches for everybody approved; their ids."""
        with self.sessions() as session:
            outcome = batches.plan(session, actor=self.staff.planner, rules=RULES, now=self.clock())
            return [batch.id for batch in outcome.batches]

    def release(self, batch_id: int) -> None:
        """Release a batch and prepare its cards."""
        with self.sessions() as session:
            batches.release(session, batch_id, actor=self.staff.releaser, now=self.clock())
            preparation.prepare(session, batch_id, profile=self.desk.bench.profile, issuer="УОС", now=self.clock())

    def prepare_cards(self, *people: int) -> list[int]:
        """Cards of these people, prepared and not yet asked for; their ids."""
        wanted = self.approve_applicants(*people)
        for batch_id in self.plan():
            self.release(batch_id)
        prepared = select(Card.id).where(Card.application_id.in_(wanted), Card.state == CardState.PREPARED)
        with self.sessions() as session:
            return list(session.scalars(prepared.order_by(Card.id)))

    def make_cards(self, *people: int) -> list[int]:
        """Cards of these people, personalised and lying at their point; their ids in the order of numbers."""
        wanted = self.approve_applicants(*people)
        for batch_id in self.plan():
            self.release(batch_id)
            with self.sessions() as session:
                operations.request_batch(
                    session, batch_id, station_id=None, actor=self.staff.producer, now=self.clock()
                )
        self.work()
        with self.sessions() as session:
            made = select(Card.id).where(Card.application_id.in_(wanted)).order_by(Card.number)
            return list(session.scalars(made))

    def work(self) -> list[OperationView]:
        """Do everything that is requested, each card on its own chip."""
        done: list[OperationView] = []
        while True:
            with self.sessions() as session:
                operation = operations.claim_operation(session, station_ids=None, now=self.clock())
            if operation is None:
                return done
            done.append(self.do(operation))

    def do(self, operation: OperationView, chip: VirtualCard | None = None) -> OperationView:
        """Do one claimed operation on its card's chip (a new blank for a new card), or on the one given."""
        card_id = operation.card_id or 0
        chip = chip or self.chips.setdefault(card_id, blank_card(card_id))
        slot = slot_of(chip)
        return do_operation(self.desk, operation, lambda start, office: run_local(start(), slot, office))

    def request(self, kind: OperationKind, card_id: int) -> int:
        """Ask for work on a card by whoever is there for it."""
        with self.sessions() as session:
            return operations.request_operation(
                session,
                kind=kind,
                card_id=card_id,
                station_id=None,
                reader=None,
                actor=self.staff.producer,
                now=self.clock(),
            )

    def hand_over(self, card_id: int, pins: dict[str, Secret] = PINS) -> OperationView:
        """Hand a card over by another operator than the one who took the application."""
        with self.sessions() as session:
            number = session.get_one(Card, card_id).number
            letter = unblock_letters.draw(session, card_id, box=self.letters, settings=SETTINGS, now=self.clock())
            sealed = seal_pins(self.desk.sealing_key.public_key, pins | letter, card_number=number)
            handover.request(
                session,
                card_id,
                actor=self.staff.second_operator,
                station_id=None,
                reader=None,
                sealed_pins=sealed,
                holder_checked=True,
                now=self.clock(),
            )
        (operation,) = self.work()
        return operation

    def trips(self, card_id: int) -> list[list[int]]:
        """How many commands each bundle had that was answered wholly or in part, session by session."""
        kept = select(JournalEntry.facts).where(
            JournalEntry.card_id == card_id, JournalEntry.kind == RecordKind.TRANSCRIPT.value
        )
        with self.sessions() as session:
            found = session.scalars(kept.order_by(JournalEntry.seq)).all()
        return [[len(trip["lines"]) for trip in facts["trips"]] for facts in found]

    def card(self, card_id: int) -> Card:
        """The card as it stands."""
        with self.sessions() as session:
            return session.get_one(Card, card_id)

    def application_of(self, card_id: int) -> Application:
        """The application behind a card as it stands."""
        with self.sessions() as session:
            return session.get_one(Application, session.get_one(Card, card_id).application_id)


def open_card_office(
    sessions: sessionmaker[Session], folder: Path, *, daily_capacity: int = 50, start: datetime = NOW
) -> CardOffice:
    """An office over an empty database, with a vault in `folder` and a new authority; its clock begins at `start`."""
    staff = open_office(sessions, daily_capacity=daily_capacity)
    vault = make_vault(folder / "vault")
    clock = Clock(start)
    randomness: Callable[[int], bytes] = random.Random(5).randbytes
    with sessions() as session:
        authority.create(session, vault, settings=SETTINGS, actor=system_actor("test"), now=clock(), random=randomness)
        ca = authority.open_authority(session, vault, settings=SETTINGS)
        signer = authority.document_signer(session, vault)
        session.rollback()
    profile = rules.card_profile(SETTINGS)
    bench = production_office.Bench(sessions, vault, ca, signer, profile, clock, randomness)
    desk = Desk(bench, anchors_of(bench), SealingKey(), partial(rules.card_profile, SETTINGS))
    return CardOffice(sessions, staff, desk, clock)
