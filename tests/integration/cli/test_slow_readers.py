"""SQLite: who takes a long list out slowly (`uec cohorts members 1 | less`) keeps nobody from writing."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_exports import applied
from tests.support.office import NOW, POLICY, Office, add_resident, open_office
from uec.cli import list_files
from uec.services import cohort, cohort_evidence, schedule
from uec.services.merkle import merkle_root
from uec.store.engine import make_engine, session_factory

PEOPLE = range(1, 8)


@pytest.fixture
def impatient(sqlite_url: str) -> Iterator[sessionmaker[Session]]:
    """Sessions that give up soon where somebody else holds the lock to write."""
    engine = make_engine(sqlite_url, busy_timeout_s=0.2)
    yield session_factory(engine)
    engine.dispose()


@pytest.fixture
def office(impatient: sessionmaker[Session]) -> Office:
    return open_office(impatient)


def write(sessions: sessionmaker[Session], minute: int) -> None:
    with sessions() as session:
        moment = NOW + timedelta(minutes=minute)
        assert schedule.trigger(session, f"job {minute}", moment, now=moment)


def listed(sessions: sessionmaker[Session], office: Office) -> tuple[int, str]:
    with sessions() as session:
        for number in PEOPLE:
            add_resident(session, number)
        session.commit()
        view = cohort.compute(session, actor=office.planner, as_of=NOW.date(), policy=POLICY, now=NOW)
        return view.id, view.digest


def test_others_write_while_the_members_of_a_list_are_read(
    impatient: sessionmaker[Session], office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_evidence, "CHUNK", 1)
    cohort_id, root = listed(impatient, office)
    found = []
    for minute, one in enumerate(cohort_evidence.members(impatient, cohort_id, actor=office.planner, now=NOW)):
        write(impatient, minute)
        found.append(one)
    assert len(found) == len(PEOPLE) and merkle_root(one.encode() for one in found).hex() == root


def test_a_proof_leaves_nothing_locked(impatient: sessionmaker[Session], office: Office) -> None:
    cohort_id, root = listed(impatient, office)
    (first, *_) = cohort_evidence.members(impatient, cohort_id, actor=office.planner, now=NOW)
    proof = cohort_evidence.prove(impatient, cohort_id, first, actor=office.planner, now=NOW)
    write(impatient, 0)
    assert cohort_evidence.check_proof(proof.as_facts()) == proof.root == root


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_others_write_while_a_list_goes_into_a_file(
    impatient: sessionmaker[Session], office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    with impatient() as session:
        applied(session, office, *PEOPLE)
    put, written = list_files._put, []

    def slowly(path: Path, parts: Iterable[bytes]) -> int:
        def taken() -> Iterator[bytes]:
            for part in parts:
                write(impatient, len(written))
                written.append(part)
                yield part

        return put(path, taken())

    monkeypatch.setattr(list_files, "_put", slowly)
    out = tmp_path / f"list.{form}"
    size = list_files.write_list(
        impatient, "applications", out, filters={}, actor=office.officer, zone=ZoneInfo("UTC"), now=NOW
    )
    assert written and out.read_bytes() == b"".join(written) and size == out.stat().st_size
