"""The policy as the office changes it: dated rules with their act, proposed by one person and confirmed by another.

The settings hold the policy an installation begins with; the confirmed changes lie over it (`book`), and their list is
its history. What a change moves (`phase_effects`) is counted when it is proposed, shown, and counted again when it is
confirmed: if it moved meanwhile, it is shown anew. Confirming re-counts at once what follows from the rules of past
days: promised dates of applications (those people are told), windows of notices; voids lists that were computed by
other rules; and asks for a run of the plan. Confirmations wait for each other, so that each is over the one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, Stale
from uec.domain.lifecycle import advance
from uec.domain.permissions import Permission
from uec.domain.phases import CHANGE, ChangeEvent, ChangeState
from uec.domain.policy import PolicyBook, rule_of, sensible
from uec.domain.texts import typed
from uec.services import numbering, phase_effects
from uec.services.notices import display_name, refuse_same
from uec.services.phase_effects import Amendment
from uec.services.rows import locked
from uec.store import audit
from uec.store.tables import PolicyChange


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
    valid_from, act = sensible(valid_from, "valid_from"), typed(act)
    if not act:
        raise InvalidInput("Name the act or order behind the change.", field="act")
    if not rules:
        raise InvalidInput("Change at least one rule.", field="rule")
    new = {name: rule_of(name, text) for name, text in rules.items()}
    for value in new.values():
        if isinstance(value, date):
            sensible(value, "value")
    present = book(session, base)
    if all(getattr(present.on(valid_from), name) == value for name, value in new.items()):
        raise InvalidInput("On that day the rule has this value already.", field="value")
    change = PolicyChange(
        valid_from=valid_from,
        rules=_stored(new),
        act=act,
        effects=phase_effects.count(session, Amendment.of(present, new, valid_from), now),
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
    numbering.take(session, "policy", count=0)  # another confirmation waits here, and then counts with this one
    change = locked(session, PolicyChange, change_id)
    refuse_same(change.proposed_by, actor)
    advance(CHANGE, change.state, ChangeEvent.CONFIRM)
    amendment = Amendment.of(book(session, base), _values(change.rules), change.valid_from)
    moves = phase_effects.count(session, amendment, now)
    change.effects = moves
    if moves != dict(shown):
        session.commit()
        raise Stale("The change moves something else by now: look at it again before you confirm it.", kind="change")
    change.state = advance(CHANGE, change.state, ChangeEvent.CONFIRM)
    change.decided_by, change.decided_at = actor.staff_id, now
    session.flush()
    phase_effects.apply(session, amendment, change.id, actor=actor, now=now)
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
