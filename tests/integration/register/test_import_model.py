"""Any sequence of imports leaves exactly what a plain dictionary would hold: a model of the import, run beside it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.actors import system_actor
from uec.domain.register_row import COLUMNS, RowChecker
from uec.services.register import import_register
from uec.store.tables import Resident
from uec.synthetic.dirt import KINDS
from uec.synthetic.register import HEADER, lines

NOW = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
PEOPLE = [line.text.split(";") for line in lines(8, 21, dirty=0)]
ADDRESSES = ["г. Тюмень, ул. Мира, д. 1", "г. Ишим, ул. Мира, д. 2", ""]
# Whose row, with which address (an empty one is refused), spoiled or not.
rows = st.tuples(st.integers(0, len(PEOPLE) - 1), st.sampled_from(ADDRESSES), st.booleans())
exports = st.lists(st.lists(rows, max_size=10), min_size=1, max_size=4)


def row_of(person: int, address: str, spoiled: bool) -> list[str]:
    fields = list(PEOPLE[person])
    fields[COLUMNS.index("address")] = address
    if spoiled:
        fields[COLUMNS.index("sex")] = "X"
    return fields


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=20, deadline=None
)
@given(exports)
def test_imports_agree_with_a_dictionary(
    sessions: sessionmaker[Session], tmp_path: Path, exports: list[list[tuple[int, str, bool]]]
) -> None:
    with sessions() as session:
        session.execute(delete(Resident))
        session.commit()
    known: dict[str, tuple[str, ...]] = {}
    for turn, export in enumerate(exports):
        fields = [row_of(*row) for row in export]
        path = tmp_path / "register.csv"
        path.write_text("\n".join([HEADER, *(";".join(row) for row in fields)]) + "\n", encoding="utf-8")
        first: dict[str, tuple[str, ...]] = {}
        for row in fields:
            if row[COLUMNS.index("address")] and row[COLUMNS.index("sex")] != "X":
                first.setdefault(row[0], tuple(row))
        expected = (
            len(fields),
            sum(key not in known for key in first),
            sum(key in known and known[key] != row for key, row in first.items()),
            sum(known.get(key) == row for key, row in first.items()),
            len(fields) - len(first),
        )
        with sessions() as session:
            report = import_register(
                session,
                path=path,
                rejects_path=tmp_path / "rejects.csv",
                actor=system_actor("cli"),
                now=NOW + timedelta(days=turn),
            )
        assert (report.rows, report.imported, report.updated, report.unchanged, report.rejected) == expected
        known |= first
        with sessions() as session:
            stored = {
                row.register_id: tuple(_text(row, name) for name in COLUMNS)
                for row in session.scalars(select(Resident))
            }
        assert stored == known


def _text(row: Resident, name: str) -> str:
    value = getattr(row, name)
    return value.isoformat() if isinstance(value, date) else value or ""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_of_dirt_spoils_what_it_says(kind: object) -> None:
    from random import Random

    from uec.synthetic.dirt import Kind

    assert isinstance(kind, Kind)
    checker = RowChecker(date(2026, 1, 15), frozenset(person[COLUMNS.index("oktmo")] for person in PEOPLE))
    for seed, person in enumerate(PEOPLE):
        row = list(person)
        whole = kind.spoil(row, Random(seed))
        if kind.field in {"row", "register_id"}:
            assert whole is None or whole != ";".join(person)
            continue
        _, faults = checker.explain(row)
        found = [column for column, _ in faults]
        assert kind.field in found if kind.field else found == []
