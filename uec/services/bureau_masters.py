"""Which version of the card master a bureau's cards get, and which versions' keys each bureau holds.

A bureau gets card keys of an earlier version than the one in use, never of that one: a hand-over moves its cards to the
one in use, so that what the bureau knows of a card ends there. While there is no earlier version nothing is ordered.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from issuance.keys.port import KeyPurpose, KeyState, Vault
from uec.domain.bureau import BureauRefused
from uec.domain.lifecycle import CardState
from uec.services.key_rotation import NEEDED
from uec.store.tables import BureauCard, BureauChip, BureauOrder, Card, KeyVersion

_GIVEN = (CardState.ACTIVE, CardState.SUSPENDED)


@dataclass(frozen=True)
class HeldKeys:
    """Keys of one version of the card master at a bureau: on how many chips, and on how many cards they still open."""

    version: int
    chips: int
    cards: int
    given: int


def for_orders(vault: Vault) -> int:
    """The newest version before the one in use, as the vault says; raises `BureauRefused` when there is none."""
    infos = vault.describe(KeyPurpose.CARD_MASTER)
    return _earlier((info.ref.version, info.algorithm.value, info.state) for info in infos)


def require_known(session: Session) -> None:
    """The same by what the office was last told of the vault's keys; an office that was told nothing lets it pass."""
    known = select(KeyVersion.version, KeyVersion.algorithm, KeyVersion.state)
    rows = session.execute(known.where(KeyVersion.purpose == KeyPurpose.CARD_MASTER.value)).all()
    if rows:
        _earlier(rows)


def _earlier(masters: Iterable[tuple[int, str, KeyState]]) -> int:
    known = list(masters)
    used = {algorithm for _, algorithm, state in known if state is KeyState.ACTIVE}
    found = [version for version, algorithm, state in known if state is KeyState.RETIRED and algorithm in used]
    if not found:
        raise BureauRefused(
            "There is no card master before the one in use, and a bureau must not know keys that cards keep: make the "
            "next version by `uec keys rotate card-master` first.",
            finding="one-master",
        )
    return max(found)


def held(session: Session, bureau_id: int) -> list[HeldKeys]:
    """What a bureau was sent, newest version first.

    `chips`: their keys were sent. `cards`: not handed over yet, they still have them. `given`: handed over with them,
    as before a bureau's cards were moved; they move at their next visit (REKEY).
    """
    chips = (
        select(BureauOrder.key_version, func.count().label("chips"))
        .join(BureauChip, BureauChip.order_id == BureauOrder.id)
        .where(BureauOrder.bureau_id == bureau_id)
        .group_by(BureauOrder.key_version)
    )
    given = case((Card.state.in_(_GIVEN), 1), else_=0)
    cards = (
        select(BureauOrder.key_version, func.count(), func.sum(given))
        .join(BureauCard, BureauCard.order_id == BureauOrder.id)
        .join(Card, Card.id == BureauCard.card_id)
        .where(BureauOrder.bureau_id == bureau_id, Card.chip_id == BureauCard.chip_id)
        .where(Card.key_version == BureauOrder.key_version, Card.state.in_(NEEDED))
        .group_by(BureauOrder.key_version)
    )
    still = {version: (int(count), int(theirs)) for version, count, theirs in session.execute(cards)}
    rows = []
    for version, count in session.execute(chips):
        if version is not None:
            every, theirs = still.get(version, (0, 0))
            rows.append(HeldKeys(version, count, every - theirs, theirs))
    return sorted(rows, key=lambda row: row.version, reverse=True)
