"""Hides how the members of a list lie in the database: arrays of ids, one a municipality, age band, sex and block.

One row a member would be 1.4 million rows with their keys for each list that somebody computes; so it is some ten
thousand, written by the statement that scans the register once, and they are the breakdown as well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Integer,
    Select,
    String,
    case,
    cast,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    true,
    update,
)
from sqlalchemy.orm import Session

from uec.domain.policy import Policy
from uec.services.cohort_rules import BANDS, age_band, entitled
from uec.services.merkle import merkle_root
from uec.store.tables import CohortPart, Resident

BLOCK_BITS = 16
SEXES = ("F", "M")
_PLACES = 10**8
CHUNK = 10_000


@dataclass(frozen=True)
class Share:
    """How many members of one kind a list has."""

    oktmo: str
    band: str
    sex: str
    count: int


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
        wanted.append(Resident.oktmo.in_(oktmo))
    if limit is not None:
        first = select(Resident.id).where(*wanted).order_by(Resident.id).limit(limit)
        wanted = [Resident.id.in_(first)]
    if _postgresql(session):
        # The planner expects a million kinds where there are some ten thousand, and would sort for them.
        session.execute(text("SET LOCAL work_mem = '256MB'"))
        session.execute(text("SET LOCAL enable_sort = off"))
        session.execute(text("SET LOCAL jit = off"))
    session.execute(_chosen(session, cohort_id, as_of, wanted))
    if _postgresql(session):
        session.execute(text("SET LOCAL enable_sort = on"))
    return session.scalar(select(func.sum(CohortPart.count)).where(CohortPart.cohort_id == cohort_id)) or 0


def _chosen(session: Session, cohort_id: int, as_of: date, wanted: list[ColumnElement[bool]]) -> Insert:
    postgresql = _postgresql(session)
    gather = func.array_agg if postgresql else func.json_group_array
    block = cast(Resident.id.op(">>")(literal(BLOCK_BITS, Integer)), BigInteger)
    place = cast(func.substr(Resident.oktmo, 1, 8), Integer)
    sex = case((Resident.sex == SEXES[0], 0), else_=1)
    # Block, municipality, age and sex as one number: a million rows are grouped by an integer, not by four values.
    key = ((block * _PLACES + place) * len(BANDS) + age_band(as_of)) * len(SEXES) + sex
    kinds = select(key.label("key"), func.count().label("count"), gather(Resident.id).label("members"))
    kinds = kinds.where(*wanted).group_by("key")
    found = kinds.subquery()
    rest = found.c.key.op("/")(literal_column(str(len(SEXES))))
    place_again = rest.op("/")(literal_column(str(len(BANDS)))).op("%")(literal_column(str(_PLACES)))
    padded = func.lpad(cast(place_again, String), 8, "0") if postgresql else func.printf("%08d", place_again)
    decoded = select(
        cast(literal(cohort_id), Integer),
        cast(rest.op("/")(literal_column(str(len(BANDS) * _PLACES))), Integer),
        padded,
        _named(rest.op("%")(literal_column(str(len(BANDS)))), BANDS),
        _named(found.c.key.op("%")(literal_column(str(len(SEXES)))), SEXES),
        found.c.count,
        found.c.members,
    )
    columns = ["cohort_id", "block", "oktmo", "band", "sex", "count", "members"]
    return insert(CohortPart).from_select(columns, decoded, include_defaults=False)


def _named(place: ColumnElement[int], names: Sequence[str]) -> ColumnElement[str]:
    return case(*((place == number, name) for number, name in enumerate(names[:-1])), else_=names[-1])


def member_ids(session: Session, cohort_id: int) -> Select[tuple[int]]:
    """A query of the ids of the residents on a list."""
    if _postgresql(session):
        return select(func.unnest(CohortPart.members).label("id")).where(CohortPart.cohort_id == cohort_id)
    each = func.json_each(CohortPart.members).table_valued("value")
    found = select(each.c.value.label("id")).select_from(CohortPart).join(each, true())
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
    return merkle_root(register_id.encode() for register_id in session.scalars(members)).hex()


def breakdown(session: Session, cohort_id: int) -> list[Share]:
    """How many members of each municipality, age band and sex."""
    kinds = (CohortPart.oktmo, CohortPart.band, CohortPart.sex)
    found = select(*kinds, func.sum(CohortPart.count)).where(CohortPart.cohort_id == cohort_id)
    return [Share(*row) for row in session.execute(found.group_by(*kinds).order_by(*kinds))]


def page_of(
    session: Session, cohort_id: int, *, after: int = 0, limit: int = 25, oktmo: str = "", band: str = "", sex: str = ""
) -> list[int]:
    """The next ids on a list above `after`, of one kind or of all; reads no more blocks than it needs."""
    wanted = [CohortPart.cohort_id == cohort_id]
    wanted += [CohortPart.oktmo == oktmo] if oktmo else []
    wanted += [CohortPart.band == band] if band else []
    wanted += [CohortPart.sex == sex] if sex else []
    found: list[int] = []
    for block in _blocks(session, wanted, after):
        parts = session.scalars(select(CohortPart.members).where(*wanted, CohortPart.block == block))
        found += sorted(one for part in parts for one in part if one > after)
        if len(found) >= limit:
            break
    return found[:limit]


def _blocks(session: Session, wanted: list[ColumnElement[bool]], after: int) -> Iterator[int]:
    blocks = select(CohortPart.block).where(*wanted, CohortPart.block >= after >> BLOCK_BITS).distinct()
    yield from session.scalars(blocks.order_by(CohortPart.block)).all()


def is_member(session: Session, cohort_id: int, resident_id: int) -> bool:
    """Whether a resident is on the list."""
    return _part_of(session, cohort_id, resident_id) is not None


def take_off(session: Session, cohort_id: int, resident_id: int) -> bool:
    """Take a resident off the list; False when nobody with this id was on it."""
    part = _part_of(session, cohort_id, resident_id)
    if part is None:
        return False
    left = [one for one in part.members if one != resident_id]
    key = {name: getattr(part, name) for name in ("cohort_id", "block", "oktmo", "band", "sex")}
    changed = update(CohortPart).filter_by(**key).values(members=left, count=len(left))
    session.execute(changed)
    return True


def _part_of(session: Session, cohort_id: int, resident_id: int) -> CohortPart | None:
    here = (CohortPart.cohort_id == cohort_id, CohortPart.block == resident_id >> BLOCK_BITS)
    for part in session.scalars(select(CohortPart).where(*here)):
        if resident_id in part.members:
            return part
    return None


def _postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
