"""Roles and actors: separate duties stay separate."""

from importlib import import_module
from itertools import combinations
from pkgutil import iter_modules

import pytest

from uec import domain, services
from uec.domain.actors import CITIZEN, Actor, system_actor
from uec.domain.errors import NotAllowed, NotFound, UecError
from uec.domain.permissions import ROLE_PERMISSIONS, Permission, Role, permissions_of

SEPARATE = {
    Permission.TAKE_APPLICATION,
    Permission.DECIDE_APPLICATION,
    Permission.RELEASE_BATCH,
    Permission.PRODUCE_CARD,
    Permission.MANAGE_STAFF,
    Permission.VIEW_AUDIT,
}


def test_no_role_holds_two_separate_duties() -> None:
    for role, permissions in ROLE_PERMISSIONS.items():
        assert len(permissions & SEPARATE) <= 1, role
    assert set(ROLE_PERMISSIONS) == set(Role)


def test_every_permission_is_given_by_some_role() -> None:
    assert permissions_of(Role) == frozenset(Permission)


def test_roles_add_up() -> None:
    for one, two in combinations(Role, 2):
        assert permissions_of([one, two]) == permissions_of([one]) | permissions_of([two])
    assert permissions_of([]) == frozenset()


def test_actor_requires() -> None:
    actor = Actor("staff", 7, "А. Петрова", permissions_of([Role.OFFICER]), point_id=1)
    actor.require(Permission.DECIDE_APPLICATION)
    with pytest.raises(NotAllowed, match="TAKE_APPLICATION") as caught:
        actor.require(Permission.TAKE_APPLICATION)
    assert (caught.value.actor, caught.value.permission) == ("staff:7", Permission.TAKE_APPLICATION)
    assert (actor.reference, actor.staff_id) == ("staff:7", 7)


def test_system_and_citizen() -> None:
    worker = system_actor("worker")
    assert (worker.reference, worker.staff_id) == ("system:worker", None)
    assert all(worker.may(permission) for permission in Permission)
    assert not any(CITIZEN.may(permission) for permission in Permission)


def test_errors_carry_facts() -> None:
    error = NotFound("There is no card 5.", kind="card", id=5)
    assert (str(error), error.message, error.kind, error.id, error.code) == (
        "There is no card 5.", "There is no card 5.", "card", 5, "uec.not_found",
    )  # fmt: skip
    with pytest.raises(AttributeError):
        _ = error.nothing


def test_codes_are_unique() -> None:
    def family(kind: type[UecError]) -> list[type[UecError]]:
        return [kind, *(item for sub in kind.__subclasses__() for item in family(sub))]

    for room in (domain, services):
        for module in iter_modules(room.__path__, f"{room.__name__}."):
            import_module(module.name)
    codes = [kind.code for kind in dict.fromkeys(family(UecError))]
    assert len(codes) == len(set(codes))
