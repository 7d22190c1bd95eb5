"""A card's way by the command line alone: approved, planned, released, produced, listed, suspended, annulled."""

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.desk import CardOffice, open_card_office
from tests.support.line import UEC_PROFILE
from tests.support.office import POLICY, add_resident, form, seeded_random, snils_of
from uec.cli import run
from uec.domain.actors import CITIZEN
from uec.domain.lifecycle import ApplicationState, BatchState, CardState, OperationState, Route
from uec.services import preparation
from uec.services.intake import application_status, submit_application
from uec.services.passwords import ScryptCost, hash_password
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Application, AuditEntry, Batch, Card, CardOperation, Staff

PASSWORD = "Korotkiy-put-7-dney"
OPERATOR, OFFICER, PLANNER, RELEASER, PRODUCER, SECURITY = (f"staff{number}" for number in (0, 2, 3, 4, 5, 6))


@pytest.fixture
def office(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CardOffice]:
    """An office whose staff can sign in, and a settings file for it in the present folder."""
    engine = make_engine(sqlite_url)
    opened = open_card_office(session_factory(engine), tmp_path)
    hashed = hash_password(PASSWORD, random=secrets.token_bytes, cost=ScryptCost(n=2**12))
    with opened.sessions() as session:
        for person in session.scalars(select(Staff)):
            person.password_hash = hashed
        session.commit()
    (tmp_path / "password").write_text(PASSWORD)
    settings = f'database_url = "{sqlite_url}"\nprofile_dir = "{UEC_PROFILE.parent}"\n'
    (tmp_path / "uec.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UEC_PASSWORD_FILE", "password")
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    yield opened
    opened.desk.bench.vault.close()
    engine.dispose()


def checked_application(office: CardOffice, number: int) -> int:
    with office.sessions() as session:
        submit_application(
            session,
            form=form(number, point_id=office.staff.points[0]),
            route=Route.WEB,
            actor=CITIZEN,
            policy=POLICY,
            now=datetime.now(UTC),  # the commands go by the real clock
            random=seeded_random(number),
        )
        application = session.scalars(select(Application).order_by(Application.id.desc())).first()
        assert application is not None
        for state in (ApplicationState.CHECKING, ApplicationState.CHECKED):
            application.state = state
            session.flush()
        session.commit()
        return application.id


def test_from_approval_to_annulment(office: CardOffice, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = checked_application(office, 1), checked_application(office, 2)
    assert run(["applications", "approve", str(first), "--reason", "seen", "--login", OFFICER]) == 0
    assert run(["applications", "reject", str(second), "--reason", "not here", "--login", OFFICER]) == 0
    assert run(["applications", "approve", str(second), "--reason", "again", "--login", OFFICER]) == 1
    assert run(["applications", "show", str(first), "--login", OFFICER]) == 0
    assert "Петров" in capsys.readouterr().out

    assert run(["batches", "plan", "--login", PLANNER]) == 0
    assert "1 cards planned, 0 late" in capsys.readouterr().err
    assert run(["batches", "release", "1", "--login", PLANNER]) == 1
    assert "permission" in capsys.readouterr().err
    assert run(["batches", "release", "1", "--login", RELEASER]) == 0
    with office.sessions() as session:
        preparation.prepare(session, 1, profile=office.desk.bench.profile, issuer="УОС", now=office.clock())
    assert run(["batches", "produce", "1", "--login", PRODUCER]) == 0
    assert "1 cards asked for" in capsys.readouterr().out
    assert [operation.state for operation in office.work()] == [OperationState.DONE]
    assert run(["batches", "list", "--state", "CLOSED", "--login", PLANNER]) == 0
    assert "PERSONALISED 1" in capsys.readouterr().out
    assert office.hand_over(1).state is OperationState.DONE

    assert run(["cards", "list", "--find", "Петров", "--login", SECURITY]) == 0
    assert re.search(r"96436\d{11}\tACTIVE", capsys.readouterr().out)
    for command, state in (
        ("suspend", CardState.SUSPENDED),
        ("resume", CardState.ACTIVE),
        ("annul", CardState.ANNULLED),
    ):
        assert run(["cards", command, "1", "--reason", "asked", "--login", SECURITY]) == 0
        assert office.card(1).state is state
    assert run(["cards", "report-lost", "1", "--reason", "late", "--login", SECURITY]) == 1
    assert run(["cards", "destroy", "1", "--reason", "act 7", "--login", SECURITY]) == 0
    capsys.readouterr()
    assert run(["cards", "show", "1", "--login", SECURITY]) == 0
    shown = capsys.readouterr().out
    assert "DESTROYED" in shown and "REVOKED" in shown and "inspected" in shown
    assert PASSWORD not in shown


def test_a_batch_is_called_off_and_a_spoiled_card_comes_again(
    office: CardOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    application_id = checked_application(office, 1)
    assert run(["applications", "approve", str(application_id), "--reason", "seen", "--login", OFFICER]) == 0
    assert run(["batches", "plan", "--login", PLANNER]) == 0
    assert run(["batches", "cancel", "1", "--reason", "line stopped", "--login", PLANNER]) == 0
    assert run(["batches", "produce", "1", "--login", PRODUCER]) == 2
    assert "CANCELLED" in capsys.readouterr().err
    assert run(["batches", "plan", "--login", PLANNER]) == 0
    assert run(["batches", "release", "2", "--login", RELEASER]) == 0
    with office.sessions() as session:
        preparation.prepare(session, 2, profile=office.desk.bench.profile, issuer="УОС", now=office.clock())
        assert session.scalars(select(Card.state).order_by(Card.id)).all() == [CardState.ANNULLED, CardState.PREPARED]
    assert run(["cards", "spoil", "2", "--reason", "chip mute", "--login", PRODUCER]) == 0
    with office.sessions() as session:
        application = session.get_one(Application, application_id)
        assert (application.state, application.remake) == (ApplicationState.APPROVED, True)
        assert session.scalars(select(Batch.state)).all() == [BatchState.CANCELLED, BatchState.CANCELLED]
        assert session.scalars(select(CardOperation)).all() == []


def test_who_is_not_there_may_not_act(office: CardOffice, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cards", "list", "--login", "nobody"]) == 1
    unknown = capsys.readouterr().err
    (Path("other")).write_text("another password")
    assert run(["cards", "list", "--login", SECURITY, "--password-file", "other"]) == 1
    assert capsys.readouterr().err == unknown, "nothing tells whether the login exists"
    assert run(["cards", "list"]) == 2
    assert "--login" in capsys.readouterr().err


def test_a_lost_card_is_replaced_and_the_applicant_gets_a_receipt(
    office: CardOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    (card,) = office.make_cards(1)
    office.hand_over(card)
    assert run(["cards", "replace", str(card), "--reason", "FIRST", "--login", OPERATOR]) == 2
    assert run(["cards", "replace", str(card), "--reason", "duplicate", "--login", OFFICER]) == 1
    assert office.card(card).state is CardState.ACTIVE, "neither a wrong reason nor a wrong person ends a card"
    capsys.readouterr()
    assert run(["cards", "replace", str(card), "--reason", "duplicate", "--login", OPERATOR]) == 0
    receipt = dict(re.split(r"  +", line) for line in capsys.readouterr().out.splitlines())
    assert office.card(card).state is CardState.REPLACED
    with office.sessions() as session:
        again = session.scalars(select(Application).order_by(Application.id.desc())).first()
        assert again is not None
        assert (again.number, again.reason.value) == (receipt["application"], "DUPLICATE")
        view = application_status(session, number=again.number, secret=receipt["secret"], now=office.clock())
        assert view.due_on.isoformat() == receipt["ready by"]
    assert run(["cards", "replace", str(card), "--reason", "RENEWAL", "--login", OPERATOR]) == 1
    assert "REPLACED" in capsys.readouterr().err


def test_an_applicant_takes_the_application_back(office: CardOffice, capsys: pytest.CaptureFixture[str]) -> None:
    application_id = checked_application(office, 1)
    assert run(["applications", "withdraw", str(application_id), "--reason", "moved away", "--login", OFFICER]) == 1
    assert run(["applications", "withdraw", str(application_id), "--reason", " ", "--login", OPERATOR]) == 2
    assert run(["applications", "withdraw", str(application_id), "--reason", "moved away", "--login", OPERATOR]) == 0
    assert capsys.readouterr().out.endswith(f"application {application_id}: taken back\n")
    with office.sessions() as session:
        assert session.get_one(Application, application_id).state is ApplicationState.WITHDRAWN


def table(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The rows of a list that was printed, without its heading."""
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]


def test_refusals_are_filed_once_confirmed_and_found(office: CardOffice, capsys: pytest.CaptureFixture[str]) -> None:
    with office.sessions() as session:
        add_resident(session, 1)
        session.commit()
    known, unknown = snils_of(1), snils_of(77)
    assert run(["refusals", "file", known, "--note", "came in person", "--login", OPERATOR]) == 0
    assert run(["refusals", "file", unknown, "--channel", "post", "--login", OPERATOR]) == 0
    assert capsys.readouterr().out == "refusal R-000001\nrefusal R-000002\n"
    assert run(["refusals", "file", "112-233-445 96", "--login", OPERATOR]) == 2
    assert run(["refusals", "file", known, "--login", PLANNER]) == 1
    assert run(["refusals", "file", known, "--channel", "web", "--login", OPERATOR]) == 2
    capsys.readouterr()
    assert run(["refusals", "list", "--login", OPERATOR]) == 0
    shown = table(capsys)
    assert [(row[0], row[1], row[2], row[4]) for row in shown] == [
        ("R-000002", unknown, "post", "False"),
        ("R-000001", known, "window", "True"),
    ]
    assert (
        run(["refusals", "list", "--find", f"{known[:3]}-{known[3:6]}-{known[6:9]} {known[9:]}", "--login", OPERATOR])
        == 0
    )
    assert [row[0] for row in table(capsys)] == ["R-000001"]
    assert run(["refusals", "list", "--find", "R-000002", "--login", OPERATOR]) == 0
    assert [row[0] for row in table(capsys)] == ["R-000002"]
    assert run(["refusals", "list", "--login", PLANNER]) == 1
    back = ["refusals", "withdraw", "R-000002", "--reason", "a statement", "--login"]
    assert [run([*back, login]) for login in (PLANNER, OPERATOR, OPERATOR)] == [1, 0, 1]
    assert "refusal R-000002 is taken back\n" in capsys.readouterr().out
    with office.sessions() as session:
        looks = session.scalars(select(AuditEntry).where(AuditEntry.action == "refusal.list")).all()
        assert len(looks) == 3, "every look at the list stands in the audit"
