"""One card operation in a station's reader, from its claim to its end.

When the card, the reader or the link goes away in the middle, the operation says what is missing and waits a little for
the same reader to hold a card again, then goes on from the journal. After that it fails with a sentence for the person
at the window; but where only the link is missing, which is nobody's fault there, it goes back into the queue and waits
for its station. What is done to the card is `uec.services.card_sessions`; here is only the way to it.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import IssuanceError
from issuance.keys.port import Vault
from issuance.production.asking import Talk
from issuance.production.bundle import Answers, Fault, Progress, Send
from issuance.production.drivers import drive
from issuance.production.errors import CardLost
from issuance.production.office import OfficePort
from issuance.production.sealing import SealingKey
from issuance.production.transcript import Transcript
from uec.domain.errors import StoreUnavailable, UecError
from uec.domain.lifecycle import OperationKind
from uec.hub.links import StationLink
from uec.services import authority, operations
from uec.services.applicant_secret import RandomBytes
from uec.services.card_sessions import Desk, anchors_of, do_operation
from uec.services.journal_writer import JournalWriter
from uec.services.operation_recovery import SEALED
from uec.services.production_office import Bench
from uec.services.rules import card_profile
from uec.services.views import OperationView
from uec.settings import Settings
from uec.store.engine import reading
from uec.store.tables import Card

RETURNS_MAX = 3
RETURN_WAIT_S = 30.0
SETTLE_S = 2.0
"""How long a station may take to notice that a card, which a command missed already, is out."""
LOOK_S = 0.1
PUT_BACK, PLUG_IN, LINK_AWAY = "put_card_back", "plug_reader_in", "link_away"
"""What a waiting operation asks for: the card, the reader, the station's network."""
WRITING = frozenset(OperationKind) - {OperationKind.READ}
"""Work in which secrets of the card cross the station where no secure channel hides them."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class StationNotTrusted(UecError):
    """Keys of this card would cross a station that may not see them. Facts: `station`, `profile`."""

    code = "uec.station_not_trusted"


class HubStopping(Exception):
    """The hub ends in the middle of an operation, which is left to the next one as if this one had been killed."""


class StationAway(UecError):
    """The station lost its link to the hub in the middle of work that cannot wait. Facts: `station`."""

    code = "uec.station_away"


class StationGone(Exception):
    """The station is linked to another hub by now, or to none: its work goes back into the queue."""


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
    writer: JournalWriter
    return_wait_s: float = RETURN_WAIT_S

    def desk(self, card_id: int | None) -> Desk:
        """Vault, authority and profile for a card's session; asks the vault, so it may fail while that is locked."""
        with reading(self.sessions) as session:
            named = select(Card.profile).where(Card.id == card_id)
            profile = card_profile(self.settings, session.scalar(named) or "")
            bench = Bench(
                sessions=self.sessions,
                vault=self.vault,
                ca=authority.open_authority(session, self.vault, settings=self.settings),
                document_signer=authority.document_signer(session, self.vault),
                profile=profile,
                clock=self.clock,
                random=self.random,
                writer=self.writer,
                zone=self.settings.policy.zone,
            )
        return Desk(bench, anchors_of(bench), self.sealing_key, partial(card_profile, self.settings))


def perform(workshop: Workshop, operation: OperationView, link: StationLink, reader: str) -> None:
    """Do an operation in a reader that was taken for it, and close it, well or not.

    Raises `HubStopping` when the hub ends first, `StationGone` when the station went to another one or nowhere,
    `StoreUnavailable` when the database goes; the operation then stays running, to be settled.
    """

    def fail(error: IssuanceError | UecError) -> None:
        with workshop.sessions() as session:
            operations.fail_operation(session, operation.id, code=error.code, text=str(error), now=workshop.clock())

    try:
        desk = replace(workshop.desk(operation.card_id), seen=partial(link.sighting, reader))
        _require_trust(desk, operation, link)
        ended = do_operation(
            desk, operation, _InReader(workshop, link, reader, about=_about(workshop, operation, link))
        )
    except StoreUnavailable:
        raise
    except StationGone:
        if operation.kind not in SEALED:
            raise
        # The holder waits at the window, and the PINs are sealed to this hub.
        fail(
            StationAway(
                f"Station {link.name} lost its link to the office: let the holder enter the PINs again.",
                station=link.name,
            )
        )
    except (IssuanceError, UecError) as error:
        # No session was begun: the vault is locked, or there is no authority or no such profile.
        fail(error)
    else:
        log.info("operation %d is %s %s", ended.id, ended.state, ended.error_code or "")
    finally:
        link.give_back(reader)


def _require_trust(desk: Desk, operation: OperationView, link: StationLink) -> None:
    """Raise `StationNotTrusted` before secrets of a card without secure channel cross just any station."""
    if operation.kind in WRITING and not desk.bench.profile.trusts(link.name):
        profile = desk.bench.profile.name
        raise StationNotTrusted(
            f"Cards of profile {profile} have no secure channel, and station {link.name} is not trusted with "
            "their keys: go to a trusted one, or name this one in the profile.",
            station=link.name,
            profile=profile,
        )


def _about(workshop: Workshop, operation: OperationView, link: StationLink) -> dict[str, object]:
    """What the evidence of this work says of itself."""
    with reading(workshop.sessions) as session:
        number = session.scalar(select(Card.number).where(Card.id == operation.card_id))
    return {"card": number, "operation": operation.id, "work": operation.kind.value, "station": link.name}


class _InReader:
    """Runs generators over a link, and again from the journal when the card went away and came back."""

    def __init__(self, workshop: Workshop, link: StationLink, reader: str, *, about: Mapping[str, object]) -> None:
        self._workshop = workshop
        self._link = link
        self._reader = reader
        self._about = {**about, "reader": reader}

    def __call__(self, start: Callable[[], Talk[T]], office: OfficePort) -> T:
        """The generator's result, or its error."""
        returns = 0
        while True:
            insertion = self._link.begin(self._reader)
            try:
                return drive(start(), self._exchange, office, transcript=self._transcript())
            except CardLost as lost:
                if self._workshop.stop.is_set():
                    raise HubStopping from lost
                returns += 1
                by_link = lost.fault == Fault.LINK_LOST.value
                if returns > RETURNS_MAX and by_link:
                    raise StationAway(
                        f"The link to station {self._link.name} broke off again and again: see to its network.",
                        station=self._link.name,
                    ) from lost
                if returns > RETURNS_MAX or not self._card_returns(office, None if by_link else insertion):
                    raise

    def _transcript(self) -> Transcript:
        """Of a session that begins now."""
        begun = self._workshop.clock().astimezone(UTC).isoformat(timespec="seconds")
        return Transcript(self._link.attest, about={**self._about, "begun": begun})

    def _exchange(self, bundle: Send) -> Answers:
        return self._link.exchange(self._reader, bundle)

    def _card_returns(self, office: OfficePort, insertion: int | None) -> bool:
        """Ask for what is missing and wait for a card; `insertion` is the one it was lost from, if it was the card.

        The station notices a pulled card a moment after the command that missed it, so the same insertion counts as a
        card that lies there only after that moment. Raises `StationGone` when the link was still away at the end.
        """
        begun, told = time.monotonic(), ""
        while time.monotonic() - begun < self._workshop.return_wait_s:
            if self._workshop.stop.is_set():
                raise HubStopping
            if self._link.moved:
                raise StationGone
            there = self._link.insertion(self._reader)
            if there is not None and (there != insertion or time.monotonic() - begun > SETTLE_S):
                return True
            if told != (missing := self._missing()):
                told = missing
                office.progress(Progress(0, 0, missing))
            time.sleep(LOOK_S)
        if not self._link.reported:
            raise StationGone
        return False

    def _missing(self) -> str:
        if not self._link.reported:
            return LINK_AWAY
        return PUT_BACK if any(one.name == self._reader for one in self._link.readers) else PLUG_IN
