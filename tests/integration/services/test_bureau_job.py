"""The exchange with bureaux by itself: what is due goes out, what came is taken, and a second run finds nothing."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.standin.faults import Fault
from issuance.errors import VaultUnavailable
from tests.support.bureau_office import BureauOffice, open_bureau_office
from tests.support.desk import SETTINGS
from tests.support.stock import LOT
from uec.domain.bureau import Certificates, OrderedState, OrderState
from uec.domain.errors import IllegalMove
from uec.jobs import JOBS, Tools, do
from uec.services import authority, bureau_lists, bureau_orders, bureau_sending, cards
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


def held_up(bureau: BureauOffice, order_id: int) -> tuple[str | None, str | None]:
    row = bureau.row(order_id)
    return row.held_up_by, row.held_up_why


AWAY = "The vault does not answer: start it by `uec vault`."


def away(*_given: object, **_named: object) -> Any:
    raise VaultUnavailable(AWAY, path="vault")


def test_with_the_vault_away_replies_are_taken_and_orders_say_what_holds_them_up(
    bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tools(bureau)
    first = bureau.order(1, certificates=Certificates.ANSWER)
    bureau.standin()
    assert do("bureaux", worker) == "made 0 files, took 2, refused 0"
    second = bureau.draw(bureau.batch(2))
    third = bureau.order(3)
    bureau.approve(second)
    bureau.standin()
    with monkeypatch.context() as patch:
        patch.setattr(authority, "open_authority", away)
        said = do("bureaux", worker)
        assert said == f"BO-000002: {AWAY}; BO-000001: {AWAY}; made 0 files, took 2, refused 0"
        assert held_up(bureau, first) == held_up(bureau, second) == ("vault-unavailable", AWAY)
        assert held_up(bureau, third) == (None, None)
        versions = bureau.row(first).version, bureau.row(second).version
        assert do("bureaux", worker) == f"BO-000002: {AWAY}; BO-000001: {AWAY}"
    assert versions == (bureau.row(first).version, bureau.row(second).version)
    assert bureau.row(third).state is OrderState.COMPLETE
    assert do("bureaux", worker) == "made 2 files, took 0, refused 0"
    assert held_up(bureau, first) == held_up(bureau, second) == (None, None)


def spoil_made(bureau: BureauOffice, order_id: int) -> None:
    """Somebody ends every card of an order that waits for certificates."""
    office = bureau.office
    for card in bureau.cards(order_id, OrderedState.MADE):
        with office.sessions() as session:
            cards.spoil(session, card.id, actor=office.staff.producer, reason="torn", now=office.clock())


def test_an_order_that_has_nothing_to_answer_any_more_is_not_held_up(
    bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first order nothing comes any more, of the second one card: nothing stands against either."""
    worker = tools(bureau)
    first = bureau.order(1, certificates=Certificates.ANSWER)
    bureau.standin()
    second = bureau.order(2, 3, certificates=Certificates.ANSWER)
    bureau.standin(Fault.LATE)
    assert do("bureaux", worker) == "made 0 files, took 4, refused 0"
    with monkeypatch.context() as patch:
        patch.setattr(authority, "open_authority", away)
        do("bureaux", worker)
    assert held_up(bureau, first) == held_up(bureau, second) == ("vault-unavailable", AWAY)
    for order_id in (first, second):
        spoil_made(bureau, order_id)
    assert do("bureaux", worker) == "nothing new"
    assert (bureau.row(first).state, bureau.row(second).state) == (OrderState.COMPLETE, OrderState.ACCEPTED)
    assert held_up(bureau, first) == held_up(bureau, second) == (None, None)


def test_what_fails_once_an_order_is_complete_holds_it_up_no_more(
    bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last card was rejected, then the disk was full: it is said, and the order keeps nothing of it."""
    worker, order_id = tools(bureau), bureau.order(1, certificates=Certificates.ANSWER)
    bureau.standin()
    do("bureaux", worker)
    spoil_made(bureau, order_id)

    def full(_file: bureau_sending.Measured) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bureau_sending.Measured, "keep", full)
    assert "No space left on device" in do("bureaux", worker)
    assert bureau.row(order_id).state is OrderState.COMPLETE
    assert held_up(bureau, order_id) == (None, None)


def test_the_vault_goes_at_one_order(bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of the first order's file: nothing of it is left, and the second is made."""
    worker, real, asked = tools(bureau), type(bureau.office.desk.bench.vault).bureau_keys, []
    first, second = bureau.draw(bureau.batch(1)), bureau.draw(bureau.batch(2))
    for order_id in (first, second):
        bureau.approve(order_id)

    def keys(*given: Any, **named: Any) -> Any:
        asked.append(given)
        return away() if len(asked) == 1 else real(*given, **named)

    monkeypatch.setattr(type(bureau.office.desk.bench.vault), "bureau_keys", keys)
    assert do("bureaux", worker) == f"BO-000001: {AWAY}; made 1 files, took 0, refused 0"
    assert [path.name for path in sorted((bureau.desk / "in").iterdir())] == ["BO-000002.p7m"]
    assert (bureau.row(first).state, bureau.row(second).state) == (OrderState.APPROVED, OrderState.SENT)
    assert held_up(bureau, first) == ("vault-unavailable", AWAY)
    with bureau.office.sessions() as session:
        assert [row.held_up for row in bureau_lists.orders(session).rows] == [False, True]
        bureau_orders.cancel(
            session, first, reason="too long", actor=bureau.office.staff.planner, now=bureau.office.clock()
        )
    assert held_up(bureau, first) == (None, None)


def test_what_cannot_be_read_or_written_keeps_nothing_else_back(
    bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is called like a file, a link to nowhere, a disk that is full at one order."""
    worker = tools(bureau)
    first, second = bureau.draw(bureau.batch(1)), bureau.draw(bureau.batch(2))
    for order_id in (first, second):
        bureau.approve(order_id)
    real, kept = bureau_sending.Measured.keep, list[object]()

    def full(file: bureau_sending.Measured) -> None:
        kept.append(file)
        if len(kept) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    with monkeypatch.context() as patch:
        patch.setattr(bureau_sending.Measured, "keep", full)
        said = do("bureaux", worker)
    sentence = "The disk refuses its folder: No space left on device; see to its place and rights."
    assert said == f"BO-000001: {sentence}; made 1 files, took 0, refused 0"
    assert held_up(bureau, first) == ("folder", sentence)
    bureau.standin()
    out = bureau.desk / "out"
    (out / "a-folder.p7s").mkdir()
    (out / "b-nowhere.p7s").symlink_to("nowhere")
    said = do("bureaux", worker)
    assert said.startswith("a-folder.p7s: The disk refuses a-folder.p7s: Is a directory; see to its place and rights.;")
    assert "b-nowhere.p7s: The disk refuses b-nowhere.p7s: No such file" in said
    assert said.endswith("made 1 files, took 2, refused 0")
    assert bureau.row(second).state is OrderState.COMPLETE
    assert held_up(bureau, first) == (None, None)


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
