"""The policy as the office changes it: dated rules with their act, proposed by one person and confirmed by another.

The settings hold the policy an installation begins with; the confirmed changes lie over it (`book`), and their list is
its history. What a change moves is counted when it is proposed, shown, and counted again when it is confirmed: if it
moved meanwhile, it is shown anew. Confirming re-counts at once what follows from the rules of past days: promised dates
of applications (those people are told), windows of notices; voids lists that were computed by other rules; and asks for
a run of the plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, Stale
from uec.domain.lifecycle import COHORT, CardState, CohortEvent, CohortState, advance
from uec.domain.permissions import Permission
from uec.domain.phases import CHANGE, ChangeEvent, ChangeState
from uec.domain.policy import Policy, PolicyBook, rule_of
from uec.domain.texts import typed
from uec.services import messages, schedule
from uec.services.cohort_rules import entitled
from uec.services.intake import CLOSED
from uec.services.notices import display_name, refuse_same
from uec.services.rows import locked
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Application, Card, Cohort, PolicyChange, PublicNotice, Resident

_CLOCKS = ("production_days", "replacement_days")
_WINDOWS = ("refusal_window_days", "bank_choice_days")
_PLANNED_BY = ("production_days", "replacement_days", "mass_emission_from", "on_application_from")
_ENTITLING = ("entitled_age_years", "mass_emission_from")


@dataclass(frozen=True)
class ChangeView:
    """A dated change with what it moves; `rules` are the new values."""

    id: int
    state: ChangeState
    valid_from: date
    rules: Mapping[str, Any]
    act: str
    effects: Mapping[str, Any]
    proposed_by: str | None
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None


def book(session: Session, base: PolicyBook) -> PolicyBook:
    """The policy of the settings with every confirmed change of the office."""
    confirmed = select(PolicyChange.valid_from, PolicyChange.rules).where(PolicyChange.state == ChangeState.CONFIRMED)
    rows = session.execute(confirmed.order_by(PolicyChange.decided_at, PolicyChange.id)).all()
    return base.amended([(valid_from, _values(rules)) for valid_from, rules in rows]) if rows else base


def propose(
    session: Session,
    *,
    rules: Mapping[str, str],
    valid_from: date,
    act: str,
    actor: Actor,
    base: PolicyBook,
    now: datetime,
) -> ChangeView:
    """Propose new values of rules from a day on, with the act behind them; raises `InvalidInput`."""
    actor.require(Permission.MANAGE_COHORT)
    act = typed(act)
    if not act:
        raise InvalidInput("Name the act or order behind the change.", field="act")
    if not rules:
        raise InvalidInput("Change at least one rule.", field="rule")
    new = {name: rule_of(name, text) for name, text in rules.items()}
    present = book(session, base)
    same = all(getattr(present.on(valid_from), name) == value for name, value in new.items())
    if same:
        raise InvalidInput("On that day the rule has this value already.", field="value")
    change = PolicyChange(
        valid_from=valid_from,
        rules=_stored(new),
        act=act,
        effects=effects(session, new, valid_from, present, now),
        proposed_by=actor.staff_id,
        proposed_at=now,
    )
    session.add(change)
    session.flush()
    return _told(session, change, "propose", actor, now)


def confirm(
    session: Session, change_id: int, *, shown: Mapping[str, Any], actor: Actor, base: PolicyBook, now: datetime
) -> ChangeView:
    """Confirm a change as another person, by the effects that were shown, and move what follows from it.

    Raises `SamePerson`, `IllegalMove`, and `Stale` when it would move something else by now: look again.
    """
    actor.require(Permission.APPROVE_COHORT)
    change = locked(session, PolicyChange, change_id)
    refuse_same(change.proposed_by, actor)
    advance(CHANGE, change.state, ChangeEvent.CONFIRM)
    before, new = book(session, base), _values(change.rules)
    moves = effects(session, new, change.valid_from, before, now)
    if moves != dict(shown):
        change.effects = moves
        session.commit()
        raise Stale("The change moves something else by now: look at it again before you confirm it.", kind="change")
    change.effects = moves
    change.state = advance(CHANGE, change.state, ChangeEvent.CONFIRM)
    change.decided_by, change.decided_at = actor.staff_id, now
    session.flush()
    _apply(session, new, change, before, actor, now)
    return _told(session, change, "confirm", actor, now)


def withdraw(session: Session, change_id: int, *, actor: Actor, now: datetime) -> ChangeView:
    """Take a proposed change back."""
    actor.require(Permission.MANAGE_COHORT)
    change = locked(session, PolicyChange, change_id)
    change.state = advance(CHANGE, change.state, ChangeEvent.WITHDRAW)
    change.decided_by, change.decided_at = actor.staff_id, now
    return _told(session, change, "withdraw", actor, now)


def list_changes(session: Session, *, actor: Actor) -> list[ChangeView]:
    """All changes, the newest first: the history of the policy."""
    actor.require(Permission.VIEW_BATCHES)
    return [_view(session, one) for one in session.scalars(select(PolicyChange).order_by(PolicyChange.id.desc()))]


def effects(
    session: Session, rules: Mapping[str, Any], valid_from: date, present: PolicyBook, now: datetime
) -> dict[str, Any]:
    """What the rules would move, counted: promised dates, lists, notices, and who is entitled before and after."""
    old = present.on(valid_from)
    new = present.amended([(valid_from, rules)])
    counted: dict[str, Any] = {}
    for clock in _CLOCKS:
        days = _days_moved(clock, rules, old)
        if days:
            moved = select(func.count()).select_from(Application).where(*_promises(clock, valid_from, old))
            counted[clock] = {"applications": session.scalar(moved) or 0, "days": days}
    lists = [cohort.number for cohort in _lists(session, rules, valid_from, old)]
    if lists:
        counted["lists"] = lists
    notices = _notices(session, rules, valid_from, old)
    if notices:
        counted["notices"] = len(notices)
    if rules.get("storage_days", old.storage_days) != old.storage_days:
        lying = select(func.count()).select_from(Card).where(Card.state == CardState.PERSONALISED)
        counted["stored"] = session.scalar(lying) or 0
    if any(name in rules and rules[name] != getattr(old, name) for name in _PLANNED_BY):
        counted["plan"] = True
    if any(name in rules and rules[name] != getattr(old, name) for name in _ENTITLING):
        day = max(valid_from, present.day(now), rules.get("mass_emission_from", valid_from))
        counted["people"] = {
            "day": day.isoformat(),
            "before": _people(session, day, present.on(day)),
            "after": _people(session, day, new.on(day)),
        }
    return counted


def _people(session: Session, day: date, policy: Policy) -> int:
    if not policy.mass_emission_open(day):
        return 0
    return session.scalar(select(func.count()).select_from(Resident).where(*entitled(day, policy))) or 0


def _days_moved(clock: str, rules: Mapping[str, Any], old: Policy) -> int:
    return int(rules.get(clock, getattr(old, clock))) - int(getattr(old, clock))


def _promises(clock: str, valid_from: date, old: Policy) -> list[ColumnElement[bool]]:
    """Open applications that were registered under the rule from that day on."""
    first = Application.replaces_card_id.is_(None)
    registered = valid_from + timedelta(days=int(getattr(old, clock)))
    return [
        first if clock == "production_days" else ~first,
        Application.state.not_in(CLOSED),
        Application.due_on >= registered,
    ]


def _lists(session: Session, rules: Mapping[str, Any], valid_from: date, old: Policy) -> list[Cohort]:
    """Lists somebody has put their name to, of a day for which other people are entitled now."""
    if not any(name in rules and rules[name] != getattr(old, name) for name in _ENTITLING):
        return []
    touched = select(Cohort).where(
        Cohort.state.in_([CohortState.PROPOSED, CohortState.APPROVED]), Cohort.as_of >= valid_from
    )
    if "entitled_age_years" not in rules:
        touched = touched.where(Cohort.as_of < rules["mass_emission_from"])
    return list(session.scalars(touched.order_by(Cohort.id)))


def _notices(session: Session, rules: Mapping[str, Any], valid_from: date, old: Policy) -> list[PublicNotice]:
    if not any(name in rules and rules[name] != getattr(old, name) for name in _WINDOWS):
        return []
    standing = PublicNotice.state != ChangeState.WITHDRAWN
    found = select(PublicNotice).where(standing, PublicNotice.published_on >= valid_from)
    return list(session.scalars(found.order_by(PublicNotice.id)))


def _apply(
    session: Session, rules: Mapping[str, Any], change: PolicyChange, before: PolicyBook, actor: Actor, now: datetime
) -> None:
    old = before.on(change.valid_from)
    new = before.amended([(change.valid_from, rules)])
    for clock in _CLOCKS:
        days = _days_moved(clock, rules, old)
        if days:
            _move_promises(session, clock, days, change, old, actor, now)
    if any(name in rules and rules[name] != getattr(old, name) for name in _PLANNED_BY):
        # The plan follows at once, by a worker; whose promised day it moves is told by it.
        schedule.ask(session, "plan", asked_by=actor.reference, now=now)
    for cohort in _lists(session, rules, change.valid_from, old):
        cohort.state = advance(COHORT, cohort.state, CohortEvent.EDIT)
        details = {"number": cohort.number, "change": change.id}
        note = Note(actor.reference, "cohort.void", "cohort", str(cohort.id), now, None, details)
        audit.record_many(session, [note])
    for notice in _notices(session, rules, change.valid_from, old):
        policy = new.on(notice.published_on)
        notice.refusal_until = notice.published_on + timedelta(days=policy.refusal_window_days)
        notice.bank_until = notice.published_on + timedelta(days=policy.bank_choice_days)


def _move_promises(
    session: Session, clock: str, days: int, change: PolicyChange, old: Policy, actor: Actor, now: datetime
) -> None:
    postgresql = session.get_bind().dialect.name == "postgresql"
    later = Application.due_on + days if postgresql else func.date(Application.due_on, f"{days:+d} days")
    moved = update(Application).where(*_promises(clock, change.valid_from, old))
    moved = moved.values(due_on=later, version=Application.version + 1)
    rows = session.execute(
        moved.returning(Application.id, Application.resident_id, Application.due_on),
        execution_options={"synchronize_session": False},
    ).all()
    details = {"change": change.id, "days": days}
    told = ((row, due_on - timedelta(days=days), due_on) for row, _person, due_on in rows)
    messages.promise_moved(session, told, occasion=f"policy:{change.id}", now=now)
    audit.record_many(
        session,
        [
            Note(actor.reference, "application.move-promise", "application", str(row), now, person, details)
            for row, person, _due_on in rows
        ],
    )


def _stored(rules: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in rules.items()}


def _values(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rule_of(name, str(value)) for name, value in stored.items()}


def _told(session: Session, change: PolicyChange, action: str, actor: Actor, now: datetime) -> ChangeView:
    audit.record(
        session,
        actor=actor.reference,
        action=f"policy.{action}",
        subject_kind="policy_change",
        subject_id=change.id,
        details={"valid_from": change.valid_from.isoformat(), **change.rules},
        now=now,
    )
    view = _view(session, change)
    session.commit()
    return view


def _view(session: Session, change: PolicyChange) -> ChangeView:
    return ChangeView(
        id=change.id,
        state=change.state,
        valid_from=change.valid_from,
        rules=_values(change.rules),
        act=change.act,
        effects=change.effects,
        proposed_by=display_name(session, change.proposed_by),
        proposed_at=change.proposed_at,
        decided_by=display_name(session, change.decided_by),
        decided_at=change.decided_at,
    )
