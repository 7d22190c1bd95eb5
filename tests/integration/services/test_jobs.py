"""What workers do by themselves: checks, preparation, lists and audit heads; a job that fails says why and waits."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import VaultUnavailable
from issuance.pki import stoplist
from issuance.pki.trust import Trust
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.office import NOW, POLICY, form, seeded_random
from uec import worker
from uec.domain.actors import CITIZEN
from uec.domain.errors import NotFound
from uec.domain.lifecycle import ApplicationState, CheckOutcome, CheckRegister, Route
from uec.gateways.questions import CheckAnswer
from uec.jobs import JOBS, Tools, recipe_of
from uec.services import authority, batches, cards, publication, schedule
from uec.services.checks import Person
from uec.services.intake import submit_application
from uec.store.tables import Application, AuditHead, Card, ScheduledRun


class Yes:
    """Registers that confirm everybody."""

    def check_many(self, questions: Sequence[tuple[CheckRegister, Person]]) -> list[CheckAnswer]:
        return [CheckAnswer(CheckOutcome.MATCH)] * len(questions)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def tools(office: CardOffice) -> Tools:
    bench = office.desk.bench
    return Tools(SETTINGS, office.sessions, bench.vault, Yes(), office.clock, bench.random)


def test_security_objects_are_signed_ahead_where_they_cover_nothing_but_the_data_groups(tools: Tools) -> None:
    with tools.sessions() as session:
        made = {profile: recipe_of(session, tools, profile) for profile in ("uec", "piv")}
    assert made["uec"].signer is not None and made["piv"].signer is None
    assert {name: recipe.profile.name for name, recipe in made.items()} == {"uec": "uec", "piv": "piv"}


def test_every_job_runs_on_an_empty_office(tools: Tools) -> None:
    said = {name: worker.do(name, tools) for name in JOBS}
    assert not [outcome for outcome in said.values() if outcome.startswith("failed")]
    assert said["publish"] == "CRL 1, stop-list 1" and worker.do("publish", tools) == "nothing changed"


def test_applications_are_checked_and_batches_prepared(office: CardOffice, tools: Tools) -> None:
    with office.sessions() as session:
        submit_application(
            session,
            form=form(1, point_id=office.staff.points[0]),
            route=Route.WEB,
            actor=CITIZEN,
            policy=POLICY,
            now=NOW,
            random=seeded_random(),
        )
    assert worker.do("checks", tools) == "started 1, asked 4, settled 1"
    with office.sessions() as session:
        assert session.scalars(select(Application.state)).one() is ApplicationState.CHECKED
    office.approve_applicants(2)
    assert worker.do("plan", tools).startswith("1 cards in 1 batches")
    with office.sessions() as session:
        batch_id = session.scalars(select(Card.batch_id)).one()
        batches.release(session, batch_id, actor=office.staff.releaser, now=office.clock())
    assert worker.do("prepare", tools) == "prepared 1"


def test_a_suspended_card_comes_onto_both_lists_and_off_again(office: CardOffice, tools: Tools) -> None:
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    number = office.card(card_id).number

    def listed() -> tuple[int, list[str]]:
        office.clock.advance(seconds=2)
        worker.do("publish", tools)
        with office.sessions() as session:
            crl = x509.load_der_x509_crl(publication.latest_crl(session))
            config = authority.ca_config(SETTINGS)
            profile = office.desk.bench.ca.profiles["document-signer"]
            trust = Trust.for_profile(authority.certificates(session).issuing, config, profile)
            snapshot = stoplist.verify(publication.latest_stop_list(session), trust, now=office.clock())
        assert isinstance(snapshot, stoplist.Snapshot)
        return len(crl), [entry.stopped.identifier for entry in snapshot.entries]

    assert listed() == (0, [])
    for name, expected in (("suspend", (4, [number])), ("resume", (0, [])), ("report_lost", (4, [number]))):
        with office.sessions() as session:
            getattr(cards, name)(session, card_id, actor=office.staff.security, reason="x", now=office.clock())
        assert listed() == expected


def test_lists_are_renewed_before_their_time_is_over(office: CardOffice, tools: Tools) -> None:
    worker.do("publish", tools)
    office.clock.advance(days=POLICY.crl_days / 2 - 0.1)
    assert worker.do("publish", tools) == "nothing changed"
    office.clock.advance(days=0.2)
    assert worker.do("publish", tools) == "CRL 2, stop-list 2"


def test_before_the_first_list_there_is_a_sentence(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        for latest in (publication.latest_crl, publication.latest_stop_list):
            with pytest.raises(NotFound, match=r"run `uec c(rl|a) "):
                latest(session)


def test_audit_heads_are_signed_when_something_happened(office: CardOffice, tools: Tools) -> None:
    assert worker.do("audit-head", tools) == "head 1"
    assert worker.do("audit-head", tools) == "nothing new"
    with office.sessions() as session:
        assert session.scalars(select(AuditHead.key_version)).all() == [1]


def test_a_job_that_fails_says_why_and_the_worker_lives(office: CardOffice, tools: Tools) -> None:
    class Locked:
        def __getattr__(self, name: str) -> object:
            raise VaultUnavailable("the vault does not answer: start it", path="vault.sock")

    locked = replace(tools, vault=Locked())  # type: ignore[arg-type]
    with office.sessions() as session:
        schedule.trigger(session, "audit-head", NOW, now=NOW)
        schedule.trigger(session, "no-such-job", NOW, now=NOW)
    assert worker.work_once(locked) and not worker.work_once(locked)
    with office.sessions() as session:
        outcomes = dict(session.execute(select(ScheduledRun.job, ScheduledRun.outcome)).all())
    assert outcomes == {
        "audit-head": "failed: the vault does not answer: start it",
        "no-such-job": None,  # left to a worker of the version that knows it
    }


def test_a_worker_works_until_it_is_stopped(office: CardOffice, database_url: str) -> None:
    settings = replace(SETTINGS, database_url=database_url, register_gateway_url="http://127.0.0.1:9")
    stop = Event()
    running = Thread(target=worker.run_worker, args=[settings], kwargs={"stop": stop})
    running.start()
    try:
        with office.sessions() as session:
            schedule.trigger(session, "sweep", NOW, now=NOW)
        finished = None
        for _ in range(600):
            with office.sessions() as session:
                finished = session.scalars(select(ScheduledRun.finished_at)).one()
            if finished is not None:
                break
            stop.wait(0.1)
    finally:
        stop.set()
        running.join()
    assert finished is not None
