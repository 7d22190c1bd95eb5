"""What follows from a change of the policy: counted to be shown before it is confirmed, and moved when it is.

Both go by the same look: everything that stands by a day (an application by its registration, a notice by its
publication, a list by its own day) is asked what the rules of that day say with the change and without it. So a change
moves nothing of a time for which another one says otherwise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import COHORT, ApplicationState, CardState, CohortEvent, CohortState, Route, advance
from uec.domain.phases import ChangeState
from uec.domain.policy import Policy, PolicyBook
from uec.services import messages, schedule
from uec.services.cohort_rules import entitled
from uec.services.intake import CLOSED
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Application, Card, Cohort, PublicNotice, Resident

_CLOCKS = ("production_days", "replacement_days")
_PLANNED_BY = ("production_days", "replacement_days", "mass_emission_from")
_ENTITLING = ("entitled_age_years", "mass_emission_from")
_STANDING = (CohortState.DRAFT, CohortState.PROPOSED, CohortState.APPROVED)


@dataclass(frozen=True)
class Amendment:
    """The policy without a change and with it; they are the same before its first day."""

    before: PolicyBook
    after: PolicyBook
    valid_from: date

    @classmethod
    def of(cls, book: PolicyBook, rules: Mapping[str, Any], valid_from: date) -> "Amendment":
        """The amendment of a book by rules from a day on."""
        return cls(book, book.amended([(valid_from, rules)]), valid_from)

    def touches(self, *names: str) -> bool:
        """Whether one of these rules has another value on the first day."""
        return any(self._differs(name, self.valid_from) for name in names)

    def until(self, name: str) -> date | None:
        """The day from which on a rule that is touched has its old value again, by another change; None for never."""
        later = (day for day, _policy in self.after.changes if day > self.valid_from)
        return next((day for day in sorted(later) if not self._differs(name, day)), None)

    def on(self, day: date) -> tuple[Policy, Policy]:
        """The policies of a day, without and with the change."""
        return self.before.on(day), self.after.on(day)

    def _differs(self, name: str, day: date) -> bool:
        return bool(getattr(self.before.on(day), name) != getattr(self.after.on(day), name))


@dataclass(frozen=True)
class Window:
    """A notice whose last days move, each without and with the change."""

    notice: PublicNotice
    refusal: tuple[date, date]
    bank: tuple[date, date]


def count(session: Session, change: Amendment, now: datetime) -> dict[str, Any]:
    """What the change would move, as JSON for the page and for whoever confirms it by what was shown."""
    counted: dict[str, Any] = {}
    for clock in _CLOCKS:
        if change.touches(clock):
            moved = select(func.count()).select_from(Application).where(*_promises(change, clock))
            counted[clock] = {"applications": session.scalar(moved) or 0, "days": _days_moved(change, clock)}
    voided = [cohort for cohort in session.scalars(_touched(change)) if _moves_list(change, cohort)]
    if voided:
        counted["lists"] = [cohort.number for cohort in voided]
        counted["opened"] = sum(cohort.opened for cohort in voided)
    windows = [_as_facts(one) for one in _windows(session, change)]
    if windows:
        counted["windows"] = windows
    if change.touches("storage_days"):
        lying = select(func.count()).select_from(Card).where(Card.state == CardState.PERSONALISED)
        counted["stored"] = session.scalar(lying) or 0
    if change.touches(*_PLANNED_BY):
        counted["plan"] = True
    if change.touches("mass_emission_from"):
        counted["waiting"] = _waiting(session, change, now)
    if change.touches(*_ENTITLING):
        counted["people"] = _entitled(session, change, now)
    return counted


def apply(session: Session, change: Amendment, change_id: int, *, actor: Actor, now: datetime) -> None:
    """Move what `count` has counted; the caller commits."""
    for clock in _CLOCKS:
        if change.touches(clock):
            _move_promises(session, change, clock, change_id=change_id, actor=actor, now=now)
    if change.touches(*_PLANNED_BY):
        # The plan follows at once, by a worker; whose promised day it moves is told by it.
        schedule.ask(session, "plan", asked_by=actor.reference, now=now)
    for cohort in session.scalars(_touched(change).with_for_update()):
        if _moves_list(change, cohort):
            cohort.state = advance(COHORT, cohort.state, CohortEvent.DISCARD)
            details = {"number": cohort.number, "change": change_id}
            note = Note(actor.reference, "cohort.void", "cohort", str(cohort.id), now, None, details)
            audit.record_many(session, [note])
    for one in _windows(session, change):
        one.notice.refusal_until, one.notice.bank_until = one.refusal[1], one.bank[1]
        if max(one.refusal[1], one.bank[1]) >= change.after.day(now):
            one.notice.closing = None  # open again, and counted when that time is over


def _promises(change: Amendment, clock: str) -> list[ColumnElement[bool]]:
    """Applications that wait for a card, registered while the change says something else of their clock."""
    first = Application.replaces_card_id.is_(None)
    until = change.until(clock)
    return [
        first if clock == "production_days" else ~first,
        # Whose card lies at its point has it in time, or has not; either is done.
        Application.state.not_in([*CLOSED, ApplicationState.READY]),
        Application.submitted_at >= _midnight(change, change.valid_from),
        *([] if until is None else [Application.submitted_at < _midnight(change, until)]),
    ]


def _midnight(change: Amendment, day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=change.after.zone)


def _days_moved(change: Amendment, clock: str) -> int:
    old, new = change.on(change.valid_from)
    return int(getattr(new, clock)) - int(getattr(old, clock))


def _touched(change: Amendment) -> Select[Cohort]:
    """Lists that are computed and not void, of days for which the change may say something else."""
    standing = (Cohort.state.in_(_STANDING), Cohort.asked_at.is_(None), Cohort.as_of >= change.valid_from)
    return select(Cohort).where(*standing).order_by(Cohort.id)


def _moves_list(change: Amendment, cohort: Cohort) -> bool:
    """Whether other people are entitled on the day of the list now."""
    old, new = change.on(cohort.as_of)
    ages = old.entitled_age_years, new.entitled_age_years
    return ages[0] != ages[1] or old.mass_emission_open(cohort.as_of) != new.mass_emission_open(cohort.as_of)


def _windows(session: Session, change: Amendment) -> Iterator[Window]:
    """The notices that get other windows."""
    standing = PublicNotice.state != ChangeState.WITHDRAWN
    found = select(PublicNotice).where(standing, PublicNotice.published_on >= change.valid_from)
    for notice in session.scalars(found.order_by(PublicNotice.id)).all():
        old, new = change.on(notice.published_on)
        if _lengths(old) == _lengths(new):
            continue
        refusal = notice.published_on + timedelta(days=new.refusal_window_days)
        bank = notice.published_on + timedelta(days=new.bank_choice_days)
        yield Window(notice, (notice.refusal_until, refusal), (notice.bank_until, bank))


def _lengths(policy: Policy) -> tuple[int, int]:
    return policy.refusal_window_days, policy.bank_choice_days


def _as_facts(one: Window) -> dict[str, Any]:
    return {
        "published_on": one.notice.published_on.isoformat(),
        "refusal": [day.isoformat() for day in one.refusal],
        "bank": [day.isoformat() for day in one.bank],
    }


def _waiting(session: Session, change: Amendment, now: datetime) -> dict[str, Any]:
    """Who of the mass emission waits for the plan, and from which day on it may make their cards, by the change."""
    waits = (Application.route == Route.MASS, Application.state == ApplicationState.APPROVED)
    today = change.after.day(now)
    _old, new = change.on(max(change.valid_from, today))
    return {
        "applications": session.scalar(select(func.count()).select_from(Application).where(*waits)) or 0,
        "day": max(new.mass_emission_from, today).isoformat(),
    }


def _entitled(session: Session, change: Amendment, now: datetime) -> dict[str, Any]:
    """Whom mass emission would serve without and with the change, on the first day on which that differs."""
    starts = change.on(change.valid_from)
    begins = {one.mass_emission_from for one in starts}
    # The first day of one of the two, if they differ: until then the other serves nobody, or both.
    day = max(change.valid_from, change.after.day(now), min(begins))
    before, after = (_people(session, day, policy) for policy in change.on(day))
    return {"day": day.isoformat(), "before": before, "after": after}


def _people(session: Session, day: date, policy: Policy) -> int:
    if not policy.mass_emission_open(day):
        return 0
    return session.scalar(select(func.count()).select_from(Resident).where(*entitled(day, policy))) or 0


def _move_promises(
    session: Session, change: Amendment, clock: str, *, change_id: int, actor: Actor, now: datetime
) -> None:
    days = _days_moved(change, clock)
    postgresql = session.get_bind().dialect.name == "postgresql"
    later = Application.due_on + days if postgresql else func.date(Application.due_on, f"{days:+d} days")
    moved = update(Application).where(*_promises(change, clock))
    moved = moved.values(due_on=later, version=Application.version + 1)
    rows = session.execute(
        moved.returning(Application.id, Application.resident_id, Application.due_on),
        execution_options={"synchronize_session": False},
    ).all()
    details = {"change": change_id, "days": days}
    told = ((row, due_on - timedelta(days=days), due_on) for row, _person, due_on in rows)
    messages.promise_moved(session, told, occasion=f"policy:{change_id}", now=now)
    audit.record_many(
        session,
        [
            Note(actor.reference, "application.move-promise", "application", str(row), now, person, details)
            for row, person, _due_on in rows
        ],
    )
