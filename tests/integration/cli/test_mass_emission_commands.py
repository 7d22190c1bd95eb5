"""`uec phases`, `uec register twins` and `uec cohorts why`, as a clerk types them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.cli.test_office_commands import ADMIN, installed, office, run  # noqa: F401 - fixtures
from tests.support.office import add_resident, person
from uec.domain.actors import system_actor
from uec.services import twins
from uec.settings import load_settings
from uec.store.engine import make_engine, session_factory


@pytest.fixture
def clerks(office: Path) -> tuple[list[str], list[str]]:  # noqa: F811
    """Options of two people: one plans and decides, one releases."""
    people = ["staff", "add", "--new-password-file", "password", *ADMIN]
    # One installation serves the whole module: the second time they are there already.
    run([*people, "petr", "--name", "Пётр", "--role", "PLANNER", "--role", "OFFICER"])
    run([*people, "raisa", "--name", "Раиса", "--role", "RELEASER"])
    return ["--login", "petr", "--password-file", "password"], ["--login", "raisa", "--password-file", "password"]


def test_a_rule_changes_from_the_command_line(
    clerks: tuple[list[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    petr, raisa = clerks
    change = ["phases", "propose", "production_days=20", "--from", "2030-01-01", "--act", "Указ № 7"]
    assert run([*change, *petr]) == 0
    moved = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert moved == {"production_days": {"applications": 0, "days": -10}, "plan": True}
    assert run(["phases", "confirm", "1", "--yes", *petr]) != 0
    assert "lacks the permission" in capsys.readouterr().err
    assert run(["phases", "confirm", "1", "--yes", *raisa]) == 0
    assert run(["phases", "confirm", "9", "--yes", *raisa]) != 0
    assert "uec phases history" in capsys.readouterr().err
    assert run(["phases", "rules", "--on", "2029-12-31"]) == 0
    assert run(["phases", "rules", "--on", "2030-01-01"]) == 0
    days = [line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("production_days")]
    assert days == ["30", "20"]
    assert run(["phases", "history", *raisa]) == 0
    assert run(["phases", "notices", *raisa]) == 0
    assert "Указ № 7" in capsys.readouterr().out


def test_twins_are_listed_and_decided_and_why_says_so(
    clerks: tuple[list[str], list[str]],
    office: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    petr, _ = clerks
    engine = make_engine(load_settings(None).database_url)
    with session_factory(engine)() as session:
        add_resident(session, 901)
        add_resident(session, 902, snils=person(901)["snils"])
        twins.search(session, actor=system_actor("register"), now=datetime.now(UTC))
        session.commit()
    engine.dispose()
    assert run(["register", "twins", *petr]) == 0
    shown = capsys.readouterr()
    line = next(line for line in shown.out.splitlines() if person(901)["snils"] in line)
    case = line.split("\t")[0]
    assert "SNILS_REUSED" in line and "wait for a decision" in shown.err
    decide = ["register", "decide-twins", case, "--reason", "паспорт"]
    assert run([*decide, *petr]) != 0
    assert run([*decide, "--stands", "nobody", *petr]) != 0
    assert "is not in this case" in capsys.readouterr().err
    assert run(["cohorts", "why", "R00000902", *petr]) == 0
    assert "not_in_doubt" in capsys.readouterr().out
    assert run([*decide, "--stands", "R00000901", *petr]) == 0
    assert run(["cohorts", "why", person(901)["snils"], *petr]) == 0
    answers = [line for line in capsys.readouterr().out.splitlines() if "R000009" in line]
    assert [("stands" in line) for line in answers] == [False, True]
    assert run(["register", "twins", "--all", *petr]) == 0
    assert "DECIDED" in capsys.readouterr().out


def test_a_list_tells_its_breakdown(clerks: tuple[list[str], list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    petr, _ = clerks
    assert run(["cohorts", "compute", *petr]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if "Merkle" not in line)
    assert run(["cohorts", "breakdown", facts["id"], *petr]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
    assert sum(int(row[-1]) for row in rows) == int(facts["people"])
    assert run(["cohorts", "take-off", facts["id"], "R99999999", *petr]) != 0
    assert "not on list" in capsys.readouterr().err


def test_a_notice_is_proposed_confirmed_and_banks_are_chosen_by_command(
    clerks: tuple[list[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    petr, raisa = clerks
    Path("notice.txt").write_text("Каждый житель получит карту.", encoding="utf-8")
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    ways = ["--place", "Газета", "--bank", "Банк региона", "--bank", "Другой банк", "--on", day]
    assert run(["phases", "propose-notice", "notice.txt", *ways, *petr]) == 0
    assert "notice 1 is proposed" in capsys.readouterr().out
    assert run(["phases", "confirm-notice", "1", *petr]) == 1, "nobody confirms their own"
    assert run(["phases", "confirm-notice", "1", *raisa]) == 0
    Path("notice.txt").write_bytes(b"\xff\xfe\x00")
    assert run(["phases", "propose-notice", "notice.txt", *ways, *petr]) == 2
    assert "not UTF-8" in capsys.readouterr().err
    assert run(["phases", "choose-bank", "112-233-445 95", "Банк региона", *petr]) == 1
    assert "TAKE_APPLICATION" in capsys.readouterr().err


def test_jobs_are_paused_run_and_shown_by_command(
    clerks: tuple[list[str], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    admin = list(ADMIN)
    assert run(["jobs", "pause", "expire", "--reason", "праздники", *clerks[0]]) == 1, "a planner stops no job"
    assert run(["jobs", "pause", "expire", "--reason", "праздники", *admin]) == 0
    assert run(["jobs", "run", "expire", *admin]) == run(["jobs", "run", "expire", *admin]) == 0
    said = capsys.readouterr().out
    assert "expire is paused" in said and "is asked for" in said and "waits for a worker already" in said
    assert run(["jobs", "show", "expire"]) == run(["jobs", "list"]) == 0
    said = capsys.readouterr().out
    assert "праздники" in said and "asked by" in said
    assert run(["jobs", "end", "expire", *clerks[0]]) == 1, "nor does a planner end a run"
    assert run(["jobs", "end", "expire", *admin]) == 0 and "no run of expire is to be ended" in capsys.readouterr().out
    assert run(["jobs", "resume", "expire", *admin]) == 0
    assert run(["jobs", "show", "nonsense"]) == 1 and "There is no job nonsense" in capsys.readouterr().err


def test_an_outsider_checks_a_list_by_the_root_that_was_approved(
    clerks: tuple[list[str], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    petr, raisa = clerks
    engine = make_engine(load_settings(None).database_url)
    with session_factory(engine)() as session:
        for number in range(911, 916):
            add_resident(session, number)
        session.commit()
    engine.dispose()
    assert run(["cohorts", "compute", *petr]) == 0
    told = capsys.readouterr().out
    facts = dict(line.split(maxsplit=1) for line in told.splitlines() if "Merkle" not in line)
    root = next(line.split()[-1] for line in told.splitlines() if "Merkle" in line)
    assert run(["cohorts", "members", facts["id"], *petr]) == 0
    names = capsys.readouterr().out
    assert len(names.splitlines()) == int(facts["people"])
    person_id = names.splitlines()[1]
    assert run(["cohorts", "prove", facts["id"], person_id, *petr]) == 0
    proof = capsys.readouterr().out
    assert run(["cohorts", "prove", facts["id"], "R99999999", *petr]) != 0
    assert "not on list" in capsys.readouterr().err
    assert run(["cohorts", "members", facts["id"], *raisa]) == 1, "only who manages lists gives them out"
    capsys.readouterr()
    # From here on there is no installation.
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text(names, encoding="utf-8")
    Path("proof.json").write_text(proof, encoding="utf-8")
    assert run(["cohorts", "check", "list.txt", "--root", root.upper()]) == 0
    assert f"{facts['people']} people are on the list" in capsys.readouterr().out
    assert run(["cohorts", "check", "proof.json", "--root", root]) == 0
    said = capsys.readouterr().out
    assert f"{person_id} is on the list with that root." in said and "people" not in said, "no root binds a count"
    for file in ("list.txt", "proof.json"):
        assert run(["cohorts", "check", file, "--root", root, "--holds", person_id]) == 0
        assert f"{person_id} is on it" in capsys.readouterr().out
        assert run(["cohorts", "check", file, "--root", root, "--holds", "R99999999"]) == 1
        assert run(["cohorts", "check", file, "--root", "00" * 32]) != 0
        assert "not the one that was approved" in capsys.readouterr().err
    Path("list.txt").write_text("\n".join(names.splitlines()[1:]), encoding="utf-8")
    assert run(["cohorts", "check", "list.txt", "--root", root]) != 0
    Path("proof.json").write_text(proof.replace(person_id, "R99999999"), encoding="utf-8")
    assert run(["cohorts", "check", "proof.json", "--root", root]) != 0
    for wrong in ("{", "{}", '{"path": 5}'):
        Path("proof.json").write_text(wrong, encoding="utf-8")
        assert run(["cohorts", "check", "proof.json", "--root", root]) != 0
        assert capsys.readouterr().err.count("\n") <= 3
    Path("list.txt").write_bytes(b"\xff\xfe")
    assert run(["cohorts", "check", "list.txt", "--root", root]) != 0
    assert "not UTF-8" in capsys.readouterr().err
