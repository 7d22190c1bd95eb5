"""What an outsider needs to check an approved list by its root: everybody's register id, or the path of one person.

The leaves are the register's ids as UTF-8, in the order in which they are given out; the tree is that of RFC 6962,
section 2.1 (SHA-256 over 00 | leaf, and over 01 | left | right), a path that of section 2.1.1. Whoever has the root
that two people signed needs neither this program nor its database.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.actors import Actor
from uec.domain.errors import InvalidFile, NotFound
from uec.domain.permissions import Permission
from uec.services.cohort_members import member_ids
from uec.services.merkle import audit_path, merkle_root, root_of_path
from uec.services.rows import present
from uec.store import audit
from uec.store.engine import reading
from uec.store.tables import Cohort, Resident

CHUNK = 10_000
Sessions = sessionmaker[Session]


@dataclass(frozen=True)
class Checked:
    """What a file of register ids says: their root (hex), how many they are, and whether a person is among them."""

    root: str
    count: int
    holds: bool


@dataclass(frozen=True)
class Proof:
    """That one person is on a list: their place (from 0) among `count`, and the path (hex) from it to the root."""

    number: str
    root: str
    count: int
    place: int
    register_id: str
    path: list[str]

    def as_facts(self) -> dict[str, Any]:
        """The proof as JSON has it."""
        return asdict(self)


def members(sessions: Sessions, cohort_id: int, *, actor: Actor, now: datetime) -> Generator[str]:
    """The register ids of everybody on a list, in the order of its tree; the audit has that they were given out.

    However slowly they are taken, nobody who writes waits. Whoever may stop half way closes them.
    """
    actor.require(Permission.MANAGE_COHORT)
    with sessions() as session:
        _noted(session, present(session, Cohort, cohort_id), "give-members", actor, now)
    return _members(sessions, cohort_id)


def _members(sessions: Sessions, cohort_id: int) -> Generator[str]:
    with reading(sessions) as session:
        yield from _leaves(session, cohort_id)


def prove(sessions: Sessions, cohort_id: int, register_id: str, *, actor: Actor, now: datetime) -> Proof:
    """Prove that somebody is on a list without naming anybody else; raises `NotFound` for who is not on it."""
    actor.require(Permission.MANAGE_COHORT)
    with reading(sessions) as session:
        cohort = present(session, Cohort, cohort_id)
        resident_id = session.scalar(select(Resident.id).where(Resident.register_id == register_id))
        leaves = list(_leaves(session, cohort_id))
    if resident_id is None or register_id not in leaves:
        raise NotFound(
            f"{register_id} is not on list {cohort.number}: give the register id of somebody who is.",
            kind="resident",
            id=register_id,
        )
    place = leaves.index(register_id)
    path = audit_path([leaf.encode() for leaf in leaves], place)
    with sessions() as session:
        _noted(session, cohort, "prove-member", actor, now, resident_id=resident_id)
    return Proof(cohort.number, cohort.digest, len(leaves), place, register_id, [node.hex() for node in path])


def check_members(register_ids: Iterable[str], *, holds: str = "") -> Checked:
    """Compute the root over register ids in the order given; `holds` is somebody to look for."""
    count, found = 0, False

    def leaves() -> Iterator[bytes]:
        nonlocal count, found
        for register_id in register_ids:
            count += 1
            found = found or register_id == holds
            yield register_id.encode()

    root = merkle_root(leaves()).hex()
    return Checked(root, count, found)


def check_proof(facts: Mapping[str, Any]) -> str:
    """The root (hex) to which a proof leads, whatever root it names; raises `InvalidFile` for what is no proof.

    It binds the person alone: the same path may lead to the same root by another place and count, which prove nothing.
    """
    try:
        path = [bytes.fromhex(node) for node in facts["path"]]
        leaf, place, count = str(facts["register_id"]).encode(), int(facts["place"]), int(facts["count"])
        return root_of_path(leaf, place, count, path=path).hex()
    except (KeyError, TypeError, ValueError) as problem:
        raise InvalidFile("This is no proof of a place on a list: take it as it was given out.") from problem


def _leaves(session: Session, cohort_id: int) -> Iterator[str]:
    ids = member_ids(session, cohort_id).subquery()
    ordered = select(Resident.register_id).join(ids, ids.c.id == Resident.id).order_by(Resident.id)
    yield from session.scalars(ordered.execution_options(yield_per=CHUNK))


def _noted(
    session: Session, cohort: Cohort, action: str, actor: Actor, now: datetime, *, resident_id: int | None = None
) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"cohort.{action}",
        subject_kind="cohort",
        subject_id=cohort.id,
        person_id=resident_id,
        details={"number": cohort.number, "root": cohort.digest},
        now=now,
    )
    session.commit()
