"""Office and vault count on every few seconds, and no machine lets numbers go that are younger than that."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.agreement import Finding
from issuance.keys.file_vault import FileVault
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.keys import PASSPHRASES
from tests.support.office import POLICY
from uec import worker
from uec.domain.actors import system_actor
from uec.domain.lifecycle import BatchState
from uec.gateways.register_client import RegisterGateway
from uec.jobs import JOBS, Tools
from uec.services import numbering, release_by_policy, vault_memory
from uec.store import audit
from uec.store.tables import Batch, Card


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    with sessions() as session:
        vault_memory.note(session, opened.desk.bench.vault)
        session.commit()
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def tools(office: CardOffice, request: pytest.FixtureRequest) -> Tools:
    bench = office.desk.bench
    gateway = RegisterGateway("http://127.0.0.1:9", timeout_s=1)  # nothing here asks the registers
    request.addfinalizer(gateway.close)
    return Tools(SETTINGS, office.sessions, bench.vault, gateway, office.clock, bench.random)


def generations(office: CardOffice) -> tuple[int, int]:
    with office.sessions() as session:
        memory = vault_memory.recall(session)
    assert memory is not None
    return memory.identity.generation, office.desk.bench.vault.identity().generation


def work(office: CardOffice, kind: str) -> None:
    """Something is done that a copy made before it does not know."""
    with office.sessions() as session:
        if kind == "a number":
            numbering.take(session, "receipt")
        else:
            audit.record(session, actor="test", action="test", subject_kind="x", subject_id=1, now=office.clock())
        session.commit()


@pytest.mark.parametrize("kind", ["a number", "an audit entry"])
def test_the_job_counts_both_on_together_whenever_something_was_done(
    office: CardOffice, tools: Tools, kind: str
) -> None:
    before = generations(office)
    for turn in range(1, 4):
        work(office, kind)
        assert worker.do("vault", tools) == "agreed"
        assert generations(office) == (before[0] + turn, before[1] + turn)
    assert before[0] == before[1]


def test_an_idle_office_and_its_vault_write_nothing(office: CardOffice, tools: Tools, tmp_path: Path) -> None:
    assert worker.do("vault", tools) == "agreed"
    counted, written = generations(office), (tmp_path / "vault").stat().st_mtime_ns
    assert [worker.do("vault", tools) for _ in range(3)] == ["agreed"] * 3
    assert generations(office) == counted
    assert (tmp_path / "vault").stat().st_mtime_ns == written


def test_torn_before_the_vault_has_counted_the_next_time_counts(
    office: CardOffice, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, before = office.desk.bench.vault, generations(office)

    def die(_generation: int) -> object:
        raise KeyboardInterrupt

    work(office, "a number")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(vault, "step", die)
        worker.do("vault", tools)
    assert generations(office) == before
    assert worker.do("vault", tools) == "agreed"
    assert generations(office) == (before[0] + 1, before[1] + 1)


def test_the_job_says_that_an_older_vault_has_come_back(office: CardOffice, tools: Tools, tmp_path: Path) -> None:
    shutil.copyfile(tmp_path / "vault", tmp_path / "older")
    work(office, "a number")
    assert worker.do("vault", tools) == "agreed"
    office.desk.bench.vault.close()
    shutil.copyfile(tmp_path / "older", tmp_path / "vault")
    with FileVault.unlock(tmp_path / "vault", PASSPHRASES) as older:
        said = worker.do("vault", replace(tools, vault=older))
    assert said.startswith("failed: the vault is an older copy") and "issue nothing" in said
    with office.sessions() as session:
        assert vault_memory.doubt(session) is Finding.OLDER_VAULT


def test_numbers_rest_for_longer_than_a_copy_can_go_unnoticed() -> None:
    assert timedelta(0) < JOBS["vault"].every <= timedelta(seconds=5)
    assert 5 * JOBS["vault"].every <= release_by_policy.AT_REST


def test_a_machine_releases_a_batch_only_when_its_numbers_have_rested(office: CardOffice) -> None:
    office.approve_applicants(1)
    (batch_id,) = office.plan()
    policy = replace(POLICY, release_ahead_days=400)

    def released() -> list[int]:
        with office.sessions() as session:
            return list(
                release_by_policy.release_due(
                    session, policy=policy, actor=system_actor("scheduler"), now=office.clock()
                )
            )

    assert released() == []
    with office.sessions() as session:
        assert session.get_one(Batch, batch_id).state is BatchState.PLANNED
        assert session.scalars(select(Card.batch_id)).all() == [batch_id]
    office.clock.advance(seconds=release_by_policy.AT_REST.total_seconds())
    assert released() == [batch_id]
    assert released() == []
