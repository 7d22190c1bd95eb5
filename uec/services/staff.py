"""Hides how staff get in: accounts, roles, sign-in with lock-out; the refusal never says whether the login exists.

Five wrong passwords in a row lock an account for a quarter of an hour. The slow hash is computed outside of any
transaction, and the lock is looked at again afterwards: many guesses at once gain nothing.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import AccountLocked, InvalidInput, NotAllowed, NotFound, SignInRefused
from uec.domain.permissions import Permission, Role, permissions_of
from uec.services.passwords import ScryptCost, hash_password, password_fits, require_strong
from uec.store.audit import record
from uec.store.tables import Staff, StaffRole

FAILURES_ALLOWED = 5
LOCK = timedelta(minutes=15)
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,58}[a-z0-9]")
_REFUSED = "The login or the password is wrong; try again."
_COST = ScryptCost()
# A hash nobody's password fits: an unknown login costs the same time as a known one.
_NOBODY = f"scrypt${_COST.n}${_COST.r}${_COST.p}${'A' * 22}==${'A' * 43}="


@dataclass(frozen=True)
class StaffView:
    """A member of staff as pages and commands show them."""

    id: int
    login: str
    display_name: str
    roles: tuple[Role, ...]
    point_id: int | None
    active: bool
    locked_until: datetime | None


def create(
    session: Session,
    *,
    login: str,
    display_name: str,
    password: str,
    roles: Iterable[Role],
    actor: Actor,
    now: datetime,
    random: Callable[[int], bytes],
    point_id: int | None = None,
    cost: ScryptCost | None = None,
) -> StaffView:
    """Add a member of staff; raise `InvalidInput` for a bad or taken login, `WeakPassword` for a weak password."""
    actor.require(Permission.MANAGE_STAFF)
    name, shown = login.strip().lower(), " ".join(display_name.split())
    if not _LOGIN.fullmatch(name):
        raise InvalidInput("A login has 3 to 60 signs: Latin letters, digits, dot, hyphen, underscore.", login=name)
    if not shown or len(shown) > 120:
        raise InvalidInput("Give the name to show, up to 120 letters.", login=name)
    require_strong(password, name)
    person = Staff(
        login=name,
        display_name=shown,
        password_hash=hash_password(password, random=random, cost=cost),
        point_id=point_id,
        roles=[StaffRole(role=role) for role in sorted(set(roles))],
    )
    session.add(person)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        taken = session.scalar(select(Staff.id).where(Staff.login == name)) is not None
        text = f"The login {name} is taken; choose another." if taken else f"There is no issuance point {point_id}."
        raise InvalidInput(text, login=name) from error
    _note(session, "staff.create", person.id, actor, now, {"roles": sorted(set(roles)), "login": name})
    session.commit()
    return _view(person)


def sign_in(session: Session, login: str, password: str, now: datetime) -> Actor:
    """Return the actor behind login and password; raise `SignInRefused`, or `AccountLocked` after too many tries."""
    found = session.execute(
        select(Staff.id, Staff.password_hash).where(Staff.login == login.strip().lower(), Staff.active)
    ).first()
    session.commit()
    fits = password_fits(password[:1000], found.password_hash if found else _NOBODY)
    if found is None:
        raise SignInRefused(_REFUSED)
    person = session.scalars(select(Staff).where(Staff.id == found.id).with_for_update()).one()
    session.refresh(person)
    if person.locked_until is not None and now < person.locked_until:
        until = person.locked_until
        session.rollback()
        raise AccountLocked("Too many wrong passwords: the account is locked for a while; try later.", until=until)
    if not fits or not person.active:
        _count_failure(session, person, now)
        raise SignInRefused(_REFUSED)
    person.failed_sign_ins, person.locked_until = 0, None
    signed_in = _actor(person)
    _note(session, "staff.sign_in", person.id, signed_in, now, {})
    session.commit()
    return signed_in


def _count_failure(session: Session, person: Staff, now: datetime) -> None:
    person.failed_sign_ins += 1
    locked = person.failed_sign_ins >= FAILURES_ALLOWED
    if locked:
        person.locked_until, person.failed_sign_ins = now + LOCK, 0
    action = "staff.locked" if locked else "staff.sign_in_failed"
    record(session, actor="unknown", action=action, subject_kind="staff", subject_id=person.id, now=now)
    session.commit()


def actor_of(session: Session, staff_id: int) -> Actor | None:
    """Return the actor of an active member of staff with today's roles, or None."""
    person = session.get(Staff, staff_id)
    return _actor(person) if person is not None and person.active else None


def list_staff(session: Session) -> list[StaffView]:
    """Return everybody, by login."""
    return [_view(person) for person in session.scalars(select(Staff).order_by(Staff.login))]


def find(session: Session, login: str) -> StaffView:
    """Return a member of staff by login; raise `NotFound`."""
    person = session.scalars(select(Staff).where(Staff.login == login.strip().lower())).first()
    if person is None:
        raise NotFound(f"There is no member of staff {login}; look at `uec staff list`.", kind="staff", id=login)
    return _view(person)


def set_active(session: Session, staff_id: int, *, active: bool, actor: Actor, now: datetime) -> StaffView:
    """Open or close an account; nobody closes their own."""
    person = _changing(session, staff_id, actor)
    if not active and actor.staff_id == staff_id:
        raise NotAllowed("Nobody can close their own account; ask another administrator.", actor=actor.reference)
    person.active, person.failed_sign_ins, person.locked_until = active, 0, None
    return _changed(session, "staff.open" if active else "staff.close", person, actor, now)


def set_roles(session: Session, staff_id: int, *, roles: Iterable[Role], actor: Actor, now: datetime) -> StaffView:
    """Give a member of staff exactly these roles; nobody changes their own."""
    person = _changing(session, staff_id, actor)
    if actor.staff_id == staff_id:
        raise NotAllowed("Nobody can change their own roles; ask another administrator.", actor=actor.reference)
    wanted = set(roles)
    kept = [row for row in person.roles if row.role in wanted]
    person.roles = kept + [StaffRole(role=role) for role in sorted(wanted - {row.role for row in kept})]
    return _changed(session, "staff.set_roles", person, actor, now, {"roles": sorted(wanted)})


def set_password(
    session: Session,
    staff_id: int,
    *,
    password: str,
    actor: Actor,
    now: datetime,
    random: Callable[[int], bytes],
    cost: ScryptCost | None = None,
) -> StaffView:
    """Set a new password, one's own or (with MANAGE_STAFF) another's; the lock is lifted."""
    if actor.staff_id != staff_id:
        actor.require(Permission.MANAGE_STAFF)
    person = _existing(session, staff_id)
    require_strong(password, person.login)
    person.password_hash = hash_password(password, random=random, cost=cost)
    person.failed_sign_ins, person.locked_until = 0, None
    return _changed(session, "staff.set_password", person, actor, now)


def _changing(session: Session, staff_id: int, actor: Actor) -> Staff:
    actor.require(Permission.MANAGE_STAFF)
    return _existing(session, staff_id)


def _existing(session: Session, staff_id: int) -> Staff:
    person = session.get(Staff, staff_id)
    if person is None:
        raise NotFound(f"There is no member of staff {staff_id}.", kind="staff", id=staff_id)
    return person


def _changed(
    session: Session, action: str, person: Staff, actor: Actor, now: datetime, details: dict[str, Any] | None = None
) -> StaffView:
    _note(session, action, person.id, actor, now, details or {})
    session.commit()
    return _view(person)


def _note(session: Session, action: str, staff_id: int, actor: Actor, now: datetime, details: dict[str, Any]) -> None:
    record(
        session,
        actor=actor.reference,
        action=action,
        subject_kind="staff",
        subject_id=staff_id,
        now=now,
        details=details,
    )


def _actor(person: Staff) -> Actor:
    allowed = permissions_of(row.role for row in person.roles)
    return Actor("staff", person.id, person.display_name, allowed, person.point_id)


def _view(person: Staff) -> StaffView:
    return StaffView(
        id=person.id,
        login=person.login,
        display_name=person.display_name,
        roles=tuple(sorted(row.role for row in person.roles)),
        point_id=person.point_id,
        active=person.active,
        locked_until=person.locked_until,
    )
