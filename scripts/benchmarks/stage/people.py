"""Points and an approved application for everybody alive, put into a register by statements; PostgreSQL only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from scripts.benchmarks.stage.loading import loading

COHORT_ID = 1000


def enter(url: str, *, points: int, as_of: date) -> None:
    """Enter points of unequal size, as towns are, and the applications of a list of everybody alive."""
    with loading(url, "application") as connection:
        for statement in _statements(points, as_of):
            connection.execute(statement.encode())


def _statements(points: int, as_of: date) -> Iterator[str]:
    oktmo = "(SELECT min(oktmo) FROM municipality)"
    yield (
        "INSERT INTO issuance_point (id, code, name_ru, name_en, address, oktmo, windows, daily_capacity) "
        f"SELECT n, 'P' || n, 'Пункт ' || n, 'Point ' || n, '-', {oktmo}, 5, 100 FROM generate_series(1, {points}) n"
    )
    yield (
        "INSERT INTO cohort (id, number, state, as_of, count, digest, created_at) "
        f"VALUES ({COHORT_ID}, 'C-1', 'DRAFT', '{as_of}', 0, '', now())"
    )
    yield (
        "INSERT INTO application (id, number, route, reason, state, resident_id, surname, name, birth_date, "
        "birth_place, sex, snils, doc_type, doc_series, doc_number, doc_date, doc_issuer, address, point_id, "
        "secret_hash, submitted_at, due_on, cohort_id, remake, version) SELECT id, "
        "'2026-' || lpad(id::text, 7, '0'), 'MASS', 'FIRST', 'APPROVED', id, "
        "surname, name, birth_date, birth_place, sex, snils, doc_type, doc_series, "
        "doc_number, doc_date, doc_issuer, address, "
        f"1 + floor({points} * power((id::bigint * 7919 % 100003) / 100003.0, 2))::int, '', "
        "timestamptz '2026-01-01' + (id % 86400) * interval '1 second', '2026-12-31', "
        f"{COHORT_ID}, false, 1 FROM resident WHERE death_date IS NULL"
    )
