"""`uec phases`, `uec refusals` and `uec cohorts` with wrong input, with what is taken back, and with reasons."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.integration.cli.test_mass_emission_commands import clerks  # noqa: F401 - a fixture
from tests.integration.cli.test_office_commands import ADMIN, installed, office, run  # noqa: F401 - fixtures
from tests.support.office import add_resident, person
from uec.settings import load_settings
from uec.store.engine import make_engine, session_factory
from uec.store.tables import AuditEntry, Resident

# ruff: noqa: F811 - the fixtures are imported


@pytest.mark.parametrize(
    ("rules", "day", "said"),
    [
        (["production_days"], "2030-01-01", "is not NAME=VALUE"),
        (["production_days=many"], "2030-01-01", "whole number"),
        (["production_days=20", "production_days=25"], "2030-01-01", "given twice"),
        (["pin_tries=9"], "2030-01-01", "is none of on_application_from, mass_emission_from"),
        (["production_days=25"], "0001-01-01", "from 01.01.1900"),
        (["production_days=25"], "9999-12-31", "from 01.01.1900"),
        (["mass_emission_from=9999-12-31"], "2030-01-01", "from 01.01.1900"),
        (["production_days=25"], "31.12.2030", "does not match the format"),
    ],
)
def test_a_rule_that_cannot_be_is_told_by_what_is_wrong(
    clerks: tuple[list[str], list[str]],
    rules: list[str],
    day: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    petr, _ = clerks
    assert run(["phases", "propose", *rules, "--from", day, "--act", "x", *petr]) != 0
    assert said in " ".join(capsys.readouterr().err.split())


def test_what_was_proposed_is_taken_back_and_a_notice_has_both_languages(
    clerks: tuple[list[str], list[str]],
    office: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    petr, raisa = clerks
    assert run(["phases", "propose", "storage_days=77", "--from", "2031-01-01", "--act", "x", *petr]) == 0
    change = capsys.readouterr().err.split("change ")[1].split()[0]
    assert run(["phases", "withdraw", change, *petr]) == 0
    assert run(["phases", "confirm", change, "--yes", *raisa]) != 0
    assert run(["phases", "withdraw", "999", *petr]) != 0
    for name, text in (("ru.txt", "Каждый получит карту."), ("en.txt", "Everybody gets a card.")):
        (office / name).write_text(text, encoding="utf-8")
    (office / "bad.txt").write_bytes(b"\xff\xfe\x00")
    notice = ["phases", "propose-notice", "--place", "Газета", "--bank", "Банк", *petr]
    capsys.readouterr()
    assert run([*notice, "bad.txt", "--on", "2030-01-01"]) != 0
    assert run([*notice, "ru.txt", "--english", "bad.txt", "--on", "2030-01-01"]) != 0
    assert capsys.readouterr().err.count("is not UTF-8 text") == 2
    assert run([*notice, "ru.txt", "--on", "9999-12-31"]) != 0
    assert run([*notice, "ru.txt", "--english", "en.txt", "--on", "2026-12-30"]) == 0
    told = capsys.readouterr().out
    assert "refusals until 2027-02-28, banks until 2027-01-29" in told, "over New Year"
    assert run(["phases", "withdraw-notice", told.split()[1], *petr]) == 0
    assert run(["phases", "confirm-notice", told.split()[1], *raisa]) != 0


def looks(number: int) -> int:
    """How often somebody was looked at for a list, as the audit has it."""
    engine = make_engine(load_settings(None).database_url)
    with session_factory(engine)() as session:
        of_person = select(Resident.id).where(Resident.snils == person(number)["snils"]).scalar_subquery()
        entries = select(func.count()).select_from(AuditEntry)
        wanted = entries.where(AuditEntry.action == "cohort.look", AuditEntry.person_id == of_person)
        count = session.scalar(wanted) or 0
    engine.dispose()
    return count


def test_a_list_is_discarded_and_why_says_by_what(
    clerks: tuple[list[str], list[str]],
    office: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    petr, raisa = clerks
    engine = make_engine(load_settings(None).database_url)
    with session_factory(engine)() as session:
        add_resident(session, 911)
        session.commit()
    engine.dispose()
    people = ["staff", "add", "--new-password-file", "password", *ADMIN]
    run([*people, "olga", "--name", "Ольга", "--role", "OPERATOR"])
    snils = person(911)["snils"]
    file = ["refusals", "file", snils, "--login", "olga", "--password-file", "password"]
    assert run([*file, "--channel", "pigeon"]) != 0
    assert run([*file, "--channel", "mfc"]) == 0
    number = capsys.readouterr().out.split()[-1]
    before = looks(911)
    assert run(["cohorts", "why", snils, *petr]) == 0
    assert looks(911) == before + 1, "the citizen reads of one look"
    assert f"not_refused {number} " in capsys.readouterr().out
    assert run(["cohorts", "why", snils, "--as-of", "2013-01-01", *petr]) == 0
    assert "mass emission begins on 2014-01-01" in capsys.readouterr().err
    assert run(["cohorts", "why", "nobody", *petr]) != 0
    assert run(["cohorts", "why", snils, "--as-of", "0001-01-01", *petr]) != 0
    assert "from 01.01.1900" in capsys.readouterr().err
    assert run(["cohorts", "compute", *petr]) == 0
    made = capsys.readouterr().out.splitlines()[0].split()[-1]
    assert run(["cohorts", "discard", made, "--reason", " ", *raisa]) != 0
    assert run(["cohorts", "discard", made, "--reason", "ошибка в дне", *raisa]) == 0
    assert "VOID" in capsys.readouterr().out
    assert run(["cohorts", "propose", made, *petr]) != 0
    assert run(["cohorts", "discard", made, "--reason", "ещё раз", *raisa]) != 0
