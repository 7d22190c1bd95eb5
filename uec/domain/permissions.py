"""Hides which role may do what. Taking, deciding, releasing, producing and handing over are separate on purpose."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    """What a member of staff is employed for; one person may have several."""

    OPERATOR = "OPERATOR"
    OFFICER = "OFFICER"
    PLANNER = "PLANNER"
    RELEASER = "RELEASER"
    PRODUCER = "PRODUCER"
    SECURITY = "SECURITY"
    AUDITOR = "AUDITOR"
    ADMIN = "ADMIN"
    STOREKEEPER = "STOREKEEPER"
    QUALITY = "QUALITY"


class Permission(StrEnum):
    """One thing a person may do; services ask for these, never for roles."""

    TAKE_APPLICATION = "TAKE_APPLICATION"
    DECIDE_APPLICATION = "DECIDE_APPLICATION"
    PLAN_BATCH = "PLAN_BATCH"
    RELEASE_BATCH = "RELEASE_BATCH"
    PRODUCE_CARD = "PRODUCE_CARD"
    HAND_OVER_CARD = "HAND_OVER_CARD"
    MANAGE_CARD = "MANAGE_CARD"
    VIEW_PERSON = "VIEW_PERSON"
    VIEW_BATCHES = "VIEW_BATCHES"
    VIEW_AUDIT = "VIEW_AUDIT"
    MANAGE_STAFF = "MANAGE_STAFF"
    MANAGE_STATIONS = "MANAGE_STATIONS"
    MANAGE_COHORT = "MANAGE_COHORT"
    APPROVE_COHORT = "APPROVE_COHORT"
    VIEW_KEYS = "VIEW_KEYS"
    KEEP_STOCK = "KEEP_STOCK"
    OPERATE_SHIFT = "OPERATE_SHIFT"
    VIEW_STOCK = "VIEW_STOCK"
    DESTROY_STOCK = "DESTROY_STOCK"
    CONTROL_QUALITY = "CONTROL_QUALITY"
    VIEW_JOBS = "VIEW_JOBS"
    MANAGE_JOBS = "MANAGE_JOBS"
    EXPORT_LISTS = "EXPORT_LISTS"


_P = Permission

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OPERATOR: frozenset({_P.TAKE_APPLICATION, _P.HAND_OVER_CARD, _P.VIEW_PERSON, _P.OPERATE_SHIFT}),
    Role.OFFICER: frozenset({_P.DECIDE_APPLICATION, _P.VIEW_PERSON, _P.VIEW_BATCHES, _P.EXPORT_LISTS}),
    Role.PLANNER: frozenset({_P.PLAN_BATCH, _P.VIEW_BATCHES, _P.MANAGE_COHORT, _P.VIEW_JOBS, _P.EXPORT_LISTS}),
    Role.RELEASER: frozenset({_P.RELEASE_BATCH, _P.VIEW_BATCHES, _P.APPROVE_COHORT}),
    Role.PRODUCER: frozenset({_P.PRODUCE_CARD, _P.VIEW_BATCHES, _P.OPERATE_SHIFT}),
    Role.SECURITY: frozenset(
        {_P.MANAGE_CARD, _P.MANAGE_STATIONS, _P.VIEW_KEYS, _P.VIEW_PERSON, _P.VIEW_JOBS, _P.EXPORT_LISTS}
    ),
    Role.AUDITOR: frozenset(
        {_P.VIEW_AUDIT, _P.VIEW_KEYS, _P.VIEW_BATCHES, _P.VIEW_STOCK, _P.VIEW_JOBS, _P.EXPORT_LISTS}
    ),
    Role.ADMIN: frozenset({_P.MANAGE_STAFF, _P.VIEW_JOBS, _P.MANAGE_JOBS}),
    # Who keeps the blanks makes no cards of them; destroying takes a second person with either of these roles.
    Role.STOREKEEPER: frozenset({_P.KEEP_STOCK, _P.VIEW_STOCK, _P.DESTROY_STOCK, _P.EXPORT_LISTS}),
    Role.QUALITY: frozenset({_P.CONTROL_QUALITY, _P.VIEW_STOCK, _P.DESTROY_STOCK, _P.VIEW_BATCHES}),
}


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """Return the union of what the roles allow."""
    return frozenset().union(*(ROLE_PERMISSIONS[role] for role in roles))
