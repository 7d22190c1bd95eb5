"""Somebody dies, refuses, or is said to be gone, at every moment between approval and the window: no card for them.

One person a moment, beside one of whom nothing becomes known and who gets a card each time; no chip is touched without
need, and every blank is accounted for. `tests.support.strikes` is the one list of what may happen to people.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.bundle import Record, RecordKind
from tests.flow.test_bureau_life import answer
from tests.integration.stock.test_production import serial_chip
from tests.support.bureau_office import BureauOffice, open_bureau_office
from tests.support.desk import CardOffice, open_card_office
from tests.support.stock import box, open_stockroom
from tests.support.strikes import STRIKES, on_a_mass_list, one_a_moment, snils_of, strike
from uec.domain.bureau import Certificates, OrderState
from uec.domain.lifecycle import (
    ApplicationState,
    CardState,
    CertificateState,
    OperationKind,
    OperationState,
)
from uec.services import batches, bureau_lists, bureau_orders, operations, preparation, stock_balance
from uec.services.production_office import DatabaseOffice
from uec.services.stock_ledger import Wanted
from uec.store.tables import Application, BureauOrder, Card, Certificate, StockBox

BLANKS = 30
LIVING = (CardState.PERSONALISED, CardState.ACTIVE, CardState.WRITING, CardState.PREPARED, CardState.PLANNED)
WRITING = (
    RecordKind.CHIP_CLAIMED,
    RecordKind.KEY_CHANGE_INTENT,
    RecordKind.KEY_CHANGED,
    RecordKind.WRITE_INTENT,
    RecordKind.KEYS_MADE,
    RecordKind.FINISH_INTENT,
    RecordKind.FINISHED,
    RecordKind.INSPECTED,
)
Step = Callable[[], object]
Struck = Mapping[int, tuple[str, str]]


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def go(office: CardOffice, steps: Mapping[str, Step], struck: Struck) -> None:
    """One step after the other; whose moment it is is struck right before it."""
    for name, step in steps.items():
        for number, (moment, how) in struck.items():
            if moment == name:
                strike(office, number, how)
        step()


def card_of(office: CardOffice, number: int) -> Card | None:
    """The newest card of one of the people."""
    with office.sessions() as session:
        mine = select(Card).join(Application, Application.id == Card.application_id)
        return session.scalars(mine.where(Application.snils == snils_of(number)).order_by(Card.id.desc())).first()


def check_nobody_struck_has_a_card(office: CardOffice, struck: Struck) -> None:
    """No card, no certificate that is good, no application that would make one; the next plan makes none either."""
    with office.sessions() as session:
        for number, moment in struck.items():
            mine = select(Card.id, Card.state).join(Application, Application.id == Card.application_id)
            cards = session.execute(mine.where(Application.snils == snils_of(number))).all()
            assert not any(state in LIVING for _, state in cards), (moment, cards)
            wanted = select(Certificate.state).where(Certificate.card_id.in_([card_id for card_id, _ in cards]))
            assert set(session.scalars(wanted)) <= {CertificateState.REVOKED}, moment
            request = session.scalars(select(Application).where(Application.snils == snils_of(number))).one()
            assert (request.state, request.remake) == (ApplicationState.WITHDRAWN, False), moment
            assert request.closed_at is not None, moment
    assert office.plan() == []


def released(office: CardOffice) -> None:
    with office.sessions() as session:
        for batch_id in session.scalars(select(Card.batch_id).distinct()).all():
            batches.release(session, batch_id, actor=office.staff.releaser, now=office.clock())


def prepared(office: CardOffice) -> None:
    with office.sessions() as session:
        for batch_id in session.scalars(select(Card.batch_id).distinct()).all():
            preparation.prepare(session, batch_id, profile=office.desk.bench.profile, issuer="УОС", now=office.clock())


def requested(office: CardOffice) -> None:
    with office.sessions() as session:
        for batch_id in session.scalars(select(Card.batch_id).distinct()).all():
            operations.request_batch(
                session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
            )


def handed_over(office: CardOffice) -> None:
    """Every card that lies at the window; for who was struck the claim is where it is looked at once more."""
    with office.sessions() as session:
        lying = session.scalars(select(Card.id).where(Card.state == CardState.PERSONALISED).order_by(Card.id)).all()
    for card_id in lying:
        with office.sessions() as session:
            operations.request_operation(
                session,
                kind=OperationKind.HAND_OVER,
                card_id=card_id,
                station_id=None,
                reader=None,
                actor=office.staff.second_operator,
                now=office.clock(),
            )
            claimed = operations.claim_operation(session, now=office.clock())
            if claimed is not None:
                operations.fail_operation(session, claimed.id, code="test", text="no PINs", now=office.clock())


@pytest.mark.slow
@pytest.mark.parametrize("turn", [0, *(pytest.param(turn, marks=pytest.mark.nightly) for turn in (1, 2))])
def test_at_a_line(office: CardOffice, monkeypatch: pytest.MonkeyPatch, turn: int) -> None:
    steps: dict[str, Step] = {
        "plan": office.plan,
        "release": lambda: released(office),
        "prepare": lambda: prepared(office),
        "request": lambda: requested(office),
        "write": lambda: written(office),
        "hand-over": lambda: handed_over(office),
    }
    struck = one_a_moment([*steps, *WRITING], shift=turn)
    nothing = len(struck) + 1
    strike_while_writing(office, monkeypatch, struck)
    on_a_mass_list(office, [*struck, nothing])
    room = open_stockroom(office.sessions, office.staff)
    room.deliver(box("17", 1, BLANKS), store=room.point)
    with office.sessions() as session:
        box_id = session.scalars(select(StockBox.id)).one()
    room.shift(Wanted(box_id, count=BLANKS))
    go(office, steps, struck)

    check_nobody_struck_has_a_card(office, struck)
    mine = card_of(office, nothing)
    assert mine is not None and mine.state is CardState.PERSONALISED
    touched = {moment for moment, _ in struck.values()} - {"plan", "release", "prepare", "request", "write"}
    assert len(office.chips) == len(touched) + 1, "a chip for who was struck while it was written or later, and mine"
    with office.sessions() as session:
        (line,) = [one for one in stock_balance.by_store(session, actor=room.quality) if one.id == room.point]
    made = len(office.chips)
    assert (line.balance.good, line.balance.spoiled, line.balance.in_hand) == (made, 0, BLANKS - made)
    assert (line.balance.received, line.balance.difference, line.balance.missing) == (BLANKS, 0, 0)


def strike_while_writing(office: CardOffice, monkeypatch: pytest.MonkeyPatch, struck: Struck) -> None:
    """Strike whose card is written right before the entry of their moment is recorded."""
    record = DatabaseOffice.record

    def struck_first(self: DatabaseOffice, entry: Record) -> None:
        for number, (moment, how) in struck.items():
            card = card_of(office, number) if moment == entry.kind else None
            if card is not None and card.id == self._card_id:
                strike(office, number, how)
        record(self, entry)

    monkeypatch.setattr(DatabaseOffice, "record", struck_first)


def written(office: CardOffice) -> None:
    """Every card that is asked for, each on its own blank of the shift."""
    while True:
        with office.sessions() as session:
            claimed = operations.claim_operation(session, now=office.clock())
        if claimed is None:
            return
        chip = office.chips.setdefault(claimed.card_id or 0, serial_chip(len(office.chips) + 1))
        done = office.do(claimed, chip)
        barred = office.card(done.card_id or 0).state is CardState.ANNULLED
        assert (done.state, done.error_code) == (
            (OperationState.FAILED, "uec.card_barred") if barred else (OperationState.DONE, None)
        )


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    yield opened
    opened.office.desk.bench.vault.close()


@pytest.mark.slow
@pytest.mark.parametrize("certificates", list(Certificates))
def test_at_a_bureau(bureau: BureauOffice, certificates: Certificates) -> None:
    office = bureau.office

    def order() -> BureauOrder:
        with office.sessions() as session:
            return session.scalars(select(BureauOrder)).one()

    def draw() -> None:
        with office.sessions() as session:
            batch_id = session.scalars(select(Card.batch_id).distinct()).one()
        bureau.draw(batch_id, certificates)

    def made() -> None:
        bureau.standin()
        bureau.take(bureau.replies()[0])

    def finished() -> None:
        bureau.standin()
        bureau.take_all()

    steps: dict[str, Step] = {
        "plan": office.plan,
        "release": lambda: released(office),
        "prepare": lambda: prepared(office),
        "draw": draw,
        "approve": lambda: bureau.approve(order().id),
        "send": lambda: bureau.send(order().id),
        "make": made,
        "results": lambda: bureau.take(bureau.replies()[1]),
    }
    if certificates is Certificates.ANSWER:
        steps |= {"answer": lambda: answer(bureau, order().id), "finish": finished}
    steps |= {"window": lambda: finished_at_the_window(bureau), "hand-over": lambda: handed_over(office)}
    struck = one_a_moment(steps, shift=len(STRIKES) - 1)
    nothing = len(struck) + 1
    on_a_mass_list(office, [*struck, nothing])
    go(office, steps, struck)

    check_nobody_struck_has_a_card(office, struck)
    mine = card_of(office, nothing)
    assert mine is not None and mine.state is CardState.PERSONALISED
    given_back = close(bureau, order().id)
    assert order().state is OrderState.CLOSED
    with office.sessions() as session:
        sums = bureau_lists.reconcile(session, order())
    assert (sums.difference, sums.outstanding, sums.ordered) == (0, 0, sums.made + sums.rejected + sums.recalled)
    blanks = bureau.blanks()
    assert sum(blanks.values()) == 200 and set(blanks) == {"STORE", "GOOD", "SPOILED"}, given_back
    # Good: mine, and of who was struck when it lay at the window. Spoiled: of all whose keys the bureau had made.
    assert blanks["GOOD"] == 2
    late = list(steps).index("window") - list(steps).index("send")
    assert blanks["SPOILED"] == late, "from after the file was sent to before the window began"


def finished_at_the_window(bureau: BureauOffice) -> None:
    """A window goes on with every card that came; who was struck is met at the claim."""
    office = bureau.office
    with office.sessions() as session:
        begun = session.scalars(select(Card).where(Card.state == CardState.WRITING).order_by(Card.id)).all()
    for card in begun:
        office.chips[card.id] = bureau.chip_of(card)
        office.request(OperationKind.PERSONALISE, card.id)
        office.work()


def close(bureau: BureauOffice, order_id: int) -> dict[str, int]:
    """Receive what was sent and close the order; the blanks before that."""
    before = bureau.blanks()
    with bureau.office.sessions() as session:
        for one in bureau.consignments():
            bureau_orders.receive(session, one.id, one.seal, actor=bureau.keeper, now=bureau.office.clock())
        bureau_orders.close(session, order_id, actor=bureau.keeper, now=bureau.office.clock())
    return before


@pytest.mark.parametrize("how", list(STRIKES))
def test_who_is_struck_with_a_half_written_card_gets_no_other(office: CardOffice, how: str) -> None:
    """A spoiled card comes first in the next plan; this one does not come at all."""
    on_a_mass_list(office, [1])
    office.plan()
    released(office)
    prepared(office)
    requested(office)
    with office.sessions() as session:
        card, request = session.scalars(select(Card)).one(), session.scalars(select(Application)).one()
        card.state, request.state = CardState.WRITING, ApplicationState.IN_PRODUCTION
        session.commit()
    strike(office, 1, how)
    assert office.work() == []
    assert office.card(card.id).state is CardState.SPOILED
    check_nobody_struck_has_a_card(office, {1: ("half-written", how)})


def test_a_card_that_lies_at_the_window_while_its_holder_chooses_pins(office: CardOffice) -> None:
    on_a_mass_list(office, [1])
    for step in (office.plan, lambda: released(office), lambda: prepared(office), lambda: requested(office)):
        step()
    office.work()
    (card,) = [card_of(office, 1)]
    assert card is not None
    with office.sessions() as session:
        asked = operations.request_operation(
            session, kind=OperationKind.HAND_OVER, card_id=card.id, station_id=None, reader=None,
            actor=office.staff.second_operator, sealed_pins=b"sealed", now=office.clock(),
        )  # fmt: skip
    strike(office, 1, "die")
    assert office.work() == []
    assert office.card(card.id).state is CardState.ANNULLED
    with office.sessions() as session:
        view = operations.operation(session, asked)
    assert (view.state, view.error_code) == (OperationState.CANCELLED, "uec.card_barred")
