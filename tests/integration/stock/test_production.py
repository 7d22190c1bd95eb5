"""Stock and production: cards are made of the shift's blanks alone, and what becomes of a card becomes of its blank."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from card_io.diversification import kdf3
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.keysets import KeySet
from issuance.production.profile import load_profile
from issuance.production.sighting import sight
from issuance.production.underway import NO_CODE
from tests.support.desk import CardOffice, open_card_office
from tests.support.keys import TRANSPORT_MASTER
from tests.support.line import PASS_PROFILE, blank_card, slot_of
from tests.support.office import NOW, POLICY
from tests.support.stock import Stockroom, box, chips, delivery, open_stockroom
from uec.domain.lifecycle import ApplicationReason, CardState, OperationKind, OperationState
from uec.domain.stock import Motion, ShiftUnbalanced, StockRefused
from uec.services import (
    cards,
    operations,
    quality,
    stock_balance,
    stock_cards,
    stock_destruction,
    stock_intake,
    stock_lists,
    stock_shifts,
)
from uec.services.quality_refusals import Quarantined
from uec.services.stock_cards import DestroyByAct
from uec.services.stock_ledger import Wanted
from uec.services.views import OperationView
from uec.store.tables import Application, Card, StockBox, StockDelivery

pytestmark = pytest.mark.slow

# The record of production names lot and serial: fabricator, type (4 bytes), batch (2), serial number (4).
HEAD, TAIL = bytes.fromhex("47900500479181023B006035"), bytes.fromhex("481260364813603748146038") + bytes(12)
SERIAL_LOT = "47900500" + "7411"


def serial_chip(serial: int, master: bytes = TRANSPORT_MASTER, *, kind: str = "uec") -> VirtualCard:
    """A blank with a running serial number of the tests' lot, as makers deliver them."""
    cplc = HEAD + serial.to_bytes(4, "big") + bytes.fromhex("7411") + TAIL
    keys = kdf3(Secret(master), diversification_data(cplc))
    return VirtualCard.blank(
        b"s" + serial.to_bytes(4, "big"), initial_keys=KeySet(keys.enc, keys.mac, keys.dek), profile=kind, cplc=cplc
    )


@pytest.fixture
def office(sqlite_url: str, tmp_path: Path) -> Iterator[CardOffice]:
    from uec.store.engine import make_engine, session_factory

    engine = make_engine(sqlite_url)
    opened = open_card_office(session_factory(engine), tmp_path)
    yield opened
    opened.desk.bench.vault.close()
    engine.dispose()


@pytest.fixture
def room(office: CardOffice) -> Stockroom:
    made = open_stockroom(office.sessions, office.staff)
    made.deliver(box("17", 1, 10), store=made.point)
    return made


def the_box(room: Stockroom) -> int:
    with room.sessions() as session:
        return session.query(StockBox).one().id


def prepared(office: CardOffice, *people: int) -> list[int]:
    """Cards that wait for a blank; their ids."""
    office.approve_applicants(*people)
    for batch_id in office.plan():
        office.release(batch_id)
    with office.sessions() as session:
        return [row.id for row in session.query(Card).filter_by(state=CardState.PREPARED).order_by(Card.id)]


def write(office: CardOffice, card_id: int, chip: VirtualCard) -> OperationView:
    """Ask for a card and do it on a chip."""
    asked = office.request(OperationKind.PERSONALISE, card_id)
    with office.sessions() as session:
        claimed = operations.claim_operation(session, now=office.clock(), operation_id=asked)
    assert claimed is not None
    return office.do(claimed, chip)


def places(room: Stockroom) -> dict[int, str]:
    with room.sessions() as session:
        return {
            serial: one.place.value
            for one in stock_balance.lying(session)
            for serial in range(one.chips.first, one.chips.last + 1)
        }


def test_cards_use_up_the_blanks_of_the_shift_and_it_closes_balanced(office: CardOffice, room: Stockroom) -> None:
    shift = room.shift(Wanted(the_box(room), count=3))
    first, second = prepared(office, 1, 2)
    for card_id, serial in ((first, 1), (second, 2)):
        assert write(office, card_id, serial_chip(serial)).state is OperationState.DONE
    with room.sessions() as session:
        with pytest.raises(ShiftUnbalanced) as caught:
            stock_shifts.close(session, shift, actor=room.producer, now=NOW)
        assert caught.value.lines == [
            f"box 17: 3 blanks issued, 2 cards made, 1 unaccounted: chip serials {SERIAL_LOT}00000003"
        ]
    with room.sessions() as session:
        stock_shifts.give_back(session, shift, [Wanted(the_box(room))], actor=room.keeper, now=NOW)
        stock_shifts.close(session, shift, actor=room.producer, now=NOW)
        (line,) = stock_balance.by_batch(session, actor=room.keeper)
        assert (line.balance.received, line.balance.good, line.balance.difference) == (2, 2, 0)
        balance = stock_balance.by_shift(session, shift, actor=room.keeper).balance
        assert (balance.received, balance.good, balance.returned, balance.in_hand) == (3, 2, 1, 0)
        assert stock_balance.verify(session) == []


@pytest.mark.parametrize(
    ("serial", "place"),
    [(4, "was issued to nobody"), (77, "was never delivered"), (2, "is spoiled")],
)
def test_a_chip_that_is_not_in_the_shift_is_refused_before_anything_is_written(
    office: CardOffice, room: Stockroom, serial: int, place: str
) -> None:
    shift = room.shift(Wanted(the_box(room), count=3))
    with room.sessions() as session:
        stock_shifts.spoil(session, shift, [chips(2)], reason="царапина", actor=room.producer, now=NOW)
    (card_id,) = prepared(office, 1)
    chip = serial_chip(serial)
    failed = write(office, card_id, chip)
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "uec.chip_not_in_stock")
    assert failed.error_text is not None and place in failed.error_text
    assert office.card(card_id).state is CardState.PREPARED
    assert office.card(card_id).chip_id is None
    assert write(office, card_id, serial_chip(1)).state is OperationState.DONE, "another blank serves"


def test_a_blank_from_a_box_of_another_profile_is_refused_by_name(office: CardOffice, room: Stockroom) -> None:
    with room.sessions() as session:
        form = replace(delivery(box("18", 31, 40), note="N-18", store_id=room.point), profile="piv")
        stock_intake.deliver(session, form, actor=room.keeper, now=NOW)
        other = session.query(StockBox).filter_by(number="18").one().id
    room.shift(Wanted(other))
    (card_id,) = prepared(office, 1)
    failed = write(office, card_id, serial_chip(31))
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "foreign-card")
    assert failed.error_text is not None and "blanks for piv, not for uec" in failed.error_text
    assert (office.card(card_id).state, office.card(card_id).chip_id) == (CardState.PREPARED, None)


def test_a_blank_without_the_code_is_spoiled_and_the_card_made_of_the_next(office: CardOffice, room: Stockroom) -> None:
    """Its box says it is for the profile, and the chip knows better: it is evidence against the maker."""
    shift = room.shift(Wanted(the_box(room), count=2))
    (card_id,) = prepared(office, 1)
    refused = write(office, card_id, serial_chip(1, kind="piv"))
    assert (refused.state, refused.error_code) == (OperationState.FAILED, "foreign-card")
    assert office.card(card_id).chip_id is None and places(room)[1] == "SPOILED"
    assert write(office, card_id, serial_chip(2)).state is OperationState.DONE
    with room.sessions() as session:
        stock_shifts.close(session, shift, actor=room.producer, now=NOW)
        balance = stock_balance.by_shift(session, shift, actor=room.keeper).balance
        assert (balance.received, balance.good, balance.spoiled, balance.difference) == (2, 1, 1, 0)
        (batch,) = stock_balance.by_batch(session, actor=room.keeper)
        assert (batch.balance.received, batch.balance.good, batch.balance.spoiled) == (2, 1, 1)
        moved = stock_lists.movements_of(session, "shift", shift)
        assert [one.reason for one in moved if one.motion is Motion.SPOIL] == [NO_CODE]
        assert stock_balance.verify(session) == []


def test_a_blank_that_was_claimed_and_let_go_unwritten_serves_the_next_card(
    office: CardOffice, room: Stockroom
) -> None:
    """The station had seen it; another one lay in the reader when the commands came, and became the card."""
    shift = room.shift(Wanted(the_box(room), count=2))
    bench = replace(office.desk.bench, profile=load_profile(PASS_PROFILE))
    office.desk = replace(office.desk, bench=bench)
    with room.sessions() as session:
        session.execute(update(StockDelivery).values(profile="pass"))
        session.commit()
    first, second = prepared(office, 1, 2)
    looked_at, used = serial_chip(1), serial_chip(2)
    office.desk = replace(office.desk, seen=lambda: sight(slot_of(looked_at)))
    assert write(office, first, used).state is OperationState.DONE
    assert office.card(first).chip_id == sight_of(used)
    assert write(office, second, looked_at).state is OperationState.DONE, "it is as good as new"
    with room.sessions() as session:
        stock_shifts.close(session, shift, actor=room.producer, now=NOW)
        balance = stock_balance.by_shift(session, shift, actor=room.keeper).balance
        assert (balance.received, balance.good, balance.spoiled, balance.difference) == (2, 2, 0, 0)
        assert stock_balance.verify(session) == []


def sight_of(card: VirtualCard) -> str:
    found = sight(slot_of(card))
    assert found is not None
    return found.chip_id


def test_without_a_shift_nothing_is_written_where_stock_is_kept(office: CardOffice, room: Stockroom) -> None:
    (card_id,) = prepared(office, 1)
    failed = write(office, card_id, serial_chip(1))
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "uec.no_shift")
    with room.sessions() as session:
        stock_intake.keep_stock(session, room.point, enforced=False, actor=room.keeper, now=NOW)
    assert write(office, card_id, serial_chip(1)).state is OperationState.DONE, "the point does not keep stock now"
    assert places(room)[1] == "STORE"


def test_a_spoiled_card_moves_its_blank_with_the_reason_and_its_remake_takes_another(
    office: CardOffice, room: Stockroom
) -> None:
    shift = room.shift(Wanted(the_box(room), count=3))
    (card_id,) = prepared(office, 1)
    write(office, card_id, serial_chip(1))
    with room.sessions() as session:
        cards.spoil(session, card_id, actor=office.staff.producer, reason="пятно на фотографии", now=office.clock())
    assert places(room)[1] == "SPOILED"
    for batch_id in office.plan():
        office.release(batch_id)
    with office.sessions() as session:
        remake = session.query(Card).filter_by(state=CardState.PREPARED).one().id
    assert write(office, remake, serial_chip(2)).state is OperationState.DONE
    with room.sessions() as session:
        lines = stock_balance.by_batch(session, actor=room.keeper)
        assert sum(line.balance.spoiled for line in lines) == 1 == sum(line.balance.good for line in lines)
        (line,) = stock_shifts.box_lines(session, shift)
        assert (line.made, line.spoiled, line.unaccounted) == (1, 1, 1)
        act = stock_destruction.propose(session, store_id=room.point, method="шредер", actor=room.keeper, now=NOW)
        stock_destruction.confirm(session, act, actor=room.quality, now=NOW)
        assert session.get_one(Card, card_id).state is CardState.DESTROYED
        assert stock_balance.verify(session) == []
    assert (places(room)[1], places(room)[2]) == ("DESTROYED", "GOOD")


def test_a_replaced_card_is_handed_in_and_destroyed_by_two(office: CardOffice, room: Stockroom) -> None:
    room.shift(Wanted(the_box(room), count=3))
    one, two = prepared(office, 1, 2)
    for card_id, serial in ((one, 1), (two, 2)):
        office.chips[card_id] = serial_chip(serial)
        write(office, card_id, office.chips[card_id])
        office.hand_over(card_id)
    with room.sessions() as session:
        cards.replace(
            session, one, actor=office.staff.operator, reason=ApplicationReason.REPLACEMENT, policy=POLICY,
            now=office.clock(), random=office.desk.bench.random,
        )  # fmt: skip
    assert places(room)[1] == "HANDED_IN", "it was given back with the application"
    with room.sessions() as session:
        cards.report_lost(session, two, actor=office.staff.operator, reason="утрата", now=office.clock())
    assert places(room)[2] == "GOOD", "it is somewhere, and not with us"
    with room.sessions() as session:
        stock_cards.hand_in(
            session, two, store_id=room.point, reason="нашли в автобусе", actor=office.staff.operator, now=NOW
        )
    assert places(room)[2] == "HANDED_IN"
    with room.sessions() as session, pytest.raises(DestroyByAct, match="two people"):
        cards.destroy(session, two, actor=office.staff.security, reason="один", now=office.clock())
    with room.sessions() as session, pytest.raises(StockRefused, match="cannot be handed in"):
        stock_cards.hand_in(session, two, store_id=room.point, reason="дважды", actor=office.staff.operator, now=NOW)
    with room.sessions() as session:
        act = stock_destruction.propose(session, store_id=room.point, method="шредер", actor=room.keeper, now=NOW)
        assert stock_destruction.confirm(session, act, actor=room.quality, now=NOW) == 2
        assert {session.get_one(Card, key).state for key in (one, two)} == {CardState.DESTROYED}
        assert stock_balance.verify(session) == []


def test_a_card_made_without_stock_comes_to_light_when_it_is_handed_in(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    room = open_stockroom(office.sessions, office.staff)
    with room.sessions() as session, pytest.raises(StockRefused, match="only a lost"):
        stock_cards.hand_in(session, card_id, store_id=room.point, reason="x", actor=room.keeper, now=NOW)
    with room.sessions() as session:
        cards.annul(session, card_id, actor=office.staff.security, reason="отказ", now=office.clock())
        stock_cards.hand_in(session, card_id, store_id=room.point, reason="отказ", actor=room.keeper, now=NOW)
        act = stock_destruction.propose(session, store_id=room.point, method="шредер", actor=room.keeper, now=NOW)
        stock_destruction.confirm(session, act, actor=room.quality, now=NOW)
        assert session.get_one(Card, card_id).state is CardState.DESTROYED
        assert stock_balance.verify(session) == []


def test_a_card_of_a_quarantined_lot_is_refused_by_name(office: CardOffice, room: Stockroom) -> None:
    from uec.domain.stock import SubjectKind

    room.shift(Wanted(the_box(room), count=3))
    (card_id,) = prepared(office, 1)
    with room.sessions() as session:
        held = quality.impose(session, SubjectKind.LOT, SERIAL_LOT, reason="отзыв", actor=room.quality, now=NOW)
    failed = write(office, card_id, serial_chip(1))
    assert failed.error_code == "uec.quarantined"
    assert failed.error_text is not None and SERIAL_LOT in failed.error_text
    with room.sessions() as session:
        quality.release(session, held, reason="проверено", actor=room.quality, now=NOW)
    assert write(office, card_id, serial_chip(1)).state is OperationState.DONE


def test_a_quarantined_operator_gets_no_operation(office: CardOffice, room: Stockroom) -> None:
    from uec.domain.stock import SubjectKind

    (card_id,) = prepared(office, 1)
    asked = office.request(OperationKind.PERSONALISE, card_id)
    producer = office.staff.producer
    with room.sessions() as session:
        quality.impose(
            session, SubjectKind.OPERATOR, str(producer.id), reason="разбор", actor=room.quality, now=office.clock()
        )
        assert operations.claim_operation(session, now=office.clock()) is None
        view = operations.operation(session, asked)
        assert (view.state, view.error_code) == (OperationState.FAILED, "uec.quarantined")
    with pytest.raises(Quarantined, match=producer.display):
        office.request(OperationKind.PERSONALISE, card_id)
    with room.sessions() as session, pytest.raises(Quarantined):
        batch = session.get_one(Card, card_id).batch_id
        operations.request_batch(session, batch, station_id=None, actor=producer, now=office.clock())


def test_blanks_of_two_makers_are_opened_with_the_keys_of_their_box(office: CardOffice) -> None:
    from card_io.ciphers import kcv_aes
    from issuance.keys.port import KeyAlgorithm, KeyPurpose
    from uec.services import vault_memory

    vault, other = office.desk.bench.vault, bytes(range(16))
    parts = (Secret(bytes(16)), Secret(other))
    vault.import_key(  # type: ignore[attr-defined]
        KeyPurpose.BLANK_TRANSPORT, KeyAlgorithm.AES_128, parts, check_value=kcv_aes(other).hex().upper(), now=NOW
    )
    room = open_stockroom(office.sessions, office.staff)
    with office.sessions() as session:
        vault_memory.note(session, vault)
        session.commit()
        known = stock_intake.key_sets(session)
    assert set(known) == {1, 2}
    with room.sessions() as session:
        for version, number, first in ((1, "A", 1), (2, "B", 101)):
            form = delivery(
                box(number, first, first + 9), note=number, store_id=room.point, version=version,
                check_value=known[version],
            )  # fmt: skip
            stock_intake.deliver(session, form, actor=room.keeper, now=NOW)
        boxes = {row.number: row.id for row in session.query(StockBox)}
    room.shift(Wanted(boxes["A"]), Wanted(boxes["B"]))
    one, two = prepared(office, 1, 2)
    assert write(office, one, serial_chip(1)).state is OperationState.DONE
    assert write(office, two, serial_chip(101, other)).state is OperationState.DONE


def test_remakes_go_before_new_work_by_themselves(office: CardOffice) -> None:
    """A spoiled card's application is planned before everyone who applied meanwhile, though there is room for one."""
    from tests.support.office import RULES
    from uec.services import batches
    from uec.store.tables import IssuancePoint

    first = prepared(office, 1)[0]
    office.approve_applicants(2, 3, 4)
    with office.sessions() as session:
        session.query(IssuancePoint).update({"daily_capacity": 1})
        session.commit()
        cards.spoil(session, first, actor=office.staff.producer, reason="брак", now=office.clock())
        spoiled = session.get_one(Card, first).application_id
        assert session.get_one(Application, spoiled).remake
    office.clock.advance(days=1)
    with office.sessions() as session:
        outcome = batches.plan(session, actor=office.staff.planner, rules=replace(RULES), now=office.clock())
        cut = session.query(Card).filter(Card.batch_id.in_([batch.id for batch in outcome.batches]))
        owners = [card.application_id for card in cut.order_by(Card.number)]
    assert owners[0] == spoiled and len(owners) == 4


def test_the_blank_of_a_tested_chip_is_of_no_lot_of_ours(office: CardOffice, room: Stockroom) -> None:
    room.shift(Wanted(the_box(room), count=1))
    (card_id,) = prepared(office, 1)
    failed = write(office, card_id, blank_card(5))
    assert failed.error_code == "uec.chip_not_in_stock"
    assert cplc_for(b"chip" + (5).to_bytes(4, "big"))[:2].hex() == "4790"
