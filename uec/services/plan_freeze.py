"""Cuts the batches of the next days out of the plan: cards with numbers for people, who are looked at once more.

Whoever died, refused, is in doubt as a twin or took the application back since the plan was made is left out here,
under a lock, so that nobody is taken back between the look and the card. What is cut stays so in every later plan.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import ApplicationEvent, ApplicationState, CardState
from uec.domain.names import printed_name
from uec.domain.numbers import make_card_number
from uec.services import numbering, plan_people
from uec.services.batch_rules import BatchRules
from uec.services.moves import move_all
from uec.services.refusals import barred
from uec.services.twins import held
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Application, Batch, Card, EmissionBatch, EmissionPlan, EmissionSlot

CHUNK = 500
Seat = Row[tuple[int, int, date | None]]


@dataclass(frozen=True)
class Frozen:
    """What was cut: the batches' ids, and how many cards."""

    batches: tuple[int, ...]
    cards: int


def freeze(
    session: Session,
    plan: EmissionPlan,
    *,
    leads: Mapping[str, int],
    rules: BatchRules,
    actor: Actor,
    now: datetime,
) -> Frozen:
    """Cut the batches of the first `freeze_days` working days, of lines with a lead so much earlier.

    `leads` are working days by the code of a line: what a bureau is to bring back by then is ordered now. The caller
    commits.
    """
    last = rules.calendar.after(rules.policy.day(now), rules.freeze_days - 1)
    until = {code: rules.calendar.after(last, lead) for code, lead in leads.items() if lead}
    ids: list[int] = []
    cards = 0
    for lot, people in _lots(session, plan.id, _due(last, until), rules.batch_limit):
        batch = _batch(session, lot, rules, actor, now)
        cards += _write_cards(session, batch, people, rules)
        chosen = [row.application_id for row in people]
        move_all(session, Application, ApplicationEvent.PLAN, Application.id.in_(chosen), actor=actor, now=now)
        ids.append(batch.id)
    audit.record_many(session, [Note(actor.reference, "batch.plan", "batch", str(one), now) for one in ids])
    plan.frozen_until = last
    return Frozen(tuple(ids), cards)


def _due(last: date, until: Mapping[str, date]) -> ColumnElement[bool]:
    """Planned batches until a day; of lines in `until`, until theirs."""
    early = [and_(EmissionBatch.line == code, EmissionBatch.day <= day) for code, day in until.items()]
    return or_(EmissionBatch.day <= last, *early)


def _lots(
    session: Session, plan_id: int, due: ColumnElement[bool], limit: int
) -> Iterator[tuple[EmissionBatch, list[Seat]]]:
    """The planned batches that are due, in order, cut to the size of a lot, with those who may still have a card."""
    found = select(EmissionBatch).where(EmissionBatch.plan_id == plan_id, due)
    planned = {batch.position: batch for batch in session.scalars(found)}
    if not planned:
        return
    seats = _seats(session, plan_id, due)
    allowed = _locked(session, [seat.application_id for seat in seats])
    open_seats = [seat for seat in seats if seat.application_id in allowed]
    for position, group in groupby(open_seats, key=lambda seat: seat.position):
        people = list(group)
        for first in range(0, len(people), limit):
            yield planned[position], people[first : first + limit]


def _seats(session: Session, plan_id: int, due: ColumnElement[bool]) -> Sequence[Seat]:
    """(position, application_id, promised_on) of everybody in the batches that are due, in the order of production."""
    chosen = select(EmissionBatch.position).where(EmissionBatch.plan_id == plan_id, due)
    people = plan_people.people(session, EmissionSlot.plan_id == plan_id, EmissionSlot.position.in_(chosen))
    return session.execute(
        select(EmissionSlot.position.label("position"), people.c.application_id, EmissionSlot.promised_on)
        .join(EmissionSlot, EmissionSlot.id == people.c.slot_id)
        .order_by(EmissionSlot.position, EmissionSlot.kind, EmissionSlot.variant, people.c.place)
    ).all()


def _locked(session: Session, wanted: Sequence[int]) -> set[int]:
    """Those who still wait, locked until the end of the transaction."""
    found: set[int] = set()
    ordered = sorted(wanted)
    for first in range(0, len(ordered), CHUNK):
        chosen = Application.id.in_(ordered[first : first + CHUNK])
        # Not by `plan_people.waiting`, which gathers all who are barred in the region: these few are looked up.
        approved = Application.state == ApplicationState.APPROVED
        waiting = select(Application.id).where(chosen, approved, ~barred(), ~held(Application.resident_id))
        waiting = waiting.order_by(Application.id)
        found.update(session.scalars(waiting.with_for_update(of=Application)))
    return found


def _batch(session: Session, planned: EmissionBatch, rules: BatchRules, actor: Actor, now: datetime) -> Batch:
    (number,) = numbering.take(session, "batch", count=1)
    batch = Batch(
        number=f"B-{number:06d}",
        planned_for=planned.day,
        point_id=planned.point_id,
        profile=planned.variant,
        transport=rules.transport,
        line=planned.line,
        departs_on=planned.departs_on,
        planned_by=actor.staff_id,
        planned_at=now,
    )
    session.add(batch)
    session.flush()
    return batch


def _write_cards(session: Session, batch: Batch, people: Sequence[Seat], rules: BatchRules) -> int:
    """Insert the cards in the order of production, so that numbers rise along each batch."""
    numbers = iter(numbering.take(session, "card", count=len(people)))
    for first in range(0, len(people), CHUNK):
        part = people[first : first + CHUNK]
        keys = [seat.application_id for seat in part]
        rows = {row.id: row for row in session.scalars(select(Application).where(Application.id.in_(keys)))}
        cards = [
            _card_of(batch, rows[seat.application_id], next(numbers), rules) | {"promised_on": seat.promised_on}
            for seat in part
        ]
        session.execute(insert(Card), cards)
    return len(people)


def _card_of(batch: Batch, application: Application, number: int, rules: BatchRules) -> dict[str, object]:
    return {
        "number": make_card_number(rules.number_prefix, number),
        "application_id": application.id,
        "batch_id": batch.id,
        "resident_id": application.resident_id,
        "state": CardState.PLANNED,
        "profile": batch.profile,
        "printed_name": printed_name(application.surname, application.name),
        "expires_on": rules.policy.expires_on(batch.planned_for),
        "replaces_card_id": application.replaces_card_id,
        "version": 1,
    }
