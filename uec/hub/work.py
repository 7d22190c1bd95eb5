"""One card operation, from its claim to its end: builds the order, runs the generator over the station's link.

When the card, the reader or the link goes away in the middle, the operation waits a little for the same reader to hold
a card again and goes on from the journal; then it fails with a sentence for the person at the window. PINs of a holder
are opened here, in memory, and forgotten with the operation.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.errors import CardError
from issuance.errors import IssuanceError
from issuance.keys.port import Vault
from issuance.production.anchors import Anchors
from issuance.production.asking import Talk
from issuance.production.bundle import Answers, Progress, Send
from issuance.production.check import look, run_look
from issuance.production.drivers import drive
from issuance.production.errors import CardLost
from issuance.production.handover import hand_over
from issuance.production.inspect import inspect
from issuance.production.job import HandedOver
from issuance.production.judge import CardReport
from issuance.production.make import make
from issuance.production.sealing import SealingKey, open_pins
from issuance.production.transcript import Transcript
from uec.domain.errors import UecError
from uec.domain.lifecycle import OperationKind
from uec.hub.links import StationLink
from uec.services import authority, card_jobs, operations
from uec.services.applicant_secret import RandomBytes
from uec.services.production_office import Bench, DatabaseOffice, document_signer
from uec.services.rules import card_profile
from uec.services.views import OperationView
from uec.settings import Settings
from uec.store.engine import reading
from uec.store.tables import Application, Card, CardOperation

RETURNS_MAX = 3
RETURN_WAIT_S = 30.0
LOOK_S = 0.1
PUT_BACK = "put_card_back"

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """What all operations of a hub share."""

    settings: Settings
    sessions: sessionmaker[Session]
    vault: Vault
    sealing_key: SealingKey
    clock: Callable[[], datetime]
    random: RandomBytes
    stop: threading.Event
    return_wait_s: float = RETURN_WAIT_S

    def bench(self, profile_name: str) -> Bench:
        """Vault, authority and profile for cards of one kind; asks the vault, so it may fail while that is locked."""
        with self.sessions() as session:
            return Bench(
                sessions=self.sessions,
                vault=self.vault,
                ca=authority.open_authority(session, self.vault, settings=self.settings),
                document_signer=document_signer(session, self.vault),
                profile=card_profile(self.settings, profile_name),
                clock=self.clock,
                random=self.random,
            )

    def anchors(self) -> Anchors:
        """What a card is judged by."""
        with reading(self.sessions) as session:
            known = authority.certificates(session)
        return Anchors.of(known.root, (known.issuing,), authority.ca_config(self.settings).policy_arc)


def perform(workshop: Workshop, operation: OperationView, link: StationLink, reader: str) -> None:
    """Do an operation in a reader that was taken for it, and close it, well or not."""
    try:
        result = _Run(workshop, operation, link, reader).result()
    except (IssuanceError, UecError, CardError) as error:
        log.warning("operation %d failed: %s", operation.id, error.code)
        with workshop.sessions() as session:
            operations.fail_operation(session, operation.id, code=error.code, text=str(error), now=workshop.clock())
    else:
        with workshop.sessions() as session:
            operations.finish_operation(session, operation.id, result=result, now=workshop.clock())
    finally:
        link.give_back(reader)


class _Run:
    """One operation in one reader."""

    def __init__(self, workshop: Workshop, operation: OperationView, link: StationLink, reader: str) -> None:
        self._workshop = workshop
        self._operation = operation
        self._link = link
        self._reader = reader
        self._kinds: dict[OperationKind, Callable[[Card], dict[str, object]]] = {
            OperationKind.PERSONALISE: self._personalise,
            OperationKind.INSPECT: self._inspect,
            OperationKind.HAND_OVER: self._hand_over,
        }

    def result(self) -> dict[str, object]:
        """Do it; what the page is told in the end."""
        if self._operation.card_id is None:
            return self._read()
        with reading(self._workshop.sessions) as session:
            card = session.get_one(Card, self._operation.card_id)
        return self._kinds[self._operation.kind](card) if self._operation.kind in self._kinds else self._read()

    def _personalise(self, card: Card) -> dict[str, object]:
        bench, anchors = self._workshop.bench(card.profile), self._workshop.anchors()

        def talk() -> Talk[CardReport]:
            with reading(bench.sessions) as session:
                job = card_jobs.card_job(session, card.id, bench.vault)
            return make(job, bench.profile, anchors, clock=bench.clock, random=bench.random)

        report, transcript = self._drive(talk, bench, card.id)
        return self._told(card, transcript) | {"genuine": report.genuine, "chip_id": report.chip_id}

    def _inspect(self, card: Card) -> dict[str, object]:
        bench, anchors = self._workshop.bench(card.profile), self._workshop.anchors()

        def talk() -> Talk[CardReport]:
            with reading(bench.sessions) as session:
                job = card_jobs.inspection_job(session, card.id)
            return inspect(job, bench.profile, anchors, now=bench.clock(), random=bench.random)

        report, transcript = self._drive(talk, bench, card.id)
        return self._told(card, transcript) | {"genuine": report.genuine, "chip_id": report.chip_id}

    def _hand_over(self, card: Card) -> dict[str, object]:
        bench = self._workshop.bench(card.profile)
        with reading(bench.sessions) as session:
            sealed = session.scalar(select(CardOperation.sealed_pins).where(CardOperation.id == self._operation.id))
            number = session.get_one(Application, card.application_id).number
        pins = open_pins(self._workshop.sealing_key, sealed or b"", card_number=card.number)

        def talk() -> Talk[HandedOver]:
            with reading(bench.sessions) as session:
                slot = bench.profile.card_key.name
                job = card_jobs.hand_over_job(session, card.id, card_key_slot=slot, pins=pins)
            return hand_over(job, bench.profile, random=bench.random)

        _, transcript = self._drive(talk, bench, card.id)
        return self._told(card, transcript) | {"receipt": number}

    def _read(self) -> dict[str, object]:
        """Look at whatever card lies there, as a terminal would: no PIN, nothing recorded on its card."""
        workshop = self._workshop
        profile = card_profile(workshop.settings)
        report = run_look(
            look(profile, workshop.anchors(), now=workshop.clock(), random=workshop.random), self._exchange
        )
        with reading(workshop.sessions) as session:
            newest = select(Card.id, Card.number).where(Card.chip_id == report.chip_id).order_by(Card.id.desc())
            known = session.execute(newest.limit(1)).first()
        return {
            "chip_id": report.chip_id,
            "genuine": report.genuine,
            "card_id": known.id if known else None,
            "card_number": known.number if known else None,
            "findings": [
                {"check": finding.check, "ok": finding.ok, "reason": finding.reason} for finding in report.findings
            ],
        }

    def _told(self, card: Card, transcript: Transcript) -> dict[str, object]:
        return {
            "card_number": card.number,
            "round_trips": transcript.round_trips,
            "commands": transcript.commands,
            "station": self._link.name,
            "reader": self._reader,
        }

    def _drive(self, talk: Callable[[], Talk[T]], bench: Bench, card_id: int) -> tuple[T, Transcript]:
        """Run it, and again from the journal when the card went away and came back."""
        office = DatabaseOffice(bench, card_id, operation_id=self._operation.id)
        for attempt in range(RETURNS_MAX + 1):
            transcript = Transcript(self._link.attest)
            try:
                return drive(talk(), self._exchange, office, transcript=transcript), transcript
            except CardLost:
                if attempt == RETURNS_MAX or not self._card_returns(office):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _exchange(self, bundle: Send) -> Answers:
        return self._link.exchange(self._reader, bundle)

    def _card_returns(self, office: DatabaseOffice) -> bool:
        """Ask for the card and wait for it."""
        office.progress(Progress(0, 0, PUT_BACK))
        deadline = time.monotonic() + self._workshop.return_wait_s
        while time.monotonic() < deadline and not self._workshop.stop.is_set():
            if self._link.has_card(self._reader):
                return True
            time.sleep(LOOK_S)
        return False
