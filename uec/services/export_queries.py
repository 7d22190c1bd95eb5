"""The rows of the lists that can be taken out as files: each a query by its filters, or rows as they come."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session, aliased

from issuance.planning.reasons import Reason
from issuance.planning.region import Kind
from uec.domain.absences import AbsenceState
from uec.domain.actors import Actor
from uec.domain.bureau import OrderState
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.lifecycle import ApplicationState, BatchState, CardState, Route
from uec.domain.stock import TransferState
from uec.domain.twins import TwinState
from uec.services import (
    applications,
    card_lists,
    cohort_members,
    plan_late,
    plan_office,
    refusal_lists,
    stock_balance,
    stock_lists,
)
from uec.services.plan_moves import UNTOLD
from uec.store.tables import (
    Application,
    AuditEntry,
    Batch,
    Bureau,
    BureauCard,
    BureauOrder,
    Card,
    Cohort,
    IssuancePoint,
    PromiseMove,
    Refusal,
    RegisterAbsence,
    Resident,
    StockAccount,
    StockBox,
    StockMovement,
    StockStore,
    StockTransfer,
    TwinCase,
    TwinMember,
)

Cells = tuple[Any, ...]
Found = Select[*tuple[Any, ...]]
Asked = Mapping[str, str]


def _state(kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InvalidInput(f"{text} is no state of the list: choose one of its filter.", field="state") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text} is no day: give one like 2026-12-31.", field="day") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidInput("The number of the list is wrong: open the list and take it out there.", field="id")
    return int(text)


def of_applications(_session: Session, asked: Asked) -> Found:
    """Applications by state, route and what is searched for."""
    states = [_state(ApplicationState, asked["state"])] if "state" in asked else []
    route = _state(Route, asked["route"]) if "route" in asked else None
    wanted = applications.conditions(states, route, None, asked.get("query", ""))
    a = Application
    return (
        select(
            a.number, a.state, a.route, a.reason, a.surname, a.name, a.patronymic, a.birth_date, a.snils,
            IssuancePoint.code, a.submitted_at, a.due_on, a.decided_at, a.bank,
        )
        .join(IssuancePoint, IssuancePoint.id == a.point_id)
        .where(*wanted)
        .order_by(a.id)
    )  # fmt: skip


def of_cards(_session: Session, asked: Asked) -> Found:
    """Cards by state and what is searched for."""
    states = [_state(CardState, asked["state"])] if "state" in asked else []
    wanted = card_lists.conditions(asked.get("query", ""), states, None)
    a = Application
    return (
        select(
            Card.number, Card.state, a.surname, a.name, a.patronymic, a.number, Batch.number, IssuancePoint.code,
            Card.personalised_at, Card.activated_at, Card.expires_on,
        )
        .join(a, a.id == Card.application_id)
        .join(Batch, Batch.id == Card.batch_id)
        .join(IssuancePoint, IssuancePoint.id == a.point_id)
        .where(*wanted)
        .order_by(Card.id)
    )  # fmt: skip


def of_batches(_session: Session, asked: Asked) -> Found:
    """Batches by state, day, and line on that day."""
    cards = select(func.count()).where(Card.batch_id == Batch.id).correlate(Batch).scalar_subquery()
    one, line = Batch, func.coalesce(Batch.line, "")
    found = select(
        one.number, one.state, one.planned_for, line, IssuancePoint.code, cards, one.departs_on, one.released_at
    )
    if "state" in asked:
        found = found.where(one.state == _state(BatchState, asked["state"]))
    if "day" in asked:
        found = found.where(one.planned_for == _day(asked["day"]))
        if "line" in asked:
            found = found.where(line == asked["line"])
    return found.join(IssuancePoint, IssuancePoint.id == one.point_id).order_by(one.id)


def of_refusals(_session: Session, asked: Asked) -> Found:
    """Refusals by number or SNILS."""
    known = case((Refusal.resident_id.is_not(None), True), else_=False)
    one = Refusal
    found = select(one.number, one.snils, one.channel, one.filed_at, known, one.note, one.withdrawn_at)
    return found.where(*refusal_lists.conditions(asked.get("query", ""))).order_by(one.id)


def of_cohort(session: Session, asked: Asked) -> Found:
    """The residents of one list of mass emission."""
    cohort_id = _number(asked.get("id", ""))
    if session.get(Cohort, cohort_id) is None:
        raise NotFound(f"There is no list {cohort_id}: see `uec cohorts list`.", kind="Cohort", id=cohort_id)
    members = cohort_members.member_ids(session, cohort_id).subquery()
    r = Resident
    return (
        select(r.register_id, r.surname, r.name, r.patronymic, r.birth_date, r.sex, r.snils, r.oktmo, r.address)
        .join(members, members.c.id == r.id)
        .order_by(r.id)
    )


def of_audit(_session: Session, asked: Asked) -> Found:
    """Entries of the audit by who, kind and number of the subject."""
    e = AuditEntry
    named = {"who": e.actor, "kind": e.subject_kind, "subject": e.subject_id}
    wanted = [column == asked[name] for name, column in named.items() if name in asked]
    return (
        select(e.chain, e.seq, e.at, e.actor, e.action, e.subject_kind, e.subject_id, e.person_id, e.details)
        .where(*wanted)
        .order_by(e.id)
    )


def of_twins(_session: Session, asked: Asked) -> Found:
    """The records of cases of twins, a row each."""
    case_, r = TwinCase, Resident
    found = (
        select(
            case_.id, case_.kind, case_.state, case_.found_at, r.register_id, r.surname, r.name, r.patronymic,
            r.birth_date, r.snils, TwinMember.role, case_.reason, case_.decided_at,
        )
        .join(TwinMember, TwinMember.case_id == case_.id)
        .join(r, r.id == TwinMember.resident_id)
        .order_by(case_.id, r.id)
    )  # fmt: skip
    return found.where(case_.state == _state(TwinState, asked["state"])) if "state" in asked else found


def of_missing(_session: Session, asked: Asked) -> Found:
    """Residents whom a full export of the register lacked."""
    one, r = RegisterAbsence, Resident
    found = select(
        r.register_id, r.surname, r.name, r.patronymic, r.birth_date, r.snils, one.state, one.found_at, one.reason,
        one.decided_at,
    )  # fmt: skip
    found = found.join(r, r.id == one.resident_id).order_by(one.id)
    return found.where(one.state == _state(AbsenceState, asked["state"])) if "state" in asked else found


def of_moved(_session: Session, _asked: Asked) -> Found:
    """Promised days that moved and that nobody has told."""
    one = PromiseMove
    found = select(Application.number, IssuancePoint.code, one.was, one.now, one.listed_at)
    found = found.join(Application, Application.id == one.application_id)
    return found.join(IssuancePoint, IssuancePoint.id == one.point_id).where(UNTOLD).order_by(one.id)


def of_consignments(_session: Session, _asked: Asked) -> Found:
    """Consignments between stores."""
    one, giver, taker = StockTransfer, aliased(StockStore), aliased(StockStore)
    # Whoever receives a consignment reads its seal off it.
    seal = case((one.state != TransferState.SENT, one.seal), else_=None)
    found = select(
        one.number, one.state, giver.name, taker.name, seal, one.blanks, one.sent_at, one.received_at,
        one.seal_found, one.blanks_found, one.remark,
    )  # fmt: skip
    found = found.join(giver, giver.id == one.giver_id).join(taker, taker.id == one.taker_id)
    return found.order_by(one.id)


def of_movements(session: Session, asked: Asked) -> Found:
    """The ledger, whole or of one box, store, shift or batch."""
    one, giver, taker = StockMovement, aliased(StockAccount), aliased(StockAccount)
    found = select(
        one.at, one.motion, one.lot, one.first, one.last, one.blanks, StockBox.number, giver.kind, taker.kind,
        one.actor, one.reason,
    )  # fmt: skip
    found = found.join(giver, giver.id == one.giver_id).join(taker, taker.id == one.taker_id)
    found = found.outerjoin(StockBox, StockBox.id == one.box_id).order_by(one.id)
    if "what" not in asked:
        return found
    what, key = asked["what"], _number(asked.get("key", ""))
    stock_lists.title_of(session, what, key)
    return found.where(stock_lists.moved_with(session, what, key))


def of_orders(_session: Session, asked: Asked) -> Found:
    """Orders to outside bureaux."""
    cards = select(func.count()).where(BureauCard.order_id == BureauOrder.id).correlate(BureauOrder).scalar_subquery()
    one = BureauOrder
    found = select(one.number, one.state, Bureau.code, Batch.number, cards, one.drawn_at, one.sent_at, one.completed_at)
    found = found.join(Bureau, Bureau.id == one.bureau_id).join(Batch, Batch.id == one.batch_id).order_by(one.id)
    return found.where(one.state == _state(OrderState, asked["state"])) if "state" in asked else found


def of_late(session: Session, actor: Actor, asked: Asked) -> Iterator[Cells]:
    """Those who are late by the newest plan; a cohort has no clock."""
    for one in plan_late.everybody(session, late_by(asked), actor=actor):
        clock = None if one.kind is Kind.COHORT else one.due_on
        yield one.application, one.point, one.kind, one.variant, one.reason, clock, one.promised_on


def late_count(session: Session, actor: Actor, asked: Asked) -> int:
    """How many are late."""
    return plan_late.people(session, late_by(asked), actor=actor, limit=0).total


def late_by(asked: Asked) -> plan_late.Wanted:
    """Which of those who are late a filter asks for; raises `InvalidInput`."""
    kinds = {str(int(kind)): kind for kind in Kind}
    if asked.get("kind", "0") not in kinds:
        raise InvalidInput("There is no such class: choose one of the filter.", field="kind")
    return plan_late.Wanted(
        reason=_state(Reason, asked["reason"]) if "reason" in asked else None,
        kind=kinds[asked["kind"]] if "kind" in asked else None,
        point=asked.get("point", ""),
        variant=asked.get("variant", ""),
    )


def of_points(session: Session, actor: Actor, _asked: Asked) -> Iterator[Cells]:
    """The points of the newest plan with their queues."""
    for one in plan_office.newest(session, actor=actor).facts["points"]:
        days = (date.fromisoformat(one[name]) if one[name] else None for name in ("courier", "last"))
        yield (
            one["ru"], one["en"], one["remakes"], one["clocks"], one["cohort"], one["open"], *days, one["peak"],
        )  # fmt: skip


def of_stock(session: Session, actor: Actor, _asked: Asked) -> Iterator[Cells]:
    """What became of the blanks, box by box."""
    for line in stock_balance.by_box(session, actor=actor):
        one = line.balance
        yield (
            line.name, one.received, one.good, one.spoiled, one.returned, one.destroyed, one.in_hand, one.missing,
            one.sent, one.difference,
        )  # fmt: skip
