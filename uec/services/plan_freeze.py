"""Cuts the batches of the next days out of the plan: cards with numbers for people, who are looked at once more.

Whoever died, refused, is in doubt as a twin or took the application back since the plan was made is left out by the
statement that plans the others, so that nobody is taken back between the look and the card. What is cut stays so in
every later plan.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import ApplicationEvent, CardState
from uec.domain.names import printed_name
from uec.domain.numbers import make_card_number
from uec.services import numbering, plan_people
from uec.services.batch_rules import BatchRules
from uec.services.moves import move_found
from uec.services.refusals import barred
from uec.services.twins import held
from uec.store import audit
from uec.store.audit import Note
from uec.store.bulk import insert_rows
from uec.store.tables import Application, Batch, Card, EmissionBatch, EmissionPlan, EmissionSlot

CHUNK = 5_000
Seat = Row[tuple[int, int, date | None]]
Person = Row[tuple[int, int | None, str, str, int | None]]
"""Id, resident, surname, name, card to replace."""


@dataclass(frozen=True)
class Frozen:
    """What was cut: the batches' ids, and how many cards."""

    batches: tuple[int, ...]
    cards: int


@dataclass(frozen=True)
class Lot:
    """A batch to be cut: how it was planned, and who gets a card in it, in the order of production, by which day."""

    planned: EmissionBatch
    people: Sequence[tuple[Person, date | None]]


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
    lots = list(_lots(session, plan.id, _due(last, until), rules.batch_limit, actor=actor, now=now))
    ids = _write_batches(session, lots, rules, actor, now)
    cards = _write_cards(session, ids, lots, rules)
    audit.record_many(session, [Note(actor.reference, "batch.plan", "batch", str(one), now) for one in ids])
    plan.frozen_until = last
    return Frozen(tuple(ids), cards)


def _due(last: date, until: Mapping[str, date]) -> ColumnElement[bool]:
    """Planned batches until a day; of lines in `until`, until theirs."""
    early = [and_(EmissionBatch.line == code, EmissionBatch.day <= day) for code, day in until.items()]
    return or_(EmissionBatch.day <= last, *early)


def _lots(
    session: Session, plan_id: int, due: ColumnElement[bool], limit: int, *, actor: Actor, now: datetime
) -> Iterator[Lot]:
    """The planned batches that are due, in order, cut to the size of a lot, with those who may still have a card.

    Their applications are PLANNED from here on.
    """
    found = select(EmissionBatch).where(EmissionBatch.plan_id == plan_id, due)
    planned = {batch.position: batch for batch in session.scalars(found)}
    if not planned:
        return
    seats = _seats(session, plan_id, due)
    allowed = _planned(session, [seat.application_id for seat in seats], actor=actor, now=now)
    for position, group in groupby(seats, key=lambda seat: seat.position):
        people = [(allowed[seat.application_id], seat.promised_on) for seat in group if seat.application_id in allowed]
        for first in range(0, len(people), limit):
            yield Lot(planned[position], people[first : first + limit])


def _seats(session: Session, plan_id: int, due: ColumnElement[bool]) -> Sequence[Seat]:
    """(position, application_id, promised_on) of everybody in the batches that are due, in the order of production."""
    chosen = select(EmissionBatch.position).where(EmissionBatch.plan_id == plan_id, due)
    people = plan_people.people(session, EmissionSlot.plan_id == plan_id, EmissionSlot.position.in_(chosen))
    return session.execute(
        select(EmissionSlot.position.label("position"), people.c.application_id, EmissionSlot.promised_on)
        .join(EmissionSlot, EmissionSlot.id == people.c.slot_id)
        .order_by(EmissionSlot.position, EmissionSlot.kind, EmissionSlot.variant, people.c.place)
    ).all()


def _planned(session: Session, wanted: Sequence[int], *, actor: Actor, now: datetime) -> dict[int, Person]:
    """Those who still wait, by id; moved by the look itself, which is one write a person where a lock would be two."""
    found: dict[int, Person] = {}
    ordered, who = sorted(wanted), Application
    columns = (who.surname, who.name, who.replaces_card_id)
    for first in range(0, len(ordered), CHUNK):
        chosen = who.id.in_(ordered[first : first + CHUNK])
        # Not by `plan_people.waiting`, which gathers all who are barred in the region: these few are looked up.
        free = (chosen, ~barred(), ~held(who.resident_id))
        moved = move_found(session, who, ApplicationEvent.PLAN, *free, columns=columns, actor=actor, now=now)
        found |= {person.id: person for person in moved}
    return found


def _write_batches(
    session: Session, lots: Sequence[Lot], rules: BatchRules, actor: Actor, now: datetime
) -> Sequence[int]:
    """Insert a batch for each lot; returns their ids in the order of the lots."""
    rows = [
        {
            "number": f"B-{number:06d}",
            "planned_for": lot.planned.day,
            "point_id": lot.planned.point_id,
            "profile": lot.planned.variant,
            "transport": rules.transport,
            "line": lot.planned.line,
            "departs_on": lot.planned.departs_on,
            "planned_by": actor.staff_id,
            "planned_at": now,
            "version": 1,
        }
        for number, lot in zip(numbering.take(session, "batch", count=len(lots)), lots, strict=True)
    ]
    made = insert(Batch).returning(Batch.id, sort_by_parameter_order=True)
    return session.scalars(made, rows).all() if rows else []


def _write_cards(session: Session, batch_ids: Sequence[int], lots: Sequence[Lot], rules: BatchRules) -> int:
    """Insert the cards in the order of production, so that numbers rise along each batch; returns how many."""
    places = [(key, lot, *one) for key, lot in zip(batch_ids, lots, strict=True) for one in lot.people]
    rows = [
        {
            "number": make_card_number(rules.number_prefix, number),
            "application_id": person.id,
            "batch_id": batch_id,
            "resident_id": person.person_id,
            "state": CardState.PLANNED,
            "profile": lot.planned.variant,
            "printed_name": printed_name(person.surname, person.name),
            "expires_on": rules.policy.expires_on(lot.planned.day),
            "replaces_card_id": person.replaces_card_id,
            "promised_on": promised_on,
            "version": 1,
        }
        for number, (batch_id, lot, person, promised_on) in zip(
            numbering.take(session, "card", count=len(places)), places, strict=True
        )
    ]
    insert_rows(session, Card, rows)
    return len(rows)
