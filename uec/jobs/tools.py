"""What jobs work with: settings, database, vault, registers, clock and chance of one worker process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.port import Vault
from uec.domain.policy import Policy
from uec.services import checks, phases
from uec.services.applicant_secret import RandomBytes
from uec.settings import Settings


@dataclass(frozen=True)
class Tools:
    """What jobs work with; `gateway` asks the registers, `clock` gives the present moment, `name` is the worker's.

    With `spread`, work that comes in parts is handed over to all workers instead of being done by one.
    """

    settings: Settings
    sessions: sessionmaker[Session]
    vault: Vault
    gateway: checks.Gateway
    clock: Callable[[], datetime]
    random: RandomBytes
    spread: bool = False
    name: str = ""


def policy_of(session: Session, tools: Tools) -> Policy:
    """The rules of this moment: those of the settings with every dated change of the office."""
    return phases.book(session, tools.settings.policy).at(tools.clock())
