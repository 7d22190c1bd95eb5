"""What a bureau reports of its cards, checked and written down: keys, chips, spoiled blanks, consignments.

A file that says anything untrue counts for nothing (`bureau_checks`). A card that fails is rejected: its blank is
spoiled, its request goes to the front of the queue again by itself. The others get the journal that a station would
have written, so that a window goes on with them as with any card begun.
"""

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
from uec.services.bureau_checks import Measure, find_unfit, made_cards, note_order, read, require_ordered
from uec.services.bureau_orders import tell
from uec.services.bureau_rejecting import reject
from uec.services.bureau_report import OrderedCard, Report
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
    with Report() as report:
        read(RecordReader(stream), report)
        note_order(session, row.id, report)
        require_ordered(report)
        find_unfit(session, row, lambda: made_cards(stream, start=start), report, measure)
        good = (made for made in made_cards(stream, start=start) if not report.is_unfit(made.number))
        _write_down(session, row, good, report, actor, now)
        _reject(session, row, report, actor, now)
        _finish(session, report, now)
        _ship(session, row, report, now)
        _complete_if_done(session, row, actor, now)
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
    return counts


def _write_down(
    session: Session,
    row: BureauOrder,
    good: Iterator[Made],
    report: Report,
    actor: Actor,
    now: datetime,
) -> None:
    """Chips, keys and journal of the cards that are good, set by set."""
    store_id = present(session, Bureau, row.bureau_id).store_id
    while made := list(islice(good, AT_ONCE)):
        pairs = [(report.card(one.number), one) for one in made]
        _bind(session, row, pairs)
        session.execute(
            insert(BureauKey),
            [
                {"digest": digest, "card_id": card.card_id, "slot": slot}
                for card, one in pairs
                for slot, digest in key_digests(one)
            ],
        )
        # What a station would have recorded up to the keys; a window goes on from there.
        _enter(session, [(card.card_id, records_of(row, one)) for card, one in pairs], now)
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


def _enter(session: Session, entries: Sequence[tuple[int, Sequence[Record]]], now: datetime) -> None:
    """Put records behind what the journals of cards (by id) hold already."""
    after: Mapping[int, int] = dict(
        session.execute(
            select(JournalEntry.card_id, func.max(JournalEntry.seq))
            .where(JournalEntry.card_id.in_([card_id for card_id, _ in entries]))
            .group_by(JournalEntry.card_id)
        ).all()
    )
    rows = [
        entry
        for card_id, records in entries
        for entry in journal.entries(card_id, records, after=after.get(card_id, 0), operation_id=None, at=now)
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


_REJECTED = """
    SELECT card.row_id, card.card_id, card.state, gone.reason
    FROM (SELECT number, reason FROM not_made UNION ALL SELECT number, reason FROM unfit) AS gone
    JOIN card USING (number) ORDER BY card.card_id
"""
_SPOILED = """
    SELECT chip, reason FROM spoiled UNION ALL SELECT made.chip, unfit.reason FROM unfit JOIN made USING (number)
"""
_FINISHED = "SELECT card.row_id, card.card_id, finished.chip FROM finished JOIN card USING (number)"
_SENT = "SELECT card.row_id FROM sent JOIN card USING (number) WHERE sent.shipped = ?"
_ENDED = (
    update(BureauCard.__table__)  # type: ignore[arg-type]
    .where(BureauCard.id.in_(bindparam("these", expanding=True)), BureauCard.state == OrderedState.ANSWERED)
    .values(state=ORDERED[OrderedState.ANSWERED, OrderedEvent.FINISH])
)
_UNDER_WAY = (
    update(BureauCard.__table__)  # type: ignore[arg-type]
    .where(BureauCard.id.in_(bindparam("these", expanding=True)))
    .values(consignment_id=bindparam("consignment"))
)


def _reject(session: Session, row: BureauOrder, report: Report, actor: Actor, now: datetime) -> None:
    """Blanks that the bureau spoiled, or whose cards we reject; and cards that are not coming."""
    store_id = present(session, Bureau, row.bureau_id).store_id
    for spoiled in report.parts(_SPOILED):
        bureau_blanks.spoil(session, store_id, row.id, dict(spoiled), actor=actor, now=now)
    for rows in report.parts(_REJECTED):
        for row_id, card_id, state, reason in rows:
            reject(session, row_id, card_id, state=OrderedState(state), reason=reason, actor=actor, now=now)


def _finish(session: Session, report: Report, now: datetime) -> None:
    """Cards whose applet the bureau closed, with their chips."""
    for rows in report.parts(_FINISHED):
        cards = [card_id for _, card_id, _ in rows]
        session.connection().execute(_ENDED, {"these": [row_id for row_id, _, _ in rows]})
        kvns: Mapping[int, int | None] = dict(
            session.execute(select(Card.id, Card.kvn).where(Card.id.in_(cards))).all()
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
                these = {"these": [row_id for (row_id,) in sent], "consignment": consignment.id}
                session.connection().execute(_UNDER_WAY, these)


def _complete_if_done(session: Session, row: BureauOrder, actor: Actor, now: datetime) -> None:
    waiting: Iterable[OrderedState] = (OrderedState.ORDERED,)
    if row.certificates is Certificates.ANSWER:
        waiting = (OrderedState.ORDERED, OrderedState.MADE, OrderedState.ANSWERED)
    left = select(func.count()).where(BureauCard.order_id == row.id, BureauCard.state.in_(waiting))
    if not session.scalar(left):
        row.state, row.completed_at = advance(ORDER, row.state, OrderEvent.COMPLETE), now
        tell(session, row, "complete", actor, now)
