"""Keys as the office sees them: versions, periods and uses as the vault last told, and how many cards each still holds.

The card master is changed by making the next version: new cards take it at once, and the old one goes on opening its
cards while they move over by PUT KEY. How many are left is counted in the cards themselves, so no count can drift.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from issuance.keys import periods
from issuance.keys.agreement import Finding
from issuance.keys.periods import Period
from issuance.keys.port import KeyAlgorithm, KeyInfo, KeyPurpose, KeyRef, KeyState, Vault
from issuance.production.bundle import RecordKind
from issuance.production.rekey import RekeyJob
from issuance.production.sighting import Sighting
from uec.domain.actors import Actor
from uec.domain.bureau import OrderedState, OrderState
from uec.domain.errors import NotFound, UecError
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Permission
from uec.services import journal, vault_memory
from uec.services.rows import present
from uec.store.tables import BureauCard, BureauOrder, Card, JournalEntry, KeyVersion

# Cards that may come to a reader of ours again; of an ended one nothing is ever asked.
NEEDED = (CardState.WRITING, CardState.PERSONALISED, CardState.ACTIVE, CardState.SUSPENDED)
# Orders whose cards a bureau makes now, with keys it was sent.
AT_BUREAU = (OrderState.SENT, OrderState.ACCEPTED)


class CardsLeft(UecError):
    """Cards still hold keys of this version. Facts: `purpose`, `version`, `count`."""

    code = "uec.cards_left"


@dataclass(frozen=True)
class KeyRow:
    """A key version on the office's page; `cards` is None for a purpose whose keys are in no card."""

    purpose: KeyPurpose
    version: int
    algorithm: str
    state: KeyState
    check_value: str
    uses: int
    created_at: datetime
    expires_at: datetime | None
    period: Period
    cards: int | None


@dataclass(frozen=True)
class KeyPage:
    """All key versions, when the vault last told about them, and how the move to the newest card master stands.

    `doubt` says how the vault and this database disagree, when one of them was restored from an older copy.
    """

    rows: tuple[KeyRow, ...]
    noted_at: datetime | None
    moving: int
    moved: int
    doubt: Finding | None


def note(session: Session, keys: Sequence[KeyInfo], *, now: datetime) -> None:
    """Put what the vault tells in the place of what was known; the caller commits."""
    session.execute(delete(KeyVersion).execution_options(synchronize_session="fetch"))
    session.add_all(
        KeyVersion(
            purpose=info.ref.purpose.value,
            version=info.ref.version,
            algorithm=info.algorithm.value,
            state=info.state,
            check_value=info.check_value,
            uses=info.uses,
            created_at=info.created_at,
            expires_at=info.expires_at,
            noted_at=now,
        )
        for info in keys
    )
    session.flush()


def refresh(session: Session, vault: Vault, *, now: datetime) -> list[str]:
    """Ask the vault and note what it tells; returns a sentence for every key whose period ends soon or is over."""
    keys = vault.describe()
    note(session, keys, now=now)
    session.commit()
    said = {Period.OVER: "ended", Period.ENDING: "ends"}
    found = [(info, periods.judge(info, now)) for info in keys]
    return [
        f"{info.ref.purpose} version {info.ref.version} {said[where]} on {info.expires_at:%Y-%m-%d}"
        for info, where in found
        if where in said
    ]


def cards_by_version(session: Session) -> dict[int, int]:
    """How many cards that may still come to a reader hold keys of each version of the card master.

    Those count as well that a bureau is making with keys it was sent.
    """
    held = select(Card.key_version, func.count()).where(Card.key_version.is_not(None), Card.state.in_(NEEDED))
    made = select(BureauOrder.key_version, func.count()).join(BureauCard, BureauCard.order_id == BureauOrder.id)
    made = made.where(
        BureauOrder.state.in_(AT_BUREAU), BureauCard.state == OrderedState.ORDERED, BureauOrder.key_version.is_not(None)
    )
    counted: Counter[int] = Counter()
    for found in (held.group_by(Card.key_version), made.group_by(BureauOrder.key_version)):
        counted.update({int(version): count for version, count in session.execute(found) if version})
    return dict(counted)


def page(session: Session, *, actor: Actor, now: datetime) -> KeyPage:
    """What the page of keys shows; raises `Forbidden` for whoever may not see it."""
    actor.require(Permission.VIEW_KEYS)
    cards = cards_by_version(session)
    known = session.scalars(select(KeyVersion).order_by(KeyVersion.purpose, KeyVersion.version.desc())).all()
    rows = tuple(_row(key, cards, now) for key in known)
    active = next((row.version for row in rows if _is_master(row) and row.state is KeyState.ACTIVE), None)
    moving = sum(count for version, count in cards.items() if version != active) if active else 0
    return KeyPage(
        rows=rows,
        noted_at=max((key.noted_at for key in known), default=None),
        moving=moving,
        moved=cards.get(active, 0) if active else 0,
        doubt=vault_memory.doubt(session),
    )


def require_no_cards(session: Session, ref: KeyRef) -> None:
    """Raise `CardsLeft` for a version of the card master that cards still hold."""
    if ref.purpose is not KeyPurpose.CARD_MASTER:
        return
    count = cards_by_version(session).get(ref.version, 0)
    if count:
        raise CardsLeft(
            f"{count} cards still hold keys of {ref.purpose} version {ref.version}: move them to the newest version "
            "first. Whoever takes it out of use all the same can never open those cards again: --cards-left says so.",
            purpose=ref.purpose.value,
            version=ref.version,
            count=count,
        )


def require_no_codes(session: Session, ref: KeyRef) -> None:
    """Raise `CardsLeft` for a version of the PIN master that cards in use were made with.

    Transport PINs derive from it, the office's share of a code that unblocks, and the codes of cards without a letter.
    """
    if ref.purpose is not KeyPurpose.PIN_MASTER:
        return
    made = select(JournalEntry.card_id).where(
        JournalEntry.kind == RecordKind.FINISH_INTENT.value,
        JournalEntry.facts["pin_master"].as_integer() == ref.version,
    )
    count = session.scalar(select(func.count()).where(Card.state.in_(NEEDED), Card.id.in_(made))) or 0
    if count:
        raise CardsLeft(
            f"{count} cards in use were made with {ref.purpose} version {ref.version}: without it they can neither be "
            "handed over nor unblocked by the office. Whoever destroys it all the same says so: --cards-left.",
            purpose=ref.purpose.value,
            version=ref.version,
            count=count,
        )


def _is_master(row: KeyRow) -> bool:
    return row.purpose is KeyPurpose.CARD_MASTER


def _row(key: KeyVersion, cards: dict[int, int], now: datetime) -> KeyRow:
    purpose = KeyPurpose(key.purpose)
    info = KeyInfo(
        KeyRef(purpose, key.version),
        KeyAlgorithm(key.algorithm),
        key.state,
        key.created_at,
        key.check_value,
        key.uses,
        key.expires_at,
    )
    return KeyRow(
        purpose=purpose,
        version=key.version,
        algorithm=key.algorithm,
        state=key.state,
        check_value=key.check_value,
        uses=key.uses,
        created_at=key.created_at,
        expires_at=key.expires_at,
        period=periods.judge(info, now),
        cards=cards.get(key.version, 0) if purpose is KeyPurpose.CARD_MASTER else None,
    )


def rekey_job(session: Session, card_id: int, vault: Vault, *, seen: Sighting | None = None) -> RekeyJob:
    """The order to move a card to the active card master; `seen` lies in the reader.

    Raises `NotFound` for a card that was never written.
    """
    card = present(session, Card, card_id)
    if card.chip_id is None:
        raise NotFound(f"Card {card.number} has never been written: personalise it first.", kind="chip", id=card.number)
    return RekeyJob(
        card_number=card.number,
        chip_id=card.chip_id,
        card_master=vault.active(KeyPurpose.CARD_MASTER),
        journal=journal.records(session, card_id),
        seen=seen,
    )
