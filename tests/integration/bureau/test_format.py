"""The written format suffices: a program made from it alone reads our order, and what it answers is taken."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.records import Tag
from tests.support.bureau_office import BureauOffice, open_bureau_office
from tests.support.bureau_wrong import FILES
from tests.support.keys import BUREAU_KEY
from tests.support.line import UEC_PROFILE
from uec.cli import run
from uec.domain.bureau import OrderedState, OrderState
from uec.domain.lifecycle import CardState
from uec.services import card_jobs
from uec.web.bureau_words import REJECTIONS

FORMAT = files("issuance.bureau") / "format.md"
STRANGER = Path(__file__).with_name("stranger.py")


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    yield opened
    opened.office.desk.bench.vault.close()


@pytest.mark.slow
def test_a_bureau_that_knows_the_format_only(bureau: BureauOffice) -> None:
    """Nothing of ours is on its path: openssl reads and signs, and makes the keys of the cards."""
    office = bureau.office
    order_id = bureau.order(1, 2)
    moment = f"{office.clock():%Y-%m-%dT%H:%M:%SZ}"
    given = (bureau.folder / "bureau", bureau.desk / "in" / "BO-000001.p7m", BUREAU_KEY.hex(), UEC_PROFILE, moment)
    command = [sys.executable, "-I", STRANGER, *given]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=bureau.folder)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    cards = bureau.cards(order_id)
    assert list(read["cards"]) == [card.number for card in cards] and read["chips"] == 4
    with office.sessions() as session:
        for card in cards:
            groups = card_jobs.data_groups(session, card.id)
            assert read["cards"][card.number] == {str(number): len(content) for number, content in groups.items()}
    row = bureau.row(order_id)
    assert (read["terms"]["kvn"], read["terms"]["certificates"]) == (str(row.kvn), "hand-over")

    assert bureau.take(bureau.folder / "bureau" / "acknowledgement.p7s").facts == {"accepted": True, "cards": 2}
    facts = bureau.take(bureau.folder / "bureau" / "results.p7s").facts
    assert (facts["made"], facts["rejected"], facts["blanks_spoiled"], facts["consignments"]) == (2, 0, 1, 1)
    assert bureau.counts(order_id) == {OrderedState.MADE: 2}
    assert bureau.row(order_id).state is OrderState.COMPLETE
    assert {card.state for card in bureau.cards(order_id)} == {CardState.WRITING}
    assert bureau.blanks() == {"STORE": 196, "HAND": 1, "WORK": 2, "SPOILED": 1}
    assert [(one.number, one.seal, one.cards) for one in bureau.consignments()] == [("PARCEL-1", "SEAL-77", 2)]


def test_the_format_names_every_record_and_every_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    text = FORMAT.read_text("utf-8")
    assert {f"| {tag.value:02X} |" in text for tag in Tag} == {True}
    words = set(re.findall(r"`([a-z-]+)`", text))
    assert {finding for _, finding in FILES.values()} | set(REJECTIONS) <= words
    assert run(["bureau", "format"]) == 0
    assert capsys.readouterr().out.strip() == text.strip()
