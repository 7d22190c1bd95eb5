"""Hides how the members of a list lie in the database: arrays of ids, one a municipality, age band and sex.

One row a member would be 1.4 million rows with their keys for each list that somebody computes; so it is some two
thousand, written by the statement that reads the register's index once, and they are the breakdown as well. A list is
paged kind by kind, within a kind in the order of the register.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from uec.domain.policy import Policy
from uec.services.cohort_rules import BANDS, age_band, entitled
from uec.services.merkle import merkle_root
from uec.store.arrays import each, gathered_ids, holds
from uec.store.gathering import gathered
from uec.store.steering import WHOLE, steered
from uec.store.tables import CohortPart, Resident

SEXES = ("F", "M")
CHUNK = 10_000
KIND = (CohortPart.oktmo, CohortPart.band, CohortPart.sex)


@dataclass(frozen=True)
class Share:
    """How many members of one kind a list has."""

    oktmo: str
    band: str
    sex: str
    count: int


@dataclass(frozen=True)
class Cursor:
    """Where a page of a list ends: a kind, and the id of a member of it."""

    oktmo: str
    band: str
    sex: str
    after: int

    def __str__(self) -> str:
        return f"{self.oktmo}.{self.band}.{self.sex}.{self.after}"

    @classmethod
    def parse(cls, written: str) -> "Cursor | None":
        """Read what `str` wrote; None for anything else."""
        oktmo, band, sex, after = (written.split(".") + [""] * 4)[:4]
        known = band in BANDS and sex in SEXES and after.isdecimal() and len(after) < 10
        return cls(oktmo, band, sex, int(after)) if known else None


def choose(
    session: Session,
    cohort_id: int,
    *,
    as_of: date,
    policy: Policy,
    oktmo: Sequence[str] = (),
    limit: int | None = None,
) -> int:
    """Put everybody entitled on an empty list, or those of some municipalities, or the first; returns how many."""
    wanted = entitled(as_of, policy)
    if oktmo:
        # The register may name a part of a municipality, by 11 digits.
        wanted.append(or_(Resident.oktmo.in_(oktmo), func.substr(Resident.oktmo, 1, 8).in_(oktmo)))
    if limit is not None:
        first = select(Resident.id).where(*wanted).order_by(Resident.id).limit(limit)
        wanted = [Resident.id.in_(first)]
    put(session, cohort_id, as_of, wanted)
    return session.scalar(select(func.sum(CohortPart.count)).where(CohortPart.cohort_id == cohort_id)) or 0


def put(session: Session, cohort_id: int, as_of: date, wanted: list[ColumnElement[bool]]) -> None:
    """Put residents who fulfil the conditions on an empty list, by kinds of the day `as_of`; the caller commits."""
    # Age and sex as one number: a million rows are grouped by two values, not by three.
    person = age_band(as_of) * len(SEXES) + case((Resident.sex == SEXES[0], 0), else_=1)
    place = func.substr(Resident.oktmo, 1, 8)
    members = gathered_ids(session, Resident.id).label("members")
    kinds = select(place.label("place"), person.label("person"), func.count().label("count"), members)
    columns = ["cohort_id", "oktmo", "band", "sex", "count", "members"]
    with gathered(session, "cohort_found", kinds.where(*wanted).group_by("place", "person")) as found:
        decoded = select(
            cast(literal(cohort_id), Integer),
            found.c.place,
            _named(found.c.person.op("/")(literal_column(str(len(SEXES)))), BANDS),
            _named(found.c.person.op("%")(literal_column(str(len(SEXES)))), SEXES),
            found.c.count,
            found.c.members,
        )
        session.execute(insert(CohortPart).from_select(columns, decoded, include_defaults=False))


def _named(place: ColumnElement[int], names: Sequence[str]) -> ColumnElement[str]:
    return case(*((place == number, name) for number, name in enumerate(names[:-1])), else_=names[-1])


def member_ids(session: Session, cohort_id: int) -> Select[int]:
    """A query of the ids of the residents on a list."""
    rows, member, _place = each(session, CohortPart.members)
    found = select(cast(member, Integer).label("id")).select_from(CohortPart).join(rows, true())
    return found.where(CohortPart.cohort_id == cohort_id)


def root(session: Session, cohort_id: int) -> str:
    """The Merkle root (hex) over the register's ids of the members, in the order of the residents' ids."""
    ids = member_ids(session, cohort_id).subquery()
    members = (
        select(Resident.register_id)
        .join(ids, ids.c.id == Resident.id)
        .order_by(Resident.id)
        .execution_options(yield_per=CHUNK)
    )
    with steered(session, WHOLE):
        return merkle_root(register_id.encode() for register_id in session.scalars(members)).hex()


def breakdown(session: Session, cohort_id: int) -> list[Share]:
    """How many members of each municipality, age band and sex."""
    found = select(*KIND, CohortPart.count).where(CohortPart.cohort_id == cohort_id, CohortPart.count > 0)
    return [Share(*row) for row in session.execute(found.order_by(*KIND))]


def page_of(
    session: Session,
    cohort_id: int,
    *,
    after: Cursor | None = None,
    limit: int = 25,
    oktmo: str = "",
    band: str = "",
    sex: str = "",
) -> list[Cursor]:
    """The next members of a list behind a cursor, of one kind or of all: each as the cursor that points at it."""
    wanted = [CohortPart.cohort_id == cohort_id]
    wanted += [column == value for column, value in zip(KIND, (oktmo, band, sex), strict=True) if value]
    found: list[Cursor] = []
    for part in _parts(session, wanted, after):
        mine = [CohortPart.cohort_id == cohort_id, tuple_(*KIND) == (part.oktmo, part.band, part.sex)]
        ids = _members(session, mine, part.after, limit - len(found))
        found += [Cursor(part.oktmo, part.band, part.sex, member) for member in ids]
        if len(found) >= limit:
            break
    return found


def _parts(session: Session, wanted: list[ColumnElement[bool]], after: Cursor | None) -> Iterator[Cursor]:
    """The kinds to read in their order, each as a cursor before its first member; the cursor's own kind goes on."""
    if after is None:
        begin: list[ColumnElement[bool]] = []
    else:
        here = (after.oktmo, after.band, after.sex)
        begin = [tuple_(*KIND) > here]
        if session.execute(select(*KIND).where(*wanted, tuple_(*KIND) == here)).first():
            yield after
    for kind in session.execute(select(*KIND).where(*wanted, *begin).order_by(*KIND)).all():
        yield Cursor(*kind, after=0)


def _members(session: Session, mine: list[ColumnElement[bool]], after: int, limit: int) -> Sequence[int]:
    rows, member, _place = each(session, CohortPart.members)
    found = select(cast(member, Integer).label("id")).select_from(CohortPart).join(rows, true()).where(*mine)
    return session.scalars(found.where(member > after).order_by("id").limit(limit)).all()


def is_member(session: Session, cohort_id: int, resident_id: int) -> bool:
    """Whether a resident is on the list."""
    return _kind_of(session, cohort_id, resident_id) is not None


def take_off(session: Session, cohort_id: int, resident_id: int) -> bool:
    """Take a resident off the list; False when nobody with this id was on it."""
    kind = _kind_of(session, cohort_id, resident_id)
    if kind is None:
        return False
    mine = (CohortPart.cohort_id == cohort_id, tuple_(*KIND) == kind)
    members = session.scalars(select(CohortPart.members).where(*mine)).one()
    left = [one for one in members if one != resident_id]
    session.execute(update(CohortPart).where(*mine).values(members=left, count=len(left)))
    return True


def _kind_of(session: Session, cohort_id: int, resident_id: int) -> tuple[str, str, str] | None:
    """Municipality, age and sex under which a resident is on the list."""
    on_list = select(*KIND).where(CohortPart.cohort_id == cohort_id, holds(session, CohortPart.members, resident_id))
    home = select(func.substr(Resident.oktmo, 1, 8)).where(Resident.id == resident_id).scalar_subquery()
    # Who has moved since then is on the list where the register had them.
    row = session.execute(on_list.where(CohortPart.oktmo == home)).first() or session.execute(on_list).first()
    return None if row is None else (row[0], row[1], row[2])
