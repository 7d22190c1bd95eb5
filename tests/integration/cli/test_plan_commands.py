"""`uec plan` over a database with people: made, shown, explained, simulated, compared; what is wrong is one line."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_plan_office import applicants
from tests.support.office import open_office, seeded_random
from uec.cli import run
from uec.cli.plan_event import KINDS
from uec.domain.lifecycle import Route
from uec.services import plan_events
from uec.services.passwords import hash_password
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Staff

PASSWORD = "Korotkiy-put-7-dney"
FACTS = """
[[lines]]
code = "L1"
machines = 2
cards_per_hour = 1

[chips]
in_hand = 500
deliveries = [{ day = 2027-01-11, count = 100 }]

[courier]
weekdays = [0, 3]
cost = 5
"""


@pytest.fixture
def office(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder with settings, a planner who may sign in, and 60 people who wait; the sign-in's arguments."""
    engine = make_engine(sqlite_url)
    sessions: sessionmaker[Session] = session_factory(engine)
    made = open_office(sessions, points=2, daily_capacity=5)
    with sessions() as session:
        planner = session.get_one(Staff, made.planner.staff_id)
        session.execute(
            update(Staff)
            .where(Staff.id == planner.id)
            .values(password_hash=hash_password(PASSWORD, random=seeded_random()))
        )
        applicants(session, made, 60, route=Route.MASS)
        login = session.scalars(select(Staff.login).where(Staff.id == planner.id)).one()
    engine.dispose()
    profiles = Path(__file__).parents[3] / "config" / "profiles"
    (tmp_path / "uec.toml").write_text(f'profile_dir = "{profiles}"\ndatabase_url = "{sqlite_url}"\n')
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "facts.toml").write_text(FACTS)
    (tmp_path / "wrong.toml").write_text("[[lines]]\ncode = 'L1'\nspeed = 5\n")
    (tmp_path / "broken.toml").write_text("[[lines")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    return ["--login", login, "--password-file", "password"]


def test_a_plan_is_made_shown_and_explained(office: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "show", *office]) == 1
    assert "uec plan make" in capsys.readouterr().err
    assert run(["plan", "facts", "set", "facts.toml", "--reason", "one line", *office]) == 0
    assert run(["plan", "make", "--days", "60", *office]) == 0
    shown = capsys.readouterr().out
    assert "people                 60" in shown
    assert "wait for their release" in shown
    assert run(["plan", "facts", "show", *office]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["chips"]["deliveries"] == [{"day": "2027-01-11", "count": 100}]
    assert run(["plan", "show", "--batches", "60", *office]) == 0
    shown = capsys.readouterr().out
    assert "bottleneck" in shown
    assert "\tL1\tuec\t" in shown
    assert run(["plan", "show", "--json", *office]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["people"] == 60
    assert told["bound"] <= told["cost"]
    assert run(["plan", "explain", "2026-0000007", *office]) == 0
    shown = capsys.readouterr().out
    assert "cohort" in shown
    assert "can be collected from" in shown
    assert "cards are ahead of this one in its queue." in shown


def test_machines_read_the_plan_as_json(office: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every key that the help of `uec plan show` names is there, and none that it does not."""
    assert run(["plan", "facts", "set", "facts.toml", "--reason", "one line", *office]) == 0
    assert run(["plan", "make", "--days", "30", *office]) == 0
    capsys.readouterr()
    assert run(["plan", "show", "--json", "--batches", "60", *office]) == 0
    told = json.loads(capsys.readouterr().out)
    assert run(["plan", "show", "--help"]) == 0
    described = set(re.findall(r"[a-z_]+", capsys.readouterr().out))
    assert set(told) | set(told["weeks"][0]) | set(told["points"][0]) | set(told["batches"][0]) <= described
    assert {one["point"] for one in told["batches"]} <= {"P1", "P2"}
    assert sum(one["cards"] for one in told["batches"]) == told["cards"]
    assert run(["plan", "explain", "2026-0000007", "--json", *office]) == 0
    place = json.loads(capsys.readouterr().out)
    assert place["kind"] == "cohort" and "в очереди" in place["ru"] and "in its queue" in place["en"]
    assert run(["plan", "late", "--json", *office]) == 0
    late = json.loads(capsys.readouterr().out)
    assert late["total"] == told["late_cards"] == len(late["rows"])
    assert all(one["kind"] in {"remake", "clock", "cohort"} for one in late["rows"])


def test_an_event_is_seen_before_it_is_saved(office: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    event = ["plan", "event", *office]
    assert run([*event, "stop", "line=centre", "first=2026-01-01", "last=2030-01-01"]) == 1
    assert "There is no plan yet" in capsys.readouterr().err
    assert run(["plan", "facts", "set", "facts.toml", "--reason", "one line", *office]) == 0
    assert run(["plan", "make", *office]) == 0
    capsys.readouterr()
    stop = ["stop", "line=L1", "first=2020-01-01", "last=2090-01-01"]
    assert run([*event, *stop, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["open_after"] > 0
    assert run([*event, *stop]) == 0
    shown = capsys.readouterr().out
    assert "come later" in shown and "Nothing is saved" in shown and "Line 1" not in shown
    assert run([*event, "point", "point=P1", "minutes=60 60 60 60 60 60 0"]) == 0
    assert "weekend days are worked now" in capsys.readouterr().out
    assert run([*event, *stop, "--save"]) != 0, "a reason is kept with the facts"
    assert "reason" in capsys.readouterr().err
    assert run([*event, *stop, "--save", "--reason", "burnt down"]) == 0
    assert "are in force" in capsys.readouterr().out
    assert run(["plan", "facts", "show", *office]) == 0
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert line["maintenance"] == [{"first": "2020-01-01", "last": "2090-01-01", "machines": 2}]


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (["strike"], "strike"),
        (["stop", "line"], "FIELD=VALUE"),
        (["stop", "speed=4"], "the fields of stop are line, first, last, machines"),
        (["stop", "line=L1", "line=L2"], "twice"),
        (["drop", "line=L9"], "no line 'L9'"),
        (["point", "point=P9", "storage=4"], "no point 'P9'"),
        (["point", "storage=4"], "Choose a point"),
        (["shift", "line=centre", "shifts=1 1 1"], "seven numbers"),
        (["courier", "weekdays=mon"], "0 for none"),
        (["courier", "cost=dear"], "no number"),
        (["late", "delivery=3", "count=4"], "no such delivery"),
    ],
)
def test_a_wrong_event_is_one_line(
    office: list[str], capsys: pytest.CaptureFixture[str], said: list[str], wrong: str
) -> None:
    assert run(["plan", "event", *said, *office]) != 0
    error = capsys.readouterr().err
    assert wrong in error and "Traceback" not in error


def test_the_help_names_every_event_and_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(plan_events.EVENTS) == KINDS
    assert run(["plan", "event", "--help"]) == 0
    text = capsys.readouterr().out
    for kind, event in plan_events.EVENTS.items():
        told = text[text.index(f"\n  {kind} ") :]
        assert not [name for name in event.fields if name not in told]


def test_what_is_wrong_is_one_line(office: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "facts", "set", "wrong.toml", "--reason", "x", *office]) != 0
    error = capsys.readouterr().err
    assert "speed" in error
    assert error.count("\n") == 1
    assert run(["plan", "facts", "set", "broken.toml", "--reason", "x", *office]) != 0
    assert "no TOML" in capsys.readouterr().err


def test_facts_that_make_everybody_late_are_told_in_words_and_everybody_is_listed(
    office: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A point without courier, another without hours, and chips that nobody knows the day of."""
    (tmp_path / "short.toml").write_text(
        "[chips]\nin_hand = 0\ndeliveries = [{ count = 900 }]\n[points.P1]\nweekdays = []\n"
        "[points.P2]\nminutes = [0, 0, 0, 0, 0, 0, 0]\n"
    )
    assert run(["plan", "facts", "set", "short.toml", "--reason", "all at once", *office]) == 0
    assert "`uec plan make` plans by them" in capsys.readouterr().out
    assert run(["plan", "make", "--anew", *office]) == 0
    shown = capsys.readouterr().out
    assert "late or without a day  60" in shown
    assert "Look at the facts: 900 chips uec are ordered without a day" in shown
    assert "No courier goes to Centre 1: give it a trip" in shown
    assert "Centre 2 hands no card over in the whole plan: it takes windows and hours for" in shown
    assert run(["plan", "late", "--limit", "7", *office]) == 0
    shown = capsys.readouterr().out
    assert "7 of 60 who are late or without a day." in shown and shown.count("2026-") >= 7
    assert run(["plan", "late", "--reason", "no_windows", "--point", "P1", *office]) == 0
    assert "0 of 0" in capsys.readouterr().out
    assert run(["plan", "late", "--reason", "weather", *office]) == 2
    capsys.readouterr()
    (tmp_path / "unknown.toml").write_text("[points.P99]\nstorage = 5\n")
    assert run(["plan", "facts", "set", "unknown.toml", "--reason", "x", *office]) != 0
    assert "no point 'P99'" in capsys.readouterr().err


def test_who_is_late_is_taken_out_as_a_file(office: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As CSV and as XLSX, whole or not at all; nobody else reads it."""
    assert run(["plan", "facts", "set", "facts.toml", "--reason", "start", *office]) == 0
    assert run(["plan", "make", *office]) == 0
    for name in ("late.csv", "late.xlsx"):
        assert run(["plan", "late", "--out", name, *office]) == 0
        assert Path(name).stat().st_mode & 0o777 == 0o600 and f"{name}: " in capsys.readouterr().out
    head, *lines = Path("late.csv").read_text("utf-8-sig").splitlines()
    assert head == "application;point;kind;variant;late_for;due_on;promised_on"
    assert all(line.split(";")[0].startswith("2026-") for line in lines)
    assert run(["plan", "late", *office]) == 0
    assert f" of {len(lines)} who are late" in capsys.readouterr().out
    for name in ("late.pdf", "late", "nowhere/late.csv"):
        assert run(["plan", "late", "--out", name, *office]) != 0
        assert capsys.readouterr().err.startswith("uec: ") and not Path(name).exists()
    assert [one.name for one in Path().glob(".*.part")] == []
