"""Hands a card over: holder checked, card challenged, and the holder's own PINs replace those of transport.

The PINs come sealed to the hub's key (`issuance.production.sealing`) and are wiped when the operation ends; neither the
web process nor the database can read them. With them comes what the holder's letter will say (`unblock_letters`). A
PIN that stands empty is chosen at the reader's own keys, and never comes here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from issuance.production.pin_profile import PinProfile
from issuance.production.pins import pin_problem
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import OperationKind
from uec.domain.policy import Policy
from uec.services.card_looks import refuse_unseen
from uec.services.operations import request_operation
from uec.services.rows import present
from uec.services.rules import card_profile
from uec.settings import Settings
from uec.store.tables import Card

_MESSAGES = {"digits": "pin.digits", "length": "pin.length", "trivial": "pin.guessed"}


def request(
    session: Session,
    card_id: int,
    *,
    actor: Actor,
    station_id: int | None,
    reader: str | None,
    sealed_pins: bytes,
    holder_checked: bool,
    now: datetime,
) -> int:
    """Ask the hub to hand the card in the reader over; returns the operation's id.

    `holder_checked` is the operator's word that the person in front of the window is the holder. Raises
    `InvalidInput` without it, `NotLookedAt` while cards of its batch wait for a look, and whatever
    `request_operation` raises.
    """
    if not holder_checked:
        raise InvalidInput("Check the holder's document first, and confirm it.", field="holder_checked")
    refuse_unseen(session, present(session, Card, card_id))
    if not sealed_pins:
        raise InvalidInput("Let the holder choose the PINs first.", field="pin1")
    return request_operation(
        session,
        kind=OperationKind.HAND_OVER,
        card_id=card_id,
        station_id=station_id,
        reader=reader,
        actor=actor,
        sealed_pins=sealed_pins,
        now=now,
    )


def chosen_pins(session: Session, card_id: int, *, settings: Settings) -> tuple[PinProfile, ...]:
    """The PINs that the holder of this card chooses, by its profile: `pin1`, and `pin2` where there is one."""
    return card_profile(settings, present(session, Card, card_id).profile).chosen_pins


def narrowed(pin: PinProfile, policy: Policy) -> PinProfile:
    """The PIN with as many digits as both its card and the policy want; the card's own where these never meet."""
    by_policy = {"pin1": policy.pin1_digits, "pin2": policy.pin2_digits}
    low, high = by_policy.get(pin.name, (pin.min_digits, pin.max_digits))
    low, high = max(low, pin.min_digits), min(high, pin.max_digits)
    return replace(pin, min_digits=low, max_digits=high) if low <= high else pin


def chosen_at_readers(session: Session, card_id: int, *, settings: Settings) -> bool:
    """Whether the holder of this card may choose the PINs at a reader that has keys, by its profile."""
    chosen = card_profile(settings, present(session, Card, card_id).profile).chosen_pins
    return bool(chosen) and all(pin.pad is not None for pin in chosen)


def pin_errors(values: Mapping[str, str], pins: Sequence[PinProfile]) -> dict[str, str]:
    """What is wrong with the values chosen for these PINs, by field, as message keys: length, digits, easily guessed,
    both the same.

    The hub judges by the same rule (`issuance.production.pins`) before it touches the card.
    """
    problems = {pin.name: pin_problem(pin, values[pin.name]) for pin in pins}
    errors = {name: _MESSAGES[problem] for name, problem in problems.items() if problem is not None}
    if not errors and len(set(values.values())) < len(values):
        errors["pin2"] = "pin.same"
    return errors
