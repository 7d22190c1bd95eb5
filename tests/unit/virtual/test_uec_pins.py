"""PINs: counters, blocking, the unblocking code, transport PINs, and that no power cut gives a free guess."""

import pytest

from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import CardLost, FaultPlan
from tests.unit.virtual.cards import finished, send

VERIFY1, VERIFY2, VERIFY_KRP = "00200001", "00200002", "00200003"


@pytest.fixture
def card() -> VirtualCard:
    return finished()


def pins(card: VirtualCard) -> dict[int, tuple[int, int, int]]:
    data = send(card, "00CADF21", b"", 256).data
    return {data[at]: (data[at + 1], data[at + 2], data[at + 3]) for at in range(0, len(data), 4)}


def test_a_right_pin(card: VirtualCard) -> None:
    assert send(card, VERIFY1).sw == 0x63C3
    assert send(card, VERIFY1, b"1234").sw == 0x9000
    assert send(card, VERIFY1).sw == 0x9000
    assert send(card, "0020FF01").sw == 0x9000
    assert send(card, VERIFY1).sw == 0x63C3


def test_wrong_pins_count_down_to_blocked(card: VirtualCard) -> None:
    assert [send(card, VERIFY1, b"0000").sw for _ in range(4)] == [0x63C2, 0x63C1, 0x6983, 0x6983]
    assert send(card, VERIFY1, b"1234").sw == 0x6983
    assert send(card, VERIFY1).sw == 0x6983
    assert pins(card)[1] == (0, 3, 2)


def test_a_right_pin_gives_the_tries_back_and_a_wrong_one_takes_the_right_away(card: VirtualCard) -> None:
    send(card, VERIFY1, b"0000")
    assert send(card, VERIFY1, b"1234").ok
    assert pins(card)[1][0] == 3
    assert send(card, VERIFY1, b"0000").sw == 0x63C2
    assert send(card, VERIFY1).sw == 0x63C2


def test_counters_survive_a_reset(card: VirtualCard) -> None:
    send(card, VERIFY1, b"0000")
    card.reset()
    assert send(card, VERIFY1).sw == 0x63C2


@pytest.mark.parametrize("when", ["before", "after", "at_write"])
def test_a_power_cut_gives_no_free_guess(card: VirtualCard, when: str) -> None:
    """Only a cut before the counter is durable keeps the try, and then nothing was compared."""
    card.faults = {
        "before": FaultPlan(tear_before=1),
        "after": FaultPlan(tear_after=1),
        "at_write": FaultPlan(tear_at_write=1),
    }[when]
    with pytest.raises(CardLost):
        card.process(bytes.fromhex("00200001") + b"\x040000")
    card.power_on()
    assert send(card, VERIFY1).sw == (0x63C2 if when == "after" else 0x63C3)


def test_a_cut_right_after_the_count_keeps_it_counted(card: VirtualCard) -> None:
    """A right PIN, torn as the tries are given back: the try stays lost, as on a real chip."""
    card.faults = FaultPlan(tear_at_write=2)
    with pytest.raises(CardLost):
        card.process(bytes.fromhex("00200001") + b"\x041234")
    card.power_on()
    assert send(card, VERIFY1).sw == 0x63C2


@pytest.mark.parametrize(
    ("data", "sw"),
    [
        (b"123498765", 0x9000),
        (b"12341234", 0x9000),  # the same again is the holder's affair, once the PIN is the holder's
        (b"1234", 0x6A80),
        (b"1234123", 0x6A80),
        (b"1234123456789", 0x6A80),
        (b"1234abcd", 0x6A80),
        (b"00005678", 0x63C2),
    ],
)
def test_changing_a_pin(card: VirtualCard, data: bytes, sw: int) -> None:
    assert send(card, "00240001", data).sw == sw
    assert pins(card)[1][0] == (2 if sw == 0x63C2 else 3)
    assert send(card, VERIFY1, data[4:] if sw == 0x9000 else b"1234").ok


def test_changing_does_not_verify(card: VirtualCard) -> None:
    send(card, "00240001", b"123498765")
    assert send(card, VERIFY1).sw == 0x63C3


@pytest.mark.parametrize("p1", [0x00, 0x01])
def test_the_unblocking_code_opens_a_blocked_pin(card: VirtualCard, p1: int) -> None:
    for _ in range(3):
        send(card, VERIFY2, b"000000")
    assert send(card, VERIFY2).sw == 0x6983
    new = b"111111" if p1 == 0 else b""
    assert send(card, f"002C{p1:02X}02", b"87654321" + new).ok
    assert send(card, VERIFY2, new or b"123456").ok


def test_the_unblocking_code_has_its_own_counter(card: VirtualCard) -> None:
    for left in (9, 8):
        assert send(card, "002C0001", b"000000001111").sw == 0x63C0 | left
    assert send(card, "002C0001", b"876543211111").ok
    assert pins(card)[3][0] == 10
    for _ in range(10):
        sw = send(card, "002C0001", b"000000001111").sw
    assert sw == 0x6983
    assert send(card, "002C0001", b"876543211111").sw == 0x6983


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("002C0001", b"8765432112", 0x6A80),  # new PIN too short
        ("002C0101", b"876543211111", 0x63C9),  # P1 01 takes the code alone
        ("002C0201", b"1111", 0x6A86),
        ("002C0003", b"8765432112345678", 0x6A86),  # nothing unblocks the unblocking code
        ("002C0004", b"876543211111", 0x6A88),
        ("00200004", b"1234", 0x6A88),
        ("00200101", b"1234", 0x6A86),
        ("00240101", b"12345678", 0x6A86),
    ],
)
def test_refusals(card: VirtualCard, header: str, data: bytes, sw: int) -> None:
    assert send(card, header, data).sw == sw


def test_a_transport_pin_can_only_be_changed() -> None:
    card = finished(transport=True)
    assert pins(card)[1] == (3, 3, 1)
    assert send(card, VERIFY1).sw == 0x6984
    assert send(card, VERIFY1, b"1234").sw == 0x6984
    assert send(card, VERIFY1, b"0000").sw == 0x6984
    assert pins(card)[1][0] == 3
    assert send(card, "00240001", b"12341234").sw == 0x6A80
    assert send(card, "00240001", b"00005555").sw == 0x63C2
    assert send(card, "00240001", b"12345555").ok
    assert pins(card)[1] == (3, 3, 0)
    assert send(card, VERIFY1, b"5555").ok
    assert send(card, VERIFY2).sw == 0x6984


def test_the_unblocking_code_replaces_a_transport_pin() -> None:
    card = finished(transport=True)
    assert send(card, "002C0001", b"876543214444").ok
    assert send(card, VERIFY1, b"4444").ok
