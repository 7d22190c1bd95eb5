"""Blanks as ranges: deliveries, transfers, shifts, acts; every refusal by name, nothing half-written."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW
from tests.support.stock import LOT, Stockroom, box, chips, delivery, open_stockroom
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, SamePerson, UecError
from uec.domain.stock import (
    CountDiffers,
    Motion,
    NotInStock,
    OverlappingSerials,
    Place,
    SealBroken,
    SerialRange,
    ShiftState,
    ShiftUnbalanced,
    TransferState,
)
from uec.services import (
    exports,
    stock_balance,
    stock_cards,
    stock_destruction,
    stock_intake,
    stock_ledger,
    stock_shifts,
    stock_transfers,
)
from uec.services.stock_balance import Balance
from uec.services.stock_intake import BoxForm, UnknownKeySet
from uec.services.stock_ledger import Held, Wanted
from uec.services.stock_shifts import ShiftOpenAlready
from uec.services.stock_transfers import Found
from uec.store.tables import (
    AuditEntry,
    StockBox,
    StockDelivery,
    StockDestruction,
    StockHolding,
    StockMovement,
    StockShift,
    StockTransfer,
)


@pytest.fixture
def room(sessions: sessionmaker[Session]) -> Stockroom:
    return open_stockroom(sessions)


def holdings(session: Session) -> list[tuple[int, int, str]]:
    return [(row.chips.first, row.chips.last, row.place.value) for row in stock_balance.lying(session)]


def entries(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(StockMovement)) or 0


def check_refused(room: Stockroom, error: type[UecError], match: str, call: Callable[[Session], object]) -> None:
    """The call is refused, and leaves ledger, ranges and audit as they were."""
    with room.sessions() as session:
        before = (holdings(session), entries(session), session.scalar(select(func.count()).select_from(AuditEntry)))
    with room.sessions() as session, pytest.raises(error, match=match):
        call(session)
    with room.sessions() as session:
        after = (holdings(session), entries(session), session.scalar(select(func.count()).select_from(AuditEntry)))
        assert after == before
        assert stock_balance.verify(session) == []


def test_a_delivery_is_one_range_a_box(room: Stockroom) -> None:
    ids = room.deliver(box("17", 1, 500), box("18", 501, 1000))
    with room.sessions() as session:
        assert holdings(session) == [(1, 500, "STORE"), (501, 1000, "STORE")]
        note = session.query(StockDelivery).one()
        assert (note.boxes, note.blanks, note.transport_version) == (2, 1000, 1)
        lines = stock_balance.by_box(session, actor=room.keeper)
        assert [(line.id, line.balance.received, line.balance.in_hand) for line in lines] == [
            (ids["17"], 500, 500),
            (ids["18"], 500, 500),
        ]
        told = session.query(AuditEntry).filter_by(action="stock.deliver").one()
        assert told.details["blanks"] == 1000


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (delivery(box("17", 2000, 2001), note="N-2", store_id=1), InvalidInput),  # the box came before
        (delivery(box("99", 2000, 2001), note="N-1", store_id=1), InvalidInput),  # the note came before
        (delivery(box("99", 500, 501), note="N-2", store_id=1), OverlappingSerials),
        (delivery(box("99", 0, 5000), note="N-2", store_id=1), OverlappingSerials),
        (delivery(box("99", 10, 20), note="N-2", store_id=1), OverlappingSerials),
        (delivery(box("98", 2000, 2010), box("99", 2010, 2020), note="N-2", store_id=1), OverlappingSerials),
        (delivery(box("98", 2000, 2010), box("98", 2011, 2020), note="N-2", store_id=1), InvalidInput),
        (delivery(note="N-2", store_id=1), InvalidInput),
        (delivery(BoxForm("98", ()), note="N-2", store_id=1), InvalidInput),
        (delivery(box("98", 2000, 2010), note="N-2", store_id=1, version=2), UnknownKeySet),
        (delivery(box("98", 2000, 2010), note="N-2", store_id=1, check_value="FFFFFF"), UnknownKeySet),
        (delivery(box("9\n8", 2000, 2010), note="N-2", store_id=1), InvalidInput),
        (delivery(box("98", 2000, 2010), note=" ", store_id=1), InvalidInput),
        (delivery(box("98", 2000, 2010), note="N-2", store_id=777), UecError),
    ],
)  # fmt: skip
def test_a_delivery_is_taken_in_whole_or_not_at_all(room: Stockroom, second, error: type[UecError]) -> None:  # type: ignore[no-untyped-def]
    room.deliver(box("17", 1, 500))
    check_refused(room, error, ".", lambda session: stock_intake.deliver(session, second, actor=room.keeper, now=NOW))
    with room.sessions() as session:
        assert session.query(StockBox).count() == 1


def check_seal_untold(room: Stockroom, seal: str, receive: Callable[[Session], None]) -> None:
    """Whoever receives a consignment reads its seal off it: neither a refusal nor a list tells it before."""
    with room.sessions() as session, pytest.raises(SealBroken) as refused:
        receive(session)
    assert seal not in str(refused.value) and seal not in str(refused.value.facts)
    with room.sessions() as session:
        (row,) = listed(room, session)
    assert "T-000001" in row and seal not in row


def listed(room: Stockroom, session: Session) -> list[tuple[object, ...]]:
    return list(exports.rows(session, "consignments", actor=room.keeper, filters={}))


def test_blanks_are_sent_under_a_seal_and_received_by_another_person(room: Stockroom) -> None:
    ids = room.deliver(box("17", 1, 500))
    with room.sessions() as session:
        sent = stock_transfers.send(
            session, giver_id=room.central, taker_id=room.point, seal=" пл-77 ",
            contents=[Wanted(ids["17"], count=200)], actor=room.keeper, now=NOW,
        )  # fmt: skip
        assert holdings(session) == [(1, 200, "TRANSIT"), (201, 500, "STORE")]
    found = Found("ПЛ-77", 200)

    def receive(by, what: Found = found):  # type: ignore[no-untyped-def]
        return lambda session: stock_transfers.receive(session, sent, what, actor=by, now=NOW)

    check_refused(room, SamePerson, "sent the consignment", receive(room.keeper))
    check_refused(room, SealBroken, "ПЛ-78 was found", receive(room.second_keeper, Found("ПЛ-78", 200)))
    check_seal_untold(room, "ПЛ-77", receive(room.second_keeper, Found("ПЛ-78", 200)))
    check_refused(room, CountDiffers, "199 were counted", receive(room.second_keeper, Found("ПЛ-77", 199)))
    check_refused(room, InvalidInput, "below nothing", receive(room.second_keeper, Found("ПЛ-77", -1)))
    check_refused(room, NotAllowed, "KEEP_STOCK", receive(room.producer))
    with room.sessions() as session:
        receive(room.second_keeper)(session)
        assert session.get_one(StockTransfer, sent).state is TransferState.RECEIVED
        assert "ПЛ-77" in listed(room, session)[0]
        assert holdings(session) == [(1, 200, "STORE"), (201, 500, "STORE")]
    check_refused(room, IllegalMove, "RECEIVE is not possible", receive(room.second_keeper))
    with room.sessions() as session:
        central, point = stock_balance.by_store(session, actor=room.keeper)
        assert (central.balance.received, central.balance.sent, central.balance.in_hand) == (500, 200, 300)
        assert (point.balance.received, point.balance.in_hand) == (200, 200)
        assert central.balance.difference == point.balance.difference == 0


def test_a_consignment_that_does_not_agree_is_disputed_and_settled(room: Stockroom) -> None:
    ids = room.deliver(box("17", 1, 100))
    with room.sessions() as session:
        sent = stock_transfers.send(
            session, giver_id=room.central, taker_id=room.point, seal="A1", contents=[Wanted(ids["17"])],
            actor=room.keeper, now=NOW,
        )  # fmt: skip
        stock_transfers.dispute(
            session, sent, Found("A1", 98), remark="две заготовки не найдены", actor=room.second_keeper, now=NOW
        )
        assert session.get_one(StockTransfer, sent).blanks_found == 98
    lost = [chips(7), chips(50)]
    for actor, error in ((room.second_keeper, NotAllowed), (room.keeper, NotAllowed)):
        check_refused(
            room, error, "CONTROL_QUALITY",
            lambda session, actor=actor: stock_transfers.settle(
                session, sent, missing=lost, remark="-", actor=actor, now=NOW
            ),
        )  # fmt: skip
    with room.sessions() as session:
        gone = stock_transfers.settle(session, sent, missing=lost, remark="акт 3", actor=room.quality, now=NOW)
        assert gone == 2
        assert [row for row in holdings(session) if row[2] == "MISSING"] == [(7, 7, "MISSING"), (50, 50, "MISSING")]
        point = stock_balance.by_store(session, actor=room.keeper)[1].balance
        assert (point.missing, point.in_hand, point.difference) == (2, 98, 0)
        stock_cards.found_again(
            session, [chips(7)], store_id=room.central, reason="нашлась", actor=room.quality, now=NOW
        )
        assert stock_balance.verify(session) == []
    check_refused(
        room, NotInStock, "Not all of",
        lambda session: stock_cards.found_again(
            session, [chips(7)], store_id=room.central, reason="ещё раз", actor=room.quality, now=NOW
        ),
    )  # fmt: skip


@pytest.mark.parametrize("found_at", ["point", "central"])
def test_a_blank_missing_in_one_store_is_found_in_the_same_or_in_another(
    room: Stockroom, issued: tuple[int, int], found_at: str
) -> None:
    """The store that missed it has sent it on, the one that found it has received it; the report is still read."""
    shift, _box = issued
    with room.sessions() as session:
        stock_shifts.miss(session, shift, [chips(1)], reason="нет", actor=room.quality, now=NOW)
        before = stock_balance.by_store(session, actor=room.keeper)[1].balance
        assert (before.received, before.in_hand, before.missing, before.sent) == (10, 9, 1, 0)
        store = room.point if found_at == "point" else room.central
        stock_cards.found_again(session, [chips(1)], store_id=store, reason="есть", actor=room.quality, now=NOW)
        central, point = (line.balance for line in stock_balance.by_store(session, actor=room.keeper))
        away = int(found_at == "central")
        assert central == Balance(received=away, in_hand=away)
        assert point == Balance(received=10, in_hand=10 - away, sent=away)
        assert stock_balance.verify(session) == []


def test_a_card_begun_in_one_store_and_finished_in_another_is_the_other_s(
    room: Stockroom, issued: tuple[int, int]
) -> None:
    shift, _box = issued
    with room.sessions() as session:

        def move(motion: Motion, place: Place, store_id: int, shift_id: int | None) -> None:
            found = stock_ledger.whereabouts(session, chips(1).chip(1))
            assert found is not None
            taker = stock_ledger.account(session, place, store_id=store_id, shift_id=shift_id)
            stock_ledger.move(session, motion, [found[0]], taker_id=taker, actor=room.producer, now=NOW)
            session.commit()

        move(Motion.CLAIM, Place.WORK, room.point, shift)
        stock_shifts.set_aside(session, shift, actor=room.keeper, now=NOW)
        other = stock_shifts.open_shift(
            session, store_id=room.central, station_id=None, actor=room.second_producer, now=NOW
        )
        move(Motion.MAKE, Place.GOOD, room.central, other)
        central, point = (line.balance for line in stock_balance.by_store(session, actor=room.keeper))
        assert central == Balance(received=1, good=1)
        assert point == Balance(received=10, in_hand=9, sent=1)
        finished = stock_balance.by_shift(session, other, actor=room.keeper).balance
        assert finished == Balance(received=1, good=1)
        assert stock_balance.verify(session) == []


def test_a_consignment_nobody_received_is_recalled(room: Stockroom) -> None:
    ids = room.deliver(box("17", 1, 100))
    with room.sessions() as session:
        sent = stock_transfers.send(
            session, giver_id=room.central, taker_id=room.point, seal="A1", contents=[Wanted(ids["17"], count=10)],
            actor=room.keeper, now=NOW,
        )  # fmt: skip
        stock_transfers.recall(session, sent, reason="не та машина", actor=room.keeper, now=NOW)
        assert holdings(session) == [(1, 100, "STORE")]  # the parts melted together again
        central = stock_balance.by_store(session, actor=room.keeper)[0].balance
        assert (central.received, central.sent, central.in_hand) == (100, 0, 100)


@pytest.fixture
def issued(room: Stockroom) -> tuple[int, int]:
    """A shift with the first 3 blanks of box 17, whose 10 lie at the point; shift and box."""
    ids = room.deliver(box("17", 1, 10), store=room.point)
    return room.shift(Wanted(ids["17"], count=3)), ids["17"]


def test_a_shift_that_does_not_balance_is_not_closed_and_says_by_what(room: Stockroom, issued: tuple[int, int]) -> None:
    shift, box_id = issued
    check_refused(
        room, ShiftUnbalanced, rf"box 17: 3 blanks issued, 0 cards made, 3 unaccounted: chip serials {LOT}00000001-",
        lambda session: stock_shifts.close(session, shift, actor=room.producer, now=NOW),
    )  # fmt: skip
    with room.sessions() as session:
        stock_shifts.spoil(session, shift, [chips(2)], reason="царапина", actor=room.producer, now=NOW)
        stock_shifts.give_back(session, shift, [Wanted(box_id, chips=(chips(3),))], actor=room.keeper, now=NOW)
    with room.sessions() as session, pytest.raises(ShiftUnbalanced) as caught:
        stock_shifts.close(session, shift, actor=room.producer, now=NOW)
    assert caught.value.lines == [
        f"box 17: 3 blanks issued, 0 cards made, 1 spoiled, 1 given back, 1 unaccounted: chip serials {LOT}00000001"
    ]
    assert caught.value.unaccounted == 1
    with room.sessions() as session:
        stock_shifts.miss(session, shift, [chips(1)], reason="не найдена", actor=room.quality, now=NOW)
        stock_shifts.close(session, shift, actor=room.producer, now=NOW)
        assert session.get_one(StockShift, shift).state is ShiftState.CLOSED
        balance = stock_balance.by_shift(session, shift, actor=room.producer).balance
        assert (balance.received, balance.spoiled, balance.returned, balance.missing) == (3, 1, 1, 1)
        assert balance.difference == 0 == balance.in_hand


def test_refusals_of_a_shift(room: Stockroom, issued: tuple[int, int]) -> None:
    shift, box_id = issued
    keeper, producer = room.keeper, room.producer

    def back(**wanted):  # type: ignore[no-untyped-def]
        return lambda session: stock_shifts.give_back(session, shift, [Wanted(box_id, **wanted)], actor=keeper, now=NOW)

    check_refused(room, NotInStock, "4 blanks of box 17 are asked for and 3 are there", back(count=4))
    check_refused(room, InvalidInput, "1 or more", back(count=0))
    check_refused(room, InvalidInput, "1 or more", back(count=-3))
    check_refused(room, NotInStock, "Not all of", back(chips=(chips(3, 4),)))
    check_refused(
        room, NotInStock, "8 blanks of box 17 are asked for and 7 are there",
        lambda session: stock_shifts.issue(session, shift, [Wanted(box_id, count=8)], actor=keeper, now=NOW),
    )  # fmt: skip
    check_refused(
        room, NotAllowed, "not yours",
        lambda session: stock_shifts.close(session, shift, actor=room.second_producer, now=NOW),
    )  # fmt: skip
    check_refused(
        room, NotAllowed, "not yours",
        lambda session: stock_shifts.spoil(
            session, shift, [chips(1)], reason="x", actor=room.second_producer, now=NOW
        ),
    )  # fmt: skip
    check_refused(
        room, InvalidInput, "reason",
        lambda session: stock_shifts.spoil(session, shift, [chips(1)], reason=" ", actor=producer, now=NOW),
    )  # fmt: skip
    check_refused(
        room, InvalidInput, "Name the chips",
        lambda session: stock_shifts.spoil(session, shift, [], reason="x", actor=producer, now=NOW),
    )  # fmt: skip
    check_refused(
        room, NotInStock, "Not all of",
        lambda session: stock_shifts.spoil(session, shift, [chips(9)], reason="x", actor=producer, now=NOW),
    )  # fmt: skip
    check_refused(
        room, ShiftOpenAlready, "open already",
        lambda session: stock_shifts.open_shift(
            session, store_id=room.point, station_id=None, actor=producer, now=NOW
        ),
    )  # fmt: skip
    with room.sessions() as session:
        back()(session)
        stock_shifts.close(session, shift, actor=room.quality, now=NOW, reason="оператор заболел")
    check_refused(room, IllegalMove, "CLOSE is not possible", back(count=1))
    check_refused(
        room, IllegalMove, "CLOSE is not possible",
        lambda session: stock_shifts.issue(session, shift, [Wanted(box_id)], actor=keeper, now=NOW),
    )  # fmt: skip


def test_who_has_the_shift_neither_issues_nor_takes_back(room: Stockroom) -> None:
    from uec.domain.actors import Actor
    from uec.domain.permissions import Permission

    ids = room.deliver(box("17", 1, 10), store=room.point)
    shift = room.shift()
    both = Actor("staff", room.producer.id, "Both", frozenset(Permission))
    check_refused(
        room, SamePerson, "has the shift",
        lambda session: stock_shifts.issue(session, shift, [Wanted(ids["17"])], actor=both, now=NOW),
    )  # fmt: skip
    with room.sessions() as session:
        stock_shifts.issue(session, shift, [Wanted(ids["17"])], actor=room.keeper, now=NOW)
    for attempt in (
        lambda session: stock_shifts.give_back(session, shift, [Wanted(ids["17"])], actor=both, now=NOW),
        lambda session: stock_shifts.miss(session, shift, [chips(1)], reason="x", actor=both, now=NOW),
        lambda session: stock_shifts.set_aside(session, shift, actor=both, now=NOW),
    ):
        check_refused(room, SamePerson, "ha[sd] the shift", attempt)


def test_destruction_takes_two(room: Stockroom, issued: tuple[int, int]) -> None:
    shift, _ = issued
    with room.sessions() as session:
        stock_shifts.spoil(session, shift, [chips(1, 2)], reason="брак печати", actor=room.producer, now=NOW)
        act = stock_destruction.propose(session, store_id=room.point, method="шредер", actor=room.keeper, now=NOW)
        row = session.get_one(StockDestruction, act)
        assert (row.blanks, row.number) == (2, "A-000001")
        assert [(str(part.chips), why) for part, why in stock_destruction.reasons(session, row)] == [
            (str(chips(1, 2)), "брак печати")
        ]
    check_refused(
        room, InvalidInput, "Nothing in this store",
        lambda session: stock_destruction.propose(
            session, store_id=room.point, method="шредер", actor=room.quality, now=NOW
        ),
    )  # fmt: skip
    check_refused(
        room, SamePerson, "proposed the act",
        lambda session: stock_destruction.confirm(session, act, actor=room.keeper, now=NOW),
    )  # fmt: skip
    check_refused(
        room, NotAllowed, "DESTROY_STOCK",
        lambda session: stock_destruction.confirm(session, act, actor=room.producer, now=NOW),
    )  # fmt: skip
    with room.sessions() as session:
        assert stock_destruction.confirm(session, act, actor=room.quality, now=NOW) == 2
        assert (1, 2, "DESTROYED") in holdings(session)
        balance = stock_balance.by_shift(session, shift, actor=room.keeper).balance
        assert (balance.received, balance.destroyed, balance.in_hand, balance.difference) == (3, 2, 1, 0)
    check_refused(
        room, IllegalMove, "CONFIRM is not possible",
        lambda session: stock_destruction.confirm(session, act, actor=room.quality, now=NOW),
    )  # fmt: skip


def test_a_withdrawn_act_puts_everything_back(room: Stockroom, issued: tuple[int, int]) -> None:
    shift, _ = issued
    with room.sessions() as session:
        stock_shifts.spoil(session, shift, [chips(1)], reason="x", actor=room.producer, now=NOW)
        before = holdings(session)
        act = stock_destruction.propose(session, store_id=room.point, method="шредер", actor=room.keeper, now=NOW)
        assert holdings(session) != before
        stock_destruction.withdraw(session, act, reason="опечатка", actor=room.quality, now=NOW)
        assert holdings(session) == before
        assert stock_balance.verify(session) == []
        balance = stock_balance.by_shift(session, shift, actor=room.keeper).balance
        assert (balance.spoiled, balance.destroyed, balance.difference) == (1, 0, 0)


def test_what_goes_back_to_the_maker_is_returned(room: Stockroom) -> None:
    ids = room.deliver(box("17", 1, 10))
    with room.sessions() as session:
        gone = stock_intake.return_to_maker(
            session, ids["17"], store_id=room.central, reason="партия отозвана", actor=room.keeper, now=NOW
        )
        assert gone == 10
        (line,) = stock_balance.by_box(session, actor=room.keeper)
        assert (line.balance.returned, line.balance.in_hand, line.balance.difference) == (10, 0, 0)
        assert holdings(session) == []
    with room.sessions() as session:  # and may come again in another box
        stock_intake.deliver(
            session, delivery(box("B-2", 1, 10), note="N-9", store_id=room.central), actor=room.keeper, now=NOW
        )
        assert stock_balance.verify(session) == []


def test_the_database_refuses_what_the_services_would_never_write(room: Stockroom) -> None:
    ids = room.deliver(box("17", 1, 10))
    with room.sessions() as session:
        central = stock_ledger.account(session, Place.STORE, store_id=room.central)
        point = stock_ledger.account(session, Place.STORE, store_id=room.point)
        good = stock_ledger.account(session, Place.GOOD, store_id=room.point)
        session.commit()
    entry = {"at": NOW, "actor": "x", "lot": LOT, "first": 1, "last": 3, "blanks": 3, "box_id": ids["17"]}
    wrong = [
        {"motion": Motion.MAKE, "giver_id": central, "taker_id": good},  # a blank of a store becomes no card
        {"motion": Motion.SEND, "giver_id": central, "taker_id": point},  # nothing goes from store to store unsealed
        {"motion": Motion.DELIVER, "giver_id": 1, "taker_id": central},  # they are there already
        {"motion": Motion.RETURN_TO_MAKER, "giver_id": point, "taker_id": 1},  # they are not there
        {"motion": Motion.RETURN_TO_MAKER, "giver_id": central, "taker_id": 1, "last": 11, "blanks": 11},
        {"motion": Motion.RETURN_TO_MAKER, "giver_id": central, "taker_id": 1, "box_id": None},
        {"motion": Motion.RETURN_TO_MAKER, "giver_id": central, "taker_id": 1, "blanks": 2},
        {"motion": Motion.RETURN_TO_MAKER, "giver_id": central, "taker_id": central},
    ]
    for values in wrong:
        with room.sessions() as session, pytest.raises(IntegrityError):
            session.execute(insert(StockMovement).values(entry | values))
    for statement in (delete(StockMovement), update(StockMovement).values(reason="x")):
        with room.sessions() as session, pytest.raises(DBAPIError, match="append-only"):
            session.execute(statement)
    with room.sessions() as session:
        assert holdings(session) == [(1, 10, "STORE")]


def test_ranges_move_by_the_ledger_alone_and_a_moved_one_is_found(room: Stockroom) -> None:
    room.deliver(box("17", 1, 10))
    with room.sessions() as session:
        if session.get_bind().dialect.name == "postgresql":
            for statement in (update(StockHolding).values(last=11), delete(StockHolding)):
                with pytest.raises(DBAPIError, match="by the ledger alone"):
                    session.execute(statement)
                session.rollback()
            session.execute(text("SET session_replication_role = replica"))
        session.execute(update(StockHolding).values(last=11))
        told = stock_balance.verify(session)
        assert any("the ledger says 10, 11 are held" in line for line in told)
        assert any("box 17: 10 came, 11 are there" in line for line in told)


def test_a_movement_somebody_else_was_quicker_with_is_refused_in_words(room: Stockroom) -> None:
    ids = room.deliver(box("17", 1, 10))
    with room.sessions() as session:
        store = stock_ledger.account(session, Place.STORE, store_id=room.central)
        stale = [Held(SerialRange(LOT, 1, 11), ids["17"], store)]
        with pytest.raises(NotInStock, match="Somebody moved"):
            stock_ledger.move(session, Motion.RETURN_TO_MAKER, stale, taker_id=1, actor=room.keeper, now=NOW)


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("17", "names no chips"),
        ("17 4790050074110000", "20 hexadecimal"),
        (f"17 {LOT}0000000A-{LOT}00000001", "smaller to a larger"),
        (f"17 {LOT}00000001-{'0' * 20}", "different lots"),
        (f"17 {LOT}00000001-{LOT}00000005, {LOT}00000003", "share chips"),
        ("17 xyz", "hexadecimal"),
    ],
)
def test_lists_of_boxes_that_cannot_be_read(lines: str, match: str) -> None:
    with pytest.raises(UecError, match=match):
        stock_intake.parse_boxes(lines)


def test_a_list_of_boxes_is_read_as_makers_write_it() -> None:
    lines = f"17;{LOT}00000001 – {LOT}000001F4\n\n18\t{LOT}000001f5-{LOT.upper()}000003e8\n17 {LOT}00001000"
    first, second = stock_intake.parse_boxes(lines)
    assert (first.number, first.blanks, second.number, second.blanks) == ("17", 501, "18", 500)
    assert first.chips == (chips(1, 500), chips(0x1000))


def test_what_is_on_its_way_lies_under_the_number_of_its_consignment(room: Stockroom) -> None:
    ids = room.deliver(box("17", 1, 10))
    with room.sessions() as session:
        sent = stock_transfers.send(
            session, giver_id=room.central, taker_id=room.point, seal="S-1", contents=[Wanted(ids["17"], count=4)],
            actor=room.keeper, now=NOW,
        )  # fmt: skip
        owners = {one.place: one.owner for one in stock_balance.lying(session)}
        assert owners == {Place.TRANSIT: session.get_one(StockTransfer, sent).number, Place.STORE: "C"}
