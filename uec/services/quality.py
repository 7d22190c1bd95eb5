"""Quality: what failed is counted by reader, station, chip lot and operator, and who leaves the band is quarantined.

The rule is `uec.domain.quality`. It is evaluated in one statement a kind of subject, by window functions over the rows
of operations: the counter is the running sum of points less its lowest value so far. Only what says something about a
card counts: an operation that found the vault locked or another citizen's card in the reader is no trial at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, case, cast, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from uec.domain.actors import Actor, system_actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import OperationKind, OperationState, advance
from uec.domain.permissions import Permission
from uec.domain.quality import Band, Rule, rule_of
from uec.domain.stock import LOT_DIGITS, QUARANTINE, QuarantineEvent, QuarantineState, SubjectKind
from uec.services import stock_ledger
from uec.services.quality_refusals import Quarantined
from uec.services.rows import locked
from uec.store import audit
from uec.store.tables import Card, CardOperation, OperationPlace, Quarantine, Staff, Station

JUDGED = (OperationKind.PERSONALISE, OperationKind.INSPECT, OperationKind.HAND_OVER)
FAILURES = (
    "card-lost",
    "card-refused",
    "card-scrapped",
    "counterfeit",
    "unknown-keys",
    "wrong-card-keys",
    "foreign-card",
    "inspection-failed",
    "unfit-key",
)
FAILURE_FAMILIES = ("reader", "card.")
HORIZON = timedelta(days=60)
SHOWN_OPERATIONS = 100
RULE = system_actor("quality")


@dataclass(frozen=True)
class Alarm:
    """A subject that left the band: trials, failures and the highest counter since it was last released."""

    kind: SubjectKind
    subject: str
    tried: int
    failed: int
    counter: int


def note_place(session: Session, operation_id: int, *, station_id: int, reader: str) -> None:
    """Remember where an operation is being done; the caller commits."""
    session.merge(OperationPlace(operation_id=operation_id, station_id=station_id, reader=reader[:200]))


def evaluate(session: Session, *, band: Band, now: datetime) -> list[int]:
    """Quarantine everybody and everything that has left the band; returns the ids of new quarantines."""
    made = []
    for kind in SubjectKind:
        for alarm in alarms(session, kind, rule=rule_of(band), now=now):
            evidence = _evidence(session, alarm, band)
            reason = (
                f"{alarm.failed} of {alarm.tried} failed ({alarm.failed / alarm.tried:.0%}); "
                f"the band ends at {band.allowed:.0%}"
            )
            row = _impose(session, kind, alarm.subject, reason, evidence, RULE, now)
            if row is not None:
                made.append(row.id)
    session.commit()
    return made


def alarms(session: Session, kind: SubjectKind, *, rule: Rule, now: datetime) -> list[Alarm]:
    """Who of a kind is out of band now and not yet in quarantine."""
    trials = _trials(kind, rule, now).subquery()
    running = func.sum(trials.c.points).over(partition_by=trials.c.subject, order_by=trials.c.id)
    summed = select(trials.c.id, trials.c.subject, trials.c.points, running.label("sum")).subquery()
    lowest = func.min(case((summed.c.sum < 0, summed.c.sum), else_=0)).over(
        partition_by=summed.c.subject, order_by=summed.c.id
    )
    counted = select(summed.c.subject, summed.c.points, (summed.c.sum - lowest).label("counter")).subquery()
    highest = func.max(counted.c.counter)
    failed = func.sum(case((counted.c.points > 0, 1), else_=0))
    imposed = select(Quarantine.subject).where(Quarantine.kind == kind, Quarantine.state == QuarantineState.IMPOSED)
    out = (
        select(counted.c.subject, func.count(), failed, highest)
        .where(counted.c.subject.not_in(imposed))
        .group_by(counted.c.subject)
        .having(highest >= rule.threshold)
        .order_by(counted.c.subject)
    )
    return [Alarm(kind, subject, tried, int(bad), int(most)) for subject, tried, bad, most in session.execute(out)]


def impose(session: Session, kind: SubjectKind, subject: str, *, reason: str, actor: Actor, now: datetime) -> int:
    """Quarantine by hand, with a reason; returns its id. Raises `Quarantined` for one that is in quarantine."""
    actor.require(Permission.CONTROL_QUALITY)
    plain = stock_ledger.checked_reason(reason)
    row = _impose(session, kind, _checked_subject(session, kind, subject), plain, {}, actor, now)
    if row is None:
        raise Quarantined("It is in quarantine already: look at the list.", kind=kind, subject=subject, label=subject)
    session.commit()
    return row.id


def release(session: Session, quarantine_id: int, *, reason: str, actor: Actor, now: datetime) -> None:
    """Let a reader, station, lot or operator work again, with a reason; what failed before counts no more."""
    actor.require(Permission.CONTROL_QUALITY)
    plain = stock_ledger.checked_reason(reason)
    row = locked(session, Quarantine, quarantine_id)
    if row.kind is SubjectKind.OPERATOR and row.subject.isdigit():
        stock_ledger.refuse_same(actor, int(row.subject), did="is in quarantine", now="release themselves")
    row.state = advance(QUARANTINE, row.state, QuarantineEvent.RELEASE)
    row.released_by, row.released_at, row.release_reason = actor.staff_id, now, plain
    row.counted_to = session.scalar(select(func.max(CardOperation.id))) or 0
    _tell(session, row, "release", actor, now, plain)
    session.commit()


def list_quarantines(session: Session, *, state: QuarantineState | None = None, limit: int = 200) -> list[Quarantine]:
    """Quarantines, those in force first, then the newest."""
    wanted = select(Quarantine).order_by(Quarantine.released_at.is_not(None), Quarantine.id.desc()).limit(limit)
    return list(session.scalars(wanted if state is None else wanted.where(Quarantine.state == state)))


def _subject(kind: SubjectKind) -> ColumnElement[str]:
    """Whose trial an operation is, as the key of a quarantine."""
    station = cast(OperationPlace.station_id, String)
    return {
        SubjectKind.STATION: station,
        SubjectKind.READER: station + ":" + OperationPlace.reader,
        SubjectKind.OPERATOR: cast(CardOperation.requested_by, String),
        SubjectKind.LOT: func.substr(Card.chip_id, 1, LOT_DIGITS),
    }[kind]


def _failed() -> ColumnElement[bool]:
    code = CardOperation.error_code
    families = [code.startswith(family) for family in FAILURE_FAMILIES]
    return and_(CardOperation.state == OperationState.FAILED, or_(code.in_(FAILURES), *families))


def _trials(kind: SubjectKind, rule: Rule, now: datetime) -> Select[int, str, int]:
    """Each operation that says something about a subject, in order, with its points."""
    subject = _subject(kind)
    released = (
        select(Quarantine.subject, func.max(Quarantine.counted_to).label("upto"))
        .where(Quarantine.kind == kind, Quarantine.state == QuarantineState.RELEASED)
        .group_by(Quarantine.subject)
        .subquery()
    )
    return (
        select(
            CardOperation.id, subject.label("subject"), case((_failed(), rule.failure_points), else_=-1).label("points")
        )
        .outerjoin(OperationPlace, OperationPlace.operation_id == CardOperation.id)
        .outerjoin(Card, Card.id == CardOperation.card_id)
        .outerjoin(released, released.c.subject == subject)
        .where(
            CardOperation.kind.in_(JUDGED),
            CardOperation.finished_at > now - HORIZON,
            or_(CardOperation.state == OperationState.DONE, _failed()),
            subject.is_not(None),
            CardOperation.id > func.coalesce(released.c.upto, 0),
        )
    )


def _evidence(session: Session, alarm: Alarm, band: Band) -> dict[str, Any]:
    rule = rule_of(band)
    failed = (
        select(CardOperation.id, Card.number, CardOperation.error_code, CardOperation.finished_at)
        .outerjoin(OperationPlace, OperationPlace.operation_id == CardOperation.id)
        .outerjoin(Card, Card.id == CardOperation.card_id)
        .where(CardOperation.kind.in_(JUDGED), _failed(), _subject(alarm.kind) == alarm.subject)
        .order_by(CardOperation.id.desc())
        .limit(min(alarm.failed, SHOWN_OPERATIONS))
    )
    return {
        "tried": alarm.tried,
        "failed": alarm.failed,
        "rate": round(alarm.failed / alarm.tried, 4),
        "allowed": band.allowed,
        "intolerable": band.intolerable,
        "counter": alarm.counter,
        "threshold": rule.threshold,
        "failure_points": rule.failure_points,
        "operations": [
            {"id": key, "card": number, "error": code, "at": at.isoformat() if at else None}
            for key, number, code, at in session.execute(failed)
        ],
    }


def _impose(
    session: Session,
    kind: SubjectKind,
    subject: str,
    reason: str,
    evidence: dict[str, Any],
    actor: Actor,
    now: datetime,
) -> Quarantine | None:
    """A new quarantine, or None when somebody else has just imposed it."""
    row = Quarantine(
        kind=kind,
        subject=subject,
        label=_label(session, kind, subject),
        imposed_at=now,
        imposed_by=actor.staff_id,
        reason=reason,
        evidence=evidence,
        counted_to=0,
    )
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        return None
    _tell(session, row, "impose", actor, now, reason)
    return row


def _label(session: Session, kind: SubjectKind, subject: str) -> str:
    station_id, _, reader = subject.partition(":")
    if kind in {SubjectKind.STATION, SubjectKind.READER} and station_id.isdigit():
        name = session.scalar(select(Station.name).where(Station.id == int(station_id))) or station_id
        return f"{name}, {reader}" if reader else name
    if kind is SubjectKind.OPERATOR and subject.isdigit():
        return session.scalar(select(Staff.display_name).where(Staff.id == int(subject))) or subject
    return subject


def _checked_subject(session: Session, kind: SubjectKind, subject: str) -> str:
    """The key of a subject somebody named; raises `InvalidInput` when there is none like it."""
    plain = subject.strip()
    head = plain.partition(":")[0]
    known: Sequence[object] = ()
    if kind is SubjectKind.LOT:
        known = [plain] if len(plain) == LOT_DIGITS and all(sign in "0123456789abcdef" for sign in plain) else []
    elif head.isdigit() and len(head) < 10 and (kind is not SubjectKind.READER or ":" in plain):
        table = Staff if kind is SubjectKind.OPERATOR else Station
        known = session.scalars(select(table.id).where(table.id == int(head))).all()
    if not known or len(plain) > 220:
        raise InvalidInput(
            "Name a station or member of staff by id, a reader as STATION:NAME, a chip lot by its 12 digits.",
            field="subject",
        )
    return plain


def _tell(session: Session, row: Quarantine, action: str, actor: Actor, now: datetime, reason: str) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"quarantine.{action}",
        subject_kind="quarantine",
        subject_id=row.id,
        details={"kind": row.kind.value, "subject": row.subject, "reason": reason},
        now=now,
    )
