"""Staff: accounts, roles, and the door that locks."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor, system_actor
from uec.domain.errors import AccountLocked, InvalidInput, NotAllowed, NotFound, SignInRefused
from uec.domain.permissions import Permission, Role, permissions_of
from uec.services import staff
from uec.services.passwords import ScryptCost, WeakPassword, hash_password, password_fits
from uec.store.tables import AuditEntry, Staff

NOW = datetime(2014, 6, 2, 9, 30, tzinfo=UTC)
QUICK = ScryptCost(n=16, r=1, p=1)
PASSWORD = "крепкий пароль 1"  # a made-up one, for tests
SYSTEM = system_actor("cli")


def add(session: Session, login: str = "petrova", *roles: Role, actor: Actor = SYSTEM) -> staff.StaffView:
    return staff.create(
        session,
        login=login,
        display_name="Анна Петрова",
        password=PASSWORD,
        roles=roles or [Role.OPERATOR],
        actor=actor,
        now=NOW,
        random=os.urandom,
        cost=QUICK,
    )


def actions(session: Session) -> list[str]:
    return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


def test_the_password_opens_and_the_roles_count(session: Session) -> None:
    person = add(session, " Petrova ", Role.OPERATOR, Role.OFFICER)
    assert (person.login, person.roles) == ("petrova", (Role.OFFICER, Role.OPERATOR))
    actor = staff.sign_in(session, "PETROVA ", PASSWORD, NOW)
    assert (actor.staff_id, actor.display) == (person.id, "Анна Петрова")
    assert actor.permissions == permissions_of([Role.OPERATOR, Role.OFFICER])
    assert staff.actor_of(session, person.id) == actor
    assert actions(session) == ["staff.create", "staff.sign_in"]


def test_the_hash_is_salted_and_hides_the_password(session: Session) -> None:
    add(session)
    add(session, "sidorova")
    one, two = session.scalars(select(Staff.password_hash))
    assert one != two
    assert PASSWORD not in one
    assert one.startswith("scrypt$16$1$1$")


@pytest.mark.parametrize("login", ["petrova", "nobody"])
def test_refusals_do_not_tell_who_exists(session: Session, login: str) -> None:
    add(session)
    with pytest.raises(SignInRefused) as caught:
        staff.sign_in(session, login, "wrong password", NOW)
    assert type(caught.value) is SignInRefused
    assert caught.value.message == "The login or the password is wrong; try again."


def test_five_wrong_passwords_lock_for_a_while(session: Session) -> None:
    person = add(session)
    for _ in range(staff.FAILURES_ALLOWED):
        with pytest.raises(SignInRefused):
            staff.sign_in(session, "petrova", "wrong password", NOW)
    with pytest.raises(AccountLocked) as caught:
        staff.sign_in(session, "petrova", PASSWORD, NOW + staff.LOCK - timedelta(seconds=1))
    assert caught.value.until == NOW + staff.LOCK
    assert staff.sign_in(session, "petrova", PASSWORD, NOW + staff.LOCK).staff_id == person.id
    assert actions(session).count("staff.locked") == 1
    assert staff.find(session, "petrova").locked_until is None


def test_a_good_sign_in_forgets_earlier_failures(session: Session) -> None:
    add(session)
    for _ in range(3):
        for _ in range(staff.FAILURES_ALLOWED - 1):
            with pytest.raises(SignInRefused):
                staff.sign_in(session, "petrova", "wrong password", NOW)
        staff.sign_in(session, "petrova", PASSWORD, NOW)


def test_a_closed_account_does_not_open(session: Session) -> None:
    person = add(session)
    assert not staff.set_active(session, person.id, active=False, actor=SYSTEM, now=NOW).active
    with pytest.raises(SignInRefused):
        staff.sign_in(session, "petrova", PASSWORD, NOW)
    assert staff.actor_of(session, person.id) is None
    assert staff.actor_of(session, 999) is None
    staff.set_active(session, person.id, active=True, actor=SYSTEM, now=NOW)
    staff.sign_in(session, "petrova", PASSWORD, NOW)


def test_roles_and_passwords_change(session: Session) -> None:
    person = add(session, "petrova", Role.OPERATOR, Role.OFFICER)
    changed = staff.set_roles(session, person.id, roles=[Role.OFFICER, Role.AUDITOR], actor=SYSTEM, now=NOW)
    assert changed.roles == (Role.AUDITOR, Role.OFFICER)
    actor = staff.sign_in(session, "petrova", PASSWORD, NOW)
    staff.set_password(
        session, person.id, password="another good one", actor=actor, now=NOW, random=os.urandom, cost=QUICK
    )
    with pytest.raises(SignInRefused):
        staff.sign_in(session, "petrova", PASSWORD, NOW)
    staff.sign_in(session, "petrova", "another good one", NOW)
    assert [view.login for view in staff.list_staff(session)] == ["petrova"]


def test_only_administrators_manage_and_never_themselves(session: Session) -> None:
    admin_view = add(session, "admin", Role.ADMIN)
    admin = staff.sign_in(session, "admin", PASSWORD, NOW)
    operator_view = add(session, "operator", Role.OPERATOR, actor=admin)
    operator = staff.sign_in(session, "operator", PASSWORD, NOW)
    with pytest.raises(NotAllowed):
        add(session, "friend", Role.ADMIN, actor=operator)
    with pytest.raises(NotAllowed):
        staff.set_password(
            session, admin_view.id, password="another good one", actor=operator, now=NOW, random=os.urandom
        )
    with pytest.raises(NotAllowed):
        staff.set_roles(session, operator_view.id, roles=[Role.ADMIN], actor=operator, now=NOW)
    with pytest.raises(NotAllowed, match="own roles"):
        staff.set_roles(session, admin_view.id, roles=list(Role), actor=admin, now=NOW)
    with pytest.raises(NotAllowed, match="own account"):
        staff.set_active(session, admin_view.id, active=False, actor=admin, now=NOW)
    assert Permission.MANAGE_STAFF in admin.permissions


def test_bad_accounts_are_refused_and_nothing_stays(session: Session) -> None:
    add(session)
    with pytest.raises(InvalidInput, match="taken"):
        add(session)
    with pytest.raises(InvalidInput, match="Latin letters"):
        add(session, "Петрова")
    with pytest.raises(InvalidInput, match="name to show"):
        staff.create(session, login="xyz", display_name=" ", password=PASSWORD, roles=[], actor=SYSTEM, now=NOW,
                     random=os.urandom)  # fmt: skip
    with pytest.raises(InvalidInput, match="no issuance point"):
        staff.create(session, login="xyz", display_name="X", password=PASSWORD, roles=[], actor=SYSTEM, now=NOW,
                     random=os.urandom, point_id=77, cost=QUICK)  # fmt: skip
    with pytest.raises(NotFound):
        staff.find(session, "nobody")
    with pytest.raises(NotFound):
        staff.set_active(session, 999, active=True, actor=SYSTEM, now=NOW)
    assert [view.login for view in staff.list_staff(session)] == ["petrova"]
    assert actions(session) == ["staff.create"]


@pytest.mark.parametrize(
    ("password", "reason"),
    [("short", "short"), ("x" * 201, "long"), ("my-Petrova-1", "login"), ("ababababab", "monotone")],
)
def test_weak_passwords(session: Session, password: str, reason: str) -> None:
    with pytest.raises(WeakPassword) as caught:
        staff.create(session, login="petrova", display_name="X", password=password, roles=[], actor=SYSTEM, now=NOW,
                     random=os.urandom)  # fmt: skip
    assert caught.value.reason == reason


def test_hashes_are_standard_scrypt() -> None:
    # RFC 7914, section 12, second vector: password, NaCl, N=1024, r=8, p=16, first 32 of its 64 bytes.
    stored = hash_password("password", random=lambda n: b"NaCl", cost=ScryptCost(1024, 8, 16))
    import base64

    assert base64.b64decode(stored.split("$")[5]).hex().startswith("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830")
    assert password_fits("password", stored)
    assert not password_fits("Password", stored)
    with pytest.raises(ValueError, match="unknown kind"):
        password_fits("password", stored.replace("scrypt", "md5"))
