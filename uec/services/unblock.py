"""Unblocks a card at a window: its holder sets a forgotten or blocked PIN anew, by the code of the holder's letter.

Code and PIN come sealed to the hub's key and are wiped when the operation ends, as at the hand-over.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from issuance.production.journal import Journal
from issuance.production.pin_profile import Keeping, PinProfile
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import OperationKind
from uec.services import journal
from uec.services.duties import Duty, refuse_second
from uec.services.operations import request_operation
from uec.services.rows import present
from uec.services.rules import card_profile
from uec.settings import Settings
from uec.store.tables import Card


@dataclass(frozen=True)
class Asking:
    """What a window asks the holder for: one of these `pins`, and the `code` of so many `digits` that the letter says.

    `kept` is how the code is kept; None when the card was handed over without a letter, and the office has its code.
    `at_readers`: these PINs may be chosen at a reader that has keys of its own.
    """

    pins: tuple[PinProfile, ...]
    code: str
    digits: int
    kept: Keeping | None
    at_readers: bool = False


def asking(session: Session, card_id: int, *, settings: Settings) -> Asking:
    """What the holder of this card is asked for, by its profile and by what was done at its hand-over."""
    profile = card_profile(settings, present(session, Card, card_id).profile)
    (code,) = profile.unblock_codes
    kept = Journal(journal.records(session, card_id)).kept(code.name)
    pins = tuple(pin for pin in profile.chosen_pins if pin.unblocked_by == code.name)
    at_readers = all(pin.pad is not None for pin in pins)
    return Asking(pins, code.name, code.transport_digits, kept, at_readers)


def request(
    session: Session,
    card_id: int,
    *,
    actor: Actor,
    station_id: int | None,
    reader: str | None,
    sealed_pins: bytes,
    holder_checked: bool,
    settings: Settings,
    now: datetime,
) -> int:
    """Ask the hub to set a PIN of the card in the reader; returns the operation's id.

    `holder_checked` is the operator's word that the person in front of the window is the holder. Raises `InvalidInput`
    without it, `SamePerson` where no letter proves the holder and the operator had a hand in making the card, and
    whatever `request_operation` raises.
    """
    if not holder_checked:
        raise InvalidInput("Check the holder's document first, and confirm it.", field="holder_checked")
    if not sealed_pins:
        raise InvalidInput("Let the holder choose the PIN first.", field="new")
    if asking(session, card_id, settings=settings).kept is None:
        refuse_second(session, card_id=card_id, actor=actor, duty=Duty.HAND_OVER)
    return request_operation(
        session,
        kind=OperationKind.UNBLOCK,
        card_id=card_id,
        station_id=station_id,
        reader=reader,
        actor=actor,
        sealed_pins=sealed_pins,
        now=now,
    )
