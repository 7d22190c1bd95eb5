"""What `uec cards` gives out beside facts: faces for the printer, and the evidence of a card's sessions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import insert, select

from issuance.production.bundle import RecordKind
from issuance.production.transcript import content_of, digest
from issuance.station.identity import StationKey
from issuance.station.wire import to_sign
from tests.integration.cli.test_card_life_commands import OFFICER, PLANNER, SECURITY, office
from tests.support.desk import CardOffice
from uec.cli import run
from uec.store.tables import AuditEntry, JournalEntry, Station

__all__ = ["office"]


@pytest.fixture
def made(office: CardOffice) -> Iterator[CardOffice]:
    """Two cards are made."""
    office.make_cards(1, 2)
    yield office


def test_one_face_as_png_at_the_printers_resolution(made: CardOffice) -> None:
    assert run(["cards", "print", "1", "--out", "card.png", "--dpi", "600", "--login", SECURITY]) == 0
    with Image.open("card.png") as picture:
        assert picture.size == (2022, 1275), "85.60 x 53.98 mm at 600 dots an inch"
        assert [round(dots) for dots in picture.info["dpi"]] == [600, 600]


def test_faces_as_pdf_a_page_each_in_the_order_of_numbers(made: CardOffice) -> None:
    assert run(["cards", "print", "2", "1", "--out", "cards.pdf", "--login", SECURITY]) == 0
    pages = PdfReader("cards.pdf").pages
    numbers = sorted(made.card(card_id).number for card_id in (1, 2))
    assert len(pages) == 2
    for page, number in zip(pages, numbers, strict=True):
        assert number in page.extract_text().replace(" ", "")
        assert [round(float(side) * 25.4 / 72, 1) for side in page.mediabox[2:]] == [85.6, 54.0]
    with made.sessions() as session:
        looks = session.scalars(select(AuditEntry).where(AuditEntry.action == "card.view")).all()
    assert {int(one.subject_id or 0) for one in looks} == {1, 2}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("1", "--out", "card.jpg"), 2),
        (("1", "2", "--out", "cards.png"), 2),
        (("99", "--out", "card.pdf"), 1),
        (("1", "--out", "card.png", "--dpi", "9"), 2),
    ],
)
def test_what_cannot_be_printed_is_said(made: CardOffice, words: tuple[str, ...], code: int) -> None:
    assert run(["cards", "print", *words, "--login", SECURITY]) == code
    assert not Path(words[-1]).exists()


def test_who_may_not_see_people_prints_no_card(made: CardOffice) -> None:
    assert run(["cards", "print", "1", "--out", "card.pdf", "--login", PLANNER]) == 1
    assert run(["cards", "evidence", "1", "--login", PLANNER]) == 1


def rewrite(office: CardOffice, **changes: Any) -> None:
    """Put a changed transcript beside the real one, as somebody with the database in his hands would."""
    with office.sessions() as session:
        kept = session.scalars(
            select(JournalEntry).where(JournalEntry.kind == RecordKind.TRANSCRIPT.value, JournalEntry.card_id == 1)
        ).first()
        assert kept is not None
        values = {"card_id": 1, "seq": 900, "kind": kept.kind, "at": kept.at, "operation_id": kept.operation_id}
        session.execute(insert(JournalEntry).values(**values, facts={**kept.facts, **changes}))
        session.commit()


def signed(office: CardOffice, **changes: Any) -> dict[str, Any]:
    """A station, and its signature over the transcript of card 1, or over what it is changed into."""
    key = StationKey.generate()
    with office.sessions() as session:
        station = Station(name="Окно 1", public_key=key.public_key)
        session.add(station)
        session.commit()
        facts = session.scalars(
            select(JournalEntry.facts).where(
                JournalEntry.kind == RecordKind.TRANSCRIPT.value, JournalEntry.card_id == 1
            )
        ).first()
        assert facts is not None
        found = digest(content_of({**facts, **changes}))
        signature = key.sign(to_sign("transcript", found))
        return {**changes, "digest": found.hex(), "station_id": station.id, "signature": signature.hex()}


def test_a_transcript_is_whole_and_signed_by_its_station(made: CardOffice, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(made, **signed(made))
    assert run(["cards", "evidence", "1", "--login", OFFICER]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split("\t")[-3:] == ["True", "True", "Окно 1"] and "nobody" in lines[-2]
    assert [int(number) for number in lines[-2].split("\t")[3:5]] > [5, 30], "round trips and commands"


def another_cards(office: CardOffice) -> dict[str, Any]:
    return signed(office, about={"card": office.card(2).number})


def another_record(office: CardOffice) -> dict[str, Any]:
    """What a station would have signed had the card got other keys than the journal says by now."""
    with office.sessions() as session:
        facts = session.scalars(
            select(JournalEntry.facts).where(
                JournalEntry.kind == RecordKind.TRANSCRIPT.value, JournalEntry.card_id == 1
            )
        ).first()
    assert facts is not None
    records = [dict(one) for one in facts["records"]]
    (keyed,) = (one for one in records if one["kind"] == RecordKind.KEY_CHANGED)
    keyed["facts"] = {**keyed["facts"], "check_values": ["000000"] * 3}
    return signed(office, records=records)


@pytest.mark.parametrize("change", [another_cards, another_record])
def test_a_signed_transcript_that_does_not_belong_there_is_told(
    made: CardOffice, change: Callable[[CardOffice], dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(made, **change(made))
    assert run(["cards", "evidence", "1", "--login", OFFICER]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].split("\t")[-3:] == ["True", "False", "Окно 1"] and "900" in told.err


def test_evidence_is_given_out_once_to_a_folder_and_the_audit_knows(
    made: CardOffice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(made, **signed(made))
    folder = tmp_path / "evidence"
    assert run(["cards", "evidence", "1", "--out", str(folder), "--login", OFFICER]) == 0
    assert run(["cards", "evidence", "1", "--out", str(folder), "--login", OFFICER]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert run(["cards", "evidence", "2", "--out", str(tmp_path / "other"), "--login", PLANNER]) == 1
    assert not (tmp_path / "other").exists()
    with made.sessions() as session:
        (told,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "card.evidence")).all()
    assert (int(told.subject_id or 0), told.details) == (1, {"sessions": 2})
    assert [one.verdict for one in verdicts(folder, capsys)] == ["not signed", "signed"]


@dataclass(frozen=True)
class Verdict:
    session: str
    verdict: str


def verdicts(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[Verdict]:
    """What the offline command says of a folder."""
    capsys.readouterr()
    code = run(["card", "evidence", str(folder), *more])
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = [Verdict(line[0], line[-1]) for line in lines if line[0].isdigit()]
    assert code == int(any(one.verdict.startswith("WRONG") for one in found))
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"trips": []},
        {"records": []},
        {"about": {"card": "9643600000000142"}},
        {"signature": "00" * 70},
        {"signature": "no hex"},
        {"digest": "00" * 32},
        {"digest": "no hex"},
        {"station_id": 99},
    ],
)
def test_changed_evidence_is_told(made: CardOffice, change: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(made, **{**signed(made), **change})
    assert run(["cards", "evidence", "1", "--login", OFFICER]) == 1
    assert "900" in capsys.readouterr().err
