"""What the demo's main job has at hand: the database, the actors by login, waiting for workers, and hands for cards."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from secrets import token_bytes

from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.production.sealing import SealingKey
from uec.demo.hands import Hands, LocalHands, StationHands
from uec.demo.tray import Tray
from uec.domain.actors import Actor
from uec.domain.errors import UecError
from uec.services import authority, production_office, rules, schedule, staff, stations
from uec.services.card_sessions import Desk, anchors_of
from uec.services.unblock_letters import LetterBox
from uec.settings import Settings
from uec.store.engine import reading
from uec.web import letters
from uec.web.context import load_key

WAIT_S = 90.0
POLL_S = 0.1


class MainJobFailed(UecError):
    """A step of the main job did not happen, so that nothing after it can."""

    code = "demo.main_job"


class DemoOffice:
    """The office as somebody in it sees it."""

    def __init__(
        self, settings: Settings, sessions: sessionmaker[Session], alive: Callable[[], None] = lambda: None
    ) -> None:
        """Bind to an installed office; `alive` raises when one of its processes has ended."""
        self.settings, self.sessions, self.alive = settings, sessions, alive

    def now(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC)

    def letter_box(self) -> LetterBox:
        """What the office's web process keeps letters with."""
        return letters.box_of(load_key(self.settings.secret_key_file), token_bytes)

    def actor(self, login: str) -> Actor:
        """A member of staff, as signed in; raises `NotFound` for a login that is not there."""
        with reading(self.sessions) as session:
            actor = staff.actor_of(session, staff.find(session, login).id)
        if actor is None:
            raise MainJobFailed(f"{login} may not sign in: make the demo anew.")
        return actor

    def trigger(self, job: str) -> None:
        """Have a worker do a job now rather than by its rhythm."""
        with self.sessions() as session:
            schedule.trigger(session, job, self.now(), now=self.now())

    def until(self, holds: Callable[[Session], bool], what: str, *, job: str | None = None) -> None:
        """Wait for the workers; raises `MainJobFailed` when it takes too long. `job` is triggered now and then."""
        deadline = time.monotonic() + WAIT_S
        while True:
            if job:
                self.trigger(job)
            again = time.monotonic() + 2.0
            while time.monotonic() < again:
                self.alive()
                with reading(self.sessions) as session:
                    if holds(session):
                        return
                time.sleep(POLL_S)
            if time.monotonic() > deadline:
                raise MainJobFailed(f"{what} within {WAIT_S:.0f} s did not happen: look at the worker's log.")


def open_hands(office: DemoOffice, tray: Tray, transport: str, stack: ExitStack) -> Hands:
    """Hands for cards: at a connected station, or in this process."""
    if transport == "pcsc":
        with reading(office.sessions) as session:
            online = [one for one in stations.list_stations(session, now=office.now()) if one.online]
        if not online:
            raise MainJobFailed("No station is connected: look at the logs of station and hub.")
        return StationHands(office.sessions, tray, online[0], lambda: _hub_key(office), office.alive)
    vault = stack.enter_context(VaultClient(office.settings.vault_socket, ClientKind.HUB))
    with reading(office.sessions) as session:
        bench = production_office.Bench(
            sessions=office.sessions,
            vault=vault,
            ca=authority.open_authority(session, vault, settings=office.settings),
            document_signer=authority.document_signer(session, vault),
            profile=rules.card_profile(office.settings),
            clock=office.now,
            random=token_bytes,
            zone=office.settings.policy.zone,
        )
    return LocalHands(Desk(bench, anchors_of(bench), SealingKey(), partial(rules.card_profile, office.settings)), tray)


def _hub_key(office: DemoOffice) -> bytes:
    with reading(office.sessions) as session:
        return stations.hub_public_key(session, now=office.now())
