"""What a bureau reports of its cards, checked and written down: keys, chips, spoiled blanks, consignments.

A file that says anything untrue counts for nothing (`bureau_checks`). A card that fails is rejected: its blank is
spoiled, its request goes to the front of the queue again by itself. The others get the journal that a station would
have written, so that a window goes on with them as with any card begun.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from issuance.bureau.order import check_values
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
from uec.domain.errors import Stale
from uec.domain.lifecycle import advance
from uec.services import bureau_blanks, journal
from uec.services.batch_closing import close_if_done
from uec.services.bureau_checks import find_unfit, note_order, require_ordered
from uec.services.bureau_orders import tell
from uec.services.bureau_rejecting import Gone, reject_unmade
from uec.services.bureau_report import Report
from uec.services.rows import present
from uec.store.arrays import listed
from uec.store.bulk import insert_rows
from uec.store.bulk_changes import change_rows
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
_ANSWERED = OrderedState.ANSWERED


def apply(session: Session, row: BureauOrder, report: Report, *, actor: Actor, now: datetime) -> Mapping[str, Any]:
    """Write down what results say of an accepted order; returns counts. The caller commits.

    The cards are locked one after the other by their ids, as everywhere, before anything else is. Raises
    `BureauRefused`, with nothing written that a rollback would not undo.
    """
    require_awaited(row)
    note_order(session, row.id, report)
    require_ordered(report)
    find_unfit(session, row, report)
    _write_down(session, row, report, actor, now)
    _reject(session, row, report, actor, now)
    _finish(session, report, now)
    _ship(session, row, report, now)
    complete_if_done(session, row, actor=actor, now=now)
    missing = report.count("unfit") + report.count("not_made")
    counts = {
        "made": report.count("made") - report.count("unfit"),
        "rejected": report.count("unfit"),
        "not_made": report.count("not_made"),
        "blanks_spoiled": report.count("spoiled"),
        "finished": report.count("finished"),
        "consignments": report.count("shipped"),
        "findings": report.findings(),
    }
    tell(session, row, "results", actor, now, **counts)
    if missing:
        close_if_done(session, row.batch_id, actor=actor, now=now)
    return counts


def require_awaited(row: BureauOrder) -> None:
    """Raise `BureauRefused` for an order that awaits no results."""
    if row.state is not OrderState.ACCEPTED:
        raise BureauRefused(f"Order {row.number} is {row.state}: no results are awaited.", finding="not-awaited")


_GOOD = """
    SELECT card.row_id, card.card_id, made.chip, made.check_values, made.public_keys, made.proofs
    FROM made JOIN card USING (number) WHERE number NOT IN (SELECT number FROM unfit) ORDER BY card.card_id
"""
# By serials: the ledger moves those that follow each other as one range.
_CLAIMED = """
    SELECT made.chip, card.card_id FROM made JOIN card USING (number)
    WHERE number NOT IN (SELECT number FROM unfit) ORDER BY made.chip
"""
_KEYS = """
    SELECT key.digest, card.card_id, key.slot FROM key JOIN card USING (number)
    WHERE number NOT IN (SELECT number FROM unfit) ORDER BY key.digest
"""


def _write_down(session: Session, row: BureauOrder, report: Report, actor: Actor, now: datetime) -> None:
    """Chips, keys and journal of the cards that are good, set by set."""
    store_id = present(session, Bureau, row.bureau_id).store_id
    for good in report.parts(_GOOD):
        cards = [
            _Good(row_id, card_id, chip, values, *map(json.loads, keys))
            for row_id, card_id, chip, values, *keys in good
        ]
        _bind(session, row, cards)
        # What a station would have recorded up to the keys; a window goes on from there.
        _enter(session, [(one.card_id, records_of(row, one)) for one in cards], now)
    for claimed in report.parts(_CLAIMED):
        bureau_blanks.claim(session, store_id, claimed, actor=actor, now=now)
    for keys in report.parts(_KEYS):
        rows = [{"digest": digest, "card_id": card_id, "slot": slot} for digest, card_id, slot in keys]
        _enter_keys(session, rows)


@dataclass(frozen=True, slots=True)
class _Good:
    """A card that was made and is fit; its keys and their proofs by slot, in hex."""

    row_id: int
    card_id: int
    chip: str
    check_values: bytes
    public_keys: Mapping[str, str]
    proofs: Mapping[str, str]


def _bind(session: Session, row: BureauOrder, cards: Sequence[_Good]) -> None:
    chips = [{"id": one.card_id, "chip_id": one.chip} for one in cards]
    keys = {"kvn": row.kvn, "key_version": row.key_version, "version": Card.__table__.c.version + 1}
    try:
        change_rows(session, Card, "id", chips, same=keys)
    except IntegrityError as error:
        raise BureauRefused("A chip of this file is another card already.", finding="chip-taken") from error
    made = [{"id": one.row_id, "chip_id": one.chip} for one in cards]
    target = {"state": ORDERED[OrderedState.ORDERED, OrderedEvent.MAKE]}
    change_rows(session, BureauCard, "id", made, BureauCard.state == OrderedState.ORDERED, same=target)
    used = [{"chip_id": one.chip, "card_id": one.card_id} for one in cards]
    change_rows(session, BureauChip, "chip_id", used, BureauChip.order_id == row.id)


def _enter_keys(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    try:
        insert_rows(session, BureauKey, rows)
    except (IntegrityError, psycopg.errors.UniqueViolation) as error:
        raise Stale("Another file with one of these keys is taken just now: take this one again.") from error


def _enter(session: Session, entries: Sequence[tuple[int, Sequence[Record]]], now: datetime) -> None:
    """Put records behind what the journals of cards (by id) hold already."""
    after: Mapping[int, int] = dict(
        session.execute(
            select(JournalEntry.card_id, func.max(JournalEntry.seq))
            .where(listed(session, JournalEntry.card_id, [card_id for card_id, _ in entries]))
            .group_by(JournalEntry.card_id)
        ).all()
    )
    rows = [
        entry
        for card_id, records in entries
        for entry in journal.entries(card_id, records, after=after.get(card_id, 0), operation_id=None, at=now)
    ]
    insert_rows(session, JournalEntry, rows)


def records_of(row: BureauOrder, made: _Good) -> list[Record]:
    """The journal of a card that a bureau made, up to its keys."""
    chip = {"chip_id": made.chip}
    keys = {"kvn": row.kvn, "key_version": row.key_version}
    values = [value.hex() for value in check_values(made.check_values)]
    return [
        Record(RecordKind.CHIP_CLAIMED, {**chip, "bureau_order": row.number}),
        Record(RecordKind.KEY_CHANGE_INTENT, {**chip, **keys, "from_kvn": MAKER_KVN}),
        Record(RecordKind.KEY_CHANGED, {**chip, **keys, "check_values": values}),
        Record(RecordKind.WRITE_INTENT, {**chip, "makes_keys": sorted(made.public_keys)}),
        Record(RecordKind.KEYS_MADE, {**chip, "public_keys": made.public_keys, "proofs": made.proofs}),
    ]


_REJECTED = """
    SELECT card.row_id, card.card_id, gone.reason
    FROM (SELECT number, reason FROM not_made UNION ALL SELECT number, reason FROM unfit) AS gone
    JOIN card USING (number) ORDER BY card.card_id
"""
_SPOILED = """
    SELECT chip, reason FROM spoiled UNION ALL SELECT made.chip, unfit.reason FROM unfit JOIN made USING (number)
    ORDER BY chip
"""
_FINISHED = "SELECT card.row_id, card.card_id, finished.chip FROM finished JOIN card USING (number)"
_SENT = "SELECT card.row_id FROM sent JOIN card USING (number) WHERE sent.shipped = ?"


def _reject(session: Session, row: BureauOrder, report: Report, actor: Actor, now: datetime) -> None:
    """Blanks that the bureau spoiled, or whose cards we reject; and cards that are not coming."""
    store_id = present(session, Bureau, row.bureau_id).store_id
    for spoiled in report.parts(_SPOILED):
        bureau_blanks.spoil(session, store_id, row.id, dict(spoiled), actor=actor, now=now)
    for rows in report.parts(_REJECTED):
        reject_unmade(session, [Gone(*row_) for row_ in rows], actor=actor, now=now)


def _finish(session: Session, report: Report, now: datetime) -> None:
    """Cards whose applet the bureau closed, with their chips."""
    for rows in report.parts(_FINISHED):
        cards = [card_id for _, card_id, _ in rows]
        ended = (listed(session, BureauCard.id, [row_id for row_id, _, _ in rows]), BureauCard.state == _ANSWERED)
        _change(session, *ended, state=ORDERED[_ANSWERED, OrderedEvent.FINISH])
        kvns: Mapping[int, int | None] = dict(
            session.execute(select(Card.id, Card.kvn).where(listed(session, Card.id, cards))).all()
        )
        _enter(
            session,
            [
                (card_id, [Record(RecordKind.FINISHED, {"chip_id": chip, "kvn": kvns[card_id], "resumed": False})])
                for _, card_id, chip in rows
            ],
            now,
        )


def _ship(session: Session, row: BureauOrder, report: Report, now: datetime) -> None:
    for announced in report.parts("SELECT id, number, seal, cards FROM shipped"):
        for key, number, seal, cards in announced:
            consignment = BureauConsignment(order_id=row.id, number=number, seal=seal, cards=cards, announced_at=now)
            session.add(consignment)
            try:
                session.flush()
            except IntegrityError as error:
                raise BureauRefused(f"Consignment {number} was announced before.", finding="reported-before") from error
            for sent in report.parts(_SENT, key):
                these = listed(session, BureauCard.id, [row_id for (row_id,) in sent])
                _change(session, these, consignment_id=consignment.id)


def _change(session: Session, *where: ColumnElement[bool], **values: object) -> None:
    change = update(BureauCard).where(*where).values(values)
    session.execute(change, execution_options={"synchronize_session": False})


def complete_if_done(session: Session, row: BureauOrder, *, actor: Actor, now: datetime) -> None:
    """Note that nothing is awaited of an accepted order any more, where that is so; the caller commits."""
    waiting: Iterable[OrderedState] = (OrderedState.ORDERED,)
    if row.certificates is Certificates.ANSWER:
        waiting = (OrderedState.ORDERED, OrderedState.MADE, OrderedState.ANSWERED)
    left = select(BureauCard.id).where(BureauCard.order_id == row.id, BureauCard.state.in_(waiting))
    if row.state is OrderState.ACCEPTED and session.scalar(left.limit(1)) is None:
        row.state, row.completed_at = advance(ORDER, row.state, OrderEvent.COMPLETE), now
        row.held_up_by = row.held_up_why = None
        tell(session, row, "complete", actor, now)
