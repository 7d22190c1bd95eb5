"""The exchange with bureaux by itself: what is due goes out, what came is taken, and a second run finds nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.standin.faults import Fault
from tests.support.bureau_office import BureauOffice, open_bureau_office
from tests.support.desk import SETTINGS
from tests.support.stock import LOT
from uec.domain.bureau import Certificates, OrderState
from uec.domain.errors import IllegalMove
from uec.jobs import JOBS, Tools, do
from uec.services import bureau_sending
from uec.store.tables import BureauOrder

UNKNOWN = "479005007499"

pytestmark = pytest.mark.slow


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    opened.exchange.mkdir()
    (tmp_path / "bureaux").symlink_to(opened.exchange)
    yield opened
    opened.office.desk.bench.vault.close()


def tools(bureau: BureauOffice) -> Tools:
    bench = bureau.office.desk.bench
    settings = replace(SETTINGS, state_dir=bureau.folder)
    nobody: Any = None  # this job asks no register
    return Tools(settings, bureau.office.sessions, bench.vault, nobody, bureau.office.clock, bench.random)


def test_orders_and_answers_by_themselves(bureau: BureauOffice) -> None:
    worker = tools(bureau)
    assert do("bureaux", worker) == "nothing new"
    order_id = bureau.draw(bureau.batch(1, 2), Certificates.ANSWER)
    assert do("bureaux", worker) == "nothing new", "nobody approved it"
    bureau.approve(order_id)
    assert do("bureaux", worker) == "made 1 files, took 0, refused 0"
    bureau.standin(Fault.TWICE)  # the same file under two names is looked at once
    (bureau.desk / "out" / "stray.p7s").write_bytes(b"nobody's")
    assert do("bureaux", worker) == "made 0 files, took 2, refused 1"
    assert do("bureaux", worker) == "made 1 files, took 0, refused 0"
    bureau.standin()
    assert do("bureaux", worker) == "made 0 files, took 1, refused 0"
    assert do("bureaux", worker) == "nothing new"
    assert bureau.row(order_id).state is OrderState.COMPLETE
    assert "bureaux" in JOBS


def test_what_stands_against_one_order_keeps_no_other_back(bureau: BureauOffice) -> None:
    """The chips of the first order are of a lot of which nothing is known; the second goes out, and replies come in."""
    worker, office = tools(bureau), bureau.office
    first = bureau.draw(bureau.batch(1))
    second = bureau.draw(bureau.batch(2))
    for order_id in (first, second):
        bureau.approve(order_id)
    with office.sessions() as session:
        row = session.get_one(BureauOrder, first)
        row.chips = [[chip.replace(LOT, UNKNOWN) for chip in pair] for pair in row.chips]
        session.commit()
    said = do("bureaux", worker)
    assert said.startswith(f"BO-000001: How chips of lot {UNKNOWN} diversify is not known"), said
    assert said.endswith("; made 1 files, took 0, refused 0")
    assert (bureau.row(first).state, bureau.row(second).state) == (OrderState.APPROVED, OrderState.SENT)
    bureau.standin()
    assert do("bureaux", worker).endswith("; made 0 files, took 2, refused 0")
    assert bureau.row(second).state is OrderState.COMPLETE


def test_an_order_that_another_process_moved_on_keeps_no_other_back(
    bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the office of any kind stands against its own order: it is told, and replies are still taken."""
    worker = tools(bureau)
    first, second = bureau.draw(bureau.batch(1)), bureau.draw(bureau.batch(2))
    for order_id in (first, second):
        bureau.approve(order_id)
    real = bureau_sending.send

    def send(session: Session, order_id: int, **rest: Any) -> Path:
        if order_id == first:
            raise IllegalMove("BO-000001 is CANCELLED.", machine="order", state="CANCELLED", event="SEND")
        return real(session, order_id, **rest)

    monkeypatch.setattr(bureau_sending, "send", send)
    assert do("bureaux", worker) == "BO-000001: BO-000001 is CANCELLED.; made 1 files, took 0, refused 0"
    assert "BO-000001 is CANCELLED." in caplog.text
    bureau.standin()
    assert do("bureaux", worker).endswith("; made 0 files, took 2, refused 0")
    assert bureau.row(second).state is OrderState.COMPLETE
