"""What a bureau reports of its cards, checked and written down: keys, chips, spoiled blanks, consignments.

A file that says anything untrue counts for nothing (`bureau_checks`). A card that fails is rejected: its blank is
spoiled, its request goes to the front of the queue again by itself. The others get the journal that a station would
have written, so that a window goes on with them as with any card begun.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from issuance.bureau.records import RecordReader
from issuance.bureau.reply import Made
from issuance.production.bundle import Record, RecordKind
from uec.domain.actors import Actor
from uec.domain.bureau import (
    ORDER,
    ORDERED,
    BureauRefused,
    Certificates,
    OrderedEvent,
    OrderedState,
    OrderEvent,
    OrderState,
)
from uec.domain.lifecycle import advance
from uec.services import bureau_blanks, journal
from uec.services.bureau_checks import (
    Measure,
    OrderedCard,
    Report,
    free_chips,
    made_cards,
    ordered_cards,
    read,
    require_ordered,
    unfit_cards,
)
from uec.services.bureau_orders import parts, tell
from uec.services.bureau_rejecting import reject
from uec.services.bureau_shared_keys import key_digests
from uec.services.rows import present
from uec.store.tables import (
    Bureau,
    BureauCard,
    BureauChip,
    BureauConsignment,
    BureauKey,
    BureauOrder,
    Card,
    JournalEntry,
)

MAKER_KVN = 0xFF
AT_ONCE = 500
"""Cards that are written down by one statement each; more of them are not in memory."""


def apply(
    session: Session,
    row: BureauOrder,
    stream: BinaryIO,
    *,
    measure: Measure,
    actor: Actor,
    now: datetime,
) -> Mapping[str, Any]:
    """Write down what results say of an accepted order; returns counts. The caller commits.

    Raises `BureauRefused`, with nothing written that a rollback would not undo.
    """
    if row.state is not OrderState.ACCEPTED:
        raise BureauRefused(f"Order {row.number} is {row.state}: no results are awaited.", finding="not-awaited")
    start = stream.tell()
    report = read(RecordReader(stream))
    ordered = {one.number: one for one in ordered_cards(session, row.id)}
    chips = free_chips(session, row.id)
    require_ordered(report, ordered, chips)
    unfit = unfit_cards(session, row, lambda: made_cards(stream, start=start), ordered, chips, measure)
    good = (made for made in made_cards(stream, start=start) if made.number not in unfit)
    _write_down(session, row, good, ordered, actor, now)
    store_id = present(session, Bureau, row.bureau_id).store_id
    bureau_blanks.spoil(session, store_id, row.id, _spoiled(report, unfit), actor=actor, now=now)
    for number, reason in (report.not_made | unfit).items():
        one = ordered[number]
        reject(session, one.row_id, one.card_id, state=one.state, reason=reason, actor=actor, now=now)
    _finish(session, report.finished, ordered, now)
    _ship(session, row, report, ordered, now)
    _complete_if_done(session, row, actor, now)
    counts = {
        "made": len(report.made) - len(unfit),
        "rejected": len(unfit),
        "not_made": len(report.not_made),
        "blanks_spoiled": len(report.spoiled),
        "finished": len(report.finished),
        "consignments": len(report.shipped),
        "findings": dict(Counter(reason.partition(":")[0] for reason in unfit.values())),
    }
    tell(session, row, "results", actor, now, **counts)
    return counts


def _write_down(
    session: Session,
    row: BureauOrder,
    good: Iterator[Made],
    ordered: Mapping[str, OrderedCard],
    actor: Actor,
    now: datetime,
) -> None:
    """Chips, keys and journal of the cards that are good, set by set."""
    store_id = present(session, Bureau, row.bureau_id).store_id
    while made := list(islice(good, AT_ONCE)):
        pairs = [(ordered[one.number], one) for one in made]
        _bind(session, row, pairs)
        session.execute(
            insert(BureauKey),
            [
                {"digest": digest, "card_id": card.card_id, "slot": slot}
                for card, one in pairs
                for slot, digest in key_digests(one)
            ],
        )
        _keep_journal(session, row, pairs, now)
        claimed = [(one.chip_id.hex(), card.card_id) for card, one in pairs]
        bureau_blanks.claim(session, store_id, claimed, actor=actor, now=now)


_Pairs = Sequence[tuple[OrderedCard, Made]]
_CARD = (
    update(Card.__table__)  # type: ignore[arg-type]
    .where(Card.id == bindparam("this"))
    .values(chip_id=bindparam("chip"), kvn=bindparam("kvn_"), key_version=bindparam("master"), version=Card.version + 1)
)
_MADE = (
    update(BureauCard.__table__)  # type: ignore[arg-type]
    .where(BureauCard.id == bindparam("this"), BureauCard.state == OrderedState.ORDERED)
    .values(chip_id=bindparam("chip"), state=ORDERED[OrderedState.ORDERED, OrderedEvent.MAKE])
)
_CHIP = (
    update(BureauChip.__table__)  # type: ignore[arg-type]
    .where(BureauChip.order_id == bindparam("order_"), BureauChip.chip_id == bindparam("chip"))
    .values(card_id=bindparam("card_"))
)


def _bind(session: Session, row: BureauOrder, pairs: _Pairs) -> None:
    connection = session.connection()
    chips = [{"this": card.card_id, "chip": made.chip_id.hex()} for card, made in pairs]
    try:
        connection.execute(_CARD, [one | {"kvn_": row.kvn, "master": row.key_version} for one in chips])
    except IntegrityError as error:
        raise BureauRefused("A chip of this file is another card already.", finding="chip-taken") from error
    connection.execute(_MADE, [{"this": card.row_id, "chip": made.chip_id.hex()} for card, made in pairs])
    connection.execute(
        _CHIP, [{"order_": row.id, "chip": made.chip_id.hex(), "card_": card.card_id} for card, made in pairs]
    )


def _keep_journal(session: Session, row: BureauOrder, pairs: _Pairs, now: datetime) -> None:
    """What a station would have recorded up to the keys; a window goes on from there."""
    after: Mapping[int, int] = dict(
        session.execute(
            select(JournalEntry.card_id, func.max(JournalEntry.seq))
            .where(JournalEntry.card_id.in_([card.card_id for card, _ in pairs]))
            .group_by(JournalEntry.card_id)
        ).all()
    )
    rows = [
        entry
        for card, made in pairs
        for entry in journal.entries(
            card.card_id, records_of(row, made), after=after.get(card.card_id, 0), operation_id=None, at=now
        )
    ]
    session.execute(insert(JournalEntry), rows)


def records_of(row: BureauOrder, made: Made) -> list[Record]:
    """The journal of a card that a bureau made, up to its keys."""
    chip = {"chip_id": made.chip_id.hex()}
    keys = {"kvn": made.kvn, "key_version": row.key_version}
    values = [value.hex() for value in made.check_values]
    public = {slot: key.public_key.hex() for slot, key in made.keys.items()}
    proofs = {slot: key.proof.hex() for slot, key in made.keys.items()}
    return [
        Record(RecordKind.CHIP_CLAIMED, {**chip, "bureau_order": row.number}),
        Record(RecordKind.KEY_CHANGE_INTENT, {**chip, **keys, "from_kvn": MAKER_KVN}),
        Record(RecordKind.KEY_CHANGED, {**chip, **keys, "check_values": values}),
        Record(RecordKind.WRITE_INTENT, {**chip, "makes_keys": sorted(public)}),
        Record(RecordKind.KEYS_MADE, {**chip, "public_keys": public, "proofs": proofs}),
    ]


def _spoiled(report: Report, unfit: Mapping[str, str]) -> dict[str, str]:
    """Why blanks were spoiled, by chip: by the bureau, or because we reject the card."""
    return report.spoiled | {report.made[number]: reason for number, reason in unfit.items()}


def _finish(session: Session, finished: Mapping[str, str], ordered: Mapping[str, OrderedCard], now: datetime) -> None:
    """Cards whose applet the bureau closed, with their chips."""
    for number, chip_id in finished.items():
        card = ordered[number]
        target = advance(ORDERED, card.state, OrderedEvent.FINISH)
        session.execute(update(BureauCard).where(BureauCard.id == card.row_id).values(state=target))
        facts = {"chip_id": chip_id, "kvn": present(session, Card, card.card_id).kvn, "resumed": False}
        after = journal.last_number(session, card.card_id)
        session.execute(
            insert(JournalEntry),
            journal.entries(card.card_id, [Record(RecordKind.FINISHED, facts)], after=after, operation_id=None, at=now),
        )


def _ship(
    session: Session, row: BureauOrder, report: Report, ordered: Mapping[str, OrderedCard], now: datetime
) -> None:
    for shipped in report.shipped:
        consignment = BureauConsignment(
            order_id=row.id,
            number=shipped.consignment,
            seal=shipped.seal,
            cards=len(shipped.numbers),
            announced_at=now,
        )
        session.add(consignment)
        try:
            session.flush()
        except IntegrityError as error:
            raise BureauRefused(
                f"Consignment {shipped.consignment} was announced before.", finding="reported-before"
            ) from error
        sent = [ordered[number].row_id for number in shipped.numbers]
        for chosen in parts(sent):
            session.execute(update(BureauCard).where(BureauCard.id.in_(chosen)).values(consignment_id=consignment.id))


def _complete_if_done(session: Session, row: BureauOrder, actor: Actor, now: datetime) -> None:
    waiting: Iterable[OrderedState] = (OrderedState.ORDERED,)
    if row.certificates is Certificates.ANSWER:
        waiting = (OrderedState.ORDERED, OrderedState.MADE, OrderedState.ANSWERED)
    left = select(func.count()).where(BureauCard.order_id == row.id, BureauCard.state.in_(waiting))
    if not session.scalar(left):
        row.state, row.completed_at = advance(ORDER, row.state, OrderEvent.COMPLETE), now
        tell(session, row, "complete", actor, now)
