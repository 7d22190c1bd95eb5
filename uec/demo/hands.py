"""The demo's hands at a card: put it into a reader and wait for the hub, or run the same work in this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.orm import Session, sessionmaker

from card_io.secret import Secret
from card_io.virtual.connection import InProcessConnection
from issuance.production.drivers import run_local
from issuance.production.relay import OpenedSlot
from issuance.production.sealing import seal_pins
from uec.demo.tray import Tray
from uec.domain.errors import UecError
from uec.domain.lifecycle import OperationState
from uec.services import operations
from uec.services.card_sessions import Desk, do_operation
from uec.services.views import OperationView, StationView
from uec.store.engine import reading

POLL_S = 0.05
OPERATION_TIMEOUT_S = 60.0
ENDED = (OperationState.DONE, OperationState.FAILED, OperationState.CANCELLED)


class Hands(Protocol):
    """Does operations that were asked for, on the chip that is or becomes the card."""

    @property
    def tray(self) -> Tray:
        """Where the cards lie."""

    @property
    def station_id(self) -> int | None:
        """The station operations are asked for at."""

    @property
    def lanes(self) -> int:
        """How many cards can be worked on side by side."""

    def reader(self, lane: int) -> str | None:
        """The reader that operations of this lane (from 0) are asked for in."""

    def seal(self, pins: dict[str, Secret], card_number: str) -> bytes:
        """The holder's PINs, sealed to whoever does the operation."""

    def work(self, operation_id: int, card_id: int, *, lane: int) -> OperationView:
        """See the operation through, with the card's chip at hand; returns how it ended."""


@dataclass
class LocalHands:
    """Cards in this process; the vault is asked as the hub asks it."""

    desk: Desk
    tray: Tray
    chips: dict[int, str] = field(default_factory=dict)
    station_id: int | None = None
    lanes: int = 1

    def reader(self, lane: int) -> str | None:
        """None: the chip is in no reader."""
        return None

    def seal(self, pins: dict[str, Secret], card_number: str) -> bytes:
        """Seal to this process."""
        return seal_pins(self.desk.sealing_key.public_key, pins, card_number=card_number)

    def work(self, operation_id: int, card_id: int, *, lane: int) -> OperationView:
        """Claim the operation and do it on the card's own chip, a new blank for a new card."""
        bench = self.desk.bench
        with bench.sessions() as session:
            claimed = operations.claim_operation(session, now=bench.clock(), operation_id=operation_id)
        if claimed is None:
            with reading(bench.sessions) as session:
                return operations.operation(session, operation_id)
        chip = self.tray.load(_chip(self.chips, card_id, self.tray))
        slot = OpenedSlot(lambda: InProcessConnection(chip))
        return do_operation(self.desk, claimed, lambda start, office: run_local(start(), slot, office))


@dataclass
class StationHands:
    """Cards put into the virtual PC/SC reader of a real station; the hub does the work."""

    sessions: sessionmaker[Session]
    tray: Tray
    station: StationView
    hub_key: Callable[[], bytes]
    alive: Callable[[], None]
    chips: dict[int, str] = field(default_factory=dict)

    @property
    def station_id(self) -> int:
        """The station that is connected."""
        return self.station.id

    @property
    def lanes(self) -> int:
        """One a reader."""
        return len(self.tray.readers)

    def reader(self, lane: int) -> str:
        """Its readers in order."""
        return str(self.tray.readers[lane])

    def seal(self, pins: dict[str, Secret], card_number: str) -> bytes:
        """Seal to the hub, as the page does."""
        return seal_pins(self.hub_key(), pins, card_number=card_number)

    def work(self, operation_id: int, card_id: int, *, lane: int) -> OperationView:
        """Put the card's chip into the lane's reader, wait until the hub is done, take it out."""
        self.tray.insert(lane, _chip(self.chips, card_id, self.tray))
        try:
            deadline = time.monotonic() + OPERATION_TIMEOUT_S
            while time.monotonic() < deadline:
                self.alive()
                with reading(self.sessions) as session:
                    view = operations.operation(session, operation_id)
                if view.state in ENDED:
                    return view
                time.sleep(POLL_S)
        finally:
            self.tray.remove(lane)
        raise UecError(
            f"Operation {operation_id} did not end within {OPERATION_TIMEOUT_S:.0f} s: look at the hub's log."
        )


def _chip(chips: dict[int, str], card_id: int, tray: Tray) -> str:
    """The chip that is this card on the tray; a blank from the maker when there is none yet."""
    if card_id not in chips:
        chips[card_id] = tray.blank()
    return chips[card_id]
