"""The holder's letter with the code that unblocks the card: drawn for its hand-over, printed once, then gone.

What stands on it is drawn with the first request to hand the card over and is the same for every later one, so that a
torn hand-over is finished with the same code. Until the letter is printed its digits lie enciphered (AES-256-GCM, NIST
SP 800-38D) under a key of the web process: database and backups tell them to nobody. Of a code kept in two shares they
are the holder's alone, and the office's is not stored at all (`issuance.production.codes`).
"""

import logging
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from card_io.secret import Secret
from issuance.production import codes
from issuance.production.journal import Journal
from issuance.production.pin_profile import Keeping
from uec.domain.actors import Actor
from uec.domain.errors import NotFound, UecError
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Permission
from uec.services import journal
from uec.services.applicant_secret import RandomBytes
from uec.services.duties import Duty, refuse_second
from uec.services.operations import CardNotReady
from uec.services.rows import locked
from uec.services.rules import card_profile
from uec.settings import Settings
from uec.store import audit
from uec.store.tables import Card, UnblockLetter

NONCE_BYTES = 12
_log = logging.getLogger(__name__)


class LetterGone(UecError):
    """The letter was printed already, and there is no second one. Facts: `card` (number), `printed_at`."""

    code = "uec.letter_gone"


class LetterLocked(UecError):
    """The letter waits under another key than this web process has. Facts: `card` (number)."""

    code = "uec.letter_locked"


@dataclass(frozen=True)
class LetterBox:
    """What the web process keeps letters with: its key (32 bytes), and randomness."""

    key: bytes
    random: RandomBytes


@dataclass(frozen=True)
class Letter:
    """What is printed: for which card, the digits, whether they are all of the code, and how often one may err."""

    card_number: str
    digits: Secret
    kept: Keeping
    tries: int


@dataclass(frozen=True)
class LetterState:
    """Whether a card's letter waits to be printed, or when it was."""

    waits: bool
    printed_at: datetime | None


def draw(session: Session, card_id: int, *, box: LetterBox, settings: Settings, now: datetime) -> dict[str, Secret]:
    """What the letter will say of each unblock code, to be sealed to the hub with the PINs; the caller commits.

    The same digits for every request until the card is its holder's; none for a card that waits for no holder.
    """
    card = locked(session, Card, card_id)
    profile = card_profile(settings, card.profile)
    if card.state is not CardState.PERSONALISED or not profile.unblock_codes:
        return {}
    (code,) = profile.unblock_codes
    row = session.get(UnblockLetter, card_id)
    digits = _opened(row, card.number, box.key) if row else None
    if digits is None:
        digits = codes.draw(code.transport_digits, random=box.random)
        row = row or UnblockLetter(card_id=card_id)
        row.sealed, row.drawn_at = _sealed(digits, card.number, box), now
        session.add(row)
    return {code.name: digits}


def take(session: Session, card_id: int, *, box: LetterBox, settings: Settings, actor: Actor, now: datetime) -> Letter:
    """The letter of an active card, this once: its digits are gone when the caller commits.

    Raises `LetterGone` for a second time, `NotFound` for a card without a letter, `CardNotReady` before the card is
    its holder's or after it has ended, `LetterLocked` where the web has another key by now.
    """
    actor.require(Permission.HAND_OVER_CARD)
    card = locked(session, Card, card_id)
    refuse_second(session, card_id=card_id, actor=actor, duty=Duty.HAND_OVER)
    row = session.get(UnblockLetter, card_id)
    if row is None:
        raise NotFound("This card has no letter with a code.", kind="UnblockLetter", id=card_id)
    if row.printed_at is not None:
        raise LetterGone(
            f"The letter of card {card.number} was printed already; nobody can print it again: its code is kept "
            "nowhere else.",
            card=card.number,
            printed_at=row.printed_at,
        )
    (code,) = card_profile(settings, card.profile).unblock_codes
    kept = Journal(journal.records(session, card_id)).kept(code.name)
    if card.state is not CardState.ACTIVE or kept is None or row.sealed is None:
        raise CardNotReady(
            f"Card {card.number} is {card.state}: its letter cannot be printed.",
            card=card.number,
            state=card.state,
            kind="letter",
        )
    digits = _opened(row, card.number, box.key)
    if digits is None:
        raise LetterLocked(
            f"The letter of card {card.number} was kept under another secret key of the web: put the former "
            "`secret_key_file` back and print it then.",
            card=card.number,
        )
    _erase_printed(session, card, actor, now)
    return Letter(card.number, digits, kept, code.tries)


def state_of(session: Session, card_id: int) -> LetterState:
    """Whether the letter waits for the printer; a card without one, or that has ended, has none to wait."""
    columns = select(UnblockLetter.sealed.is_not(None), UnblockLetter.printed_at, Card.state)
    found = session.execute(
        columns.join(Card, Card.id == UnblockLetter.card_id).where(UnblockLetter.card_id == card_id)
    ).first()
    if found is None:
        return LetterState(waits=False, printed_at=None)
    sealed, printed_at, state = found
    return LetterState(waits=bool(sealed) and state is CardState.ACTIVE, printed_at=printed_at)


def _erase_printed(session: Session, card: Card, actor: Actor, now: datetime) -> None:
    """Let one of those who ask at once have it."""
    change = update(UnblockLetter).where(UnblockLetter.card_id == card.id, UnblockLetter.sealed.is_not(None))
    change = change.values(sealed=None, printed_at=now, printed_by=actor.staff_id).returning(UnblockLetter.card_id)
    if session.execute(change).first() is None:
        raise LetterGone(f"The letter of card {card.number} was printed just now.", card=card.number, printed_at=now)
    audit.record(
        session,
        actor=actor.reference,
        action="card.print_letter",
        subject_kind="card",
        subject_id=card.id,
        person_id=card.resident_id,
        now=now,
    )


def _sealed(digits: Secret, card_number: str, box: LetterBox) -> bytes:
    nonce = box.random(NONCE_BYTES)
    return nonce + AESGCM(box.key).encrypt(nonce, digits.reveal(), card_number.encode("ascii"))


def _opened(row: UnblockLetter, card_number: str, key: bytes) -> Secret | None:
    """The digits; None when they are gone, or when the web has another key by now."""
    if row.sealed is None:
        return None
    try:
        plain = AESGCM(key).decrypt(row.sealed[:NONCE_BYTES], row.sealed[NONCE_BYTES:], card_number.encode("ascii"))
    except InvalidTag:
        _log.warning("the letter of card %d is under another key of the web", row.card_id)
        return None
    return Secret(plain)
