"""Cards in real PC/SC readers: opening, talking, losing them, several at once."""

import threading
import time

import pytest
from smartcard import scard

from card_io.apdu import CommandAPDU
from card_io.connection import Connection, HolderConnection, LogicalChannel, send
from card_io.pcsc import (
    CardRemoved,
    CardReset,
    Context,
    NoCard,
    NoPinPad,
    NoReader,
    PcscConnection,
    PinPadFailed,
    ReaderBusy,
    ReaderError,
    ReaderUnplugged,
    list_readers,
    open_reader,
    pin_pad_abilities,
)
from card_io.pcscd import READERS
from card_io.pinpad import PinEntry, PinFormat, Typed
from card_io.virtual import vpcd
from card_io.virtual.pinpad import Ended, Make, VirtualPinPad
from card_io.virtual.vpcd import ReaderOccupied
from tests.support.pcsc import PcscService, ScriptedCard, insert

pytestmark = pytest.mark.pcsc

T1_ATR = bytes.fromhex("3B800181")
T0_ATR = bytes.fromhex("3B00")


def echo(command: bytes) -> bytes:
    return command[-4:] + b"\x90\x00"


def test_the_readers_are_listed(pcsc: PcscService) -> None:
    assert set(READERS) <= set(list_readers())


def test_a_card_is_opened_by_index_name_and_part_of_the_name(pcsc: PcscService) -> None:
    names = list_readers()
    with insert(0, echo):
        for wanted in (names.index(READERS[0]), READERS[0], "pcd 00 00", str(names.index(READERS[0]))):
            with open_reader(wanted) as connection:
                assert isinstance(connection, Connection)
                assert connection.reader == READERS[0]
                assert connection.atr == T1_ATR
                assert connection.protocol == "T=1"
                assert connection.transmit(bytes.fromhex("00B2010400")) == bytes.fromhex("B20104009000")


def test_an_empty_reader_says_so(pcsc: PcscService) -> None:
    with pytest.raises(NoCard, match="insert"):
        open_reader(READERS[0])


def test_a_reader_that_is_not_there_is_named_with_those_that_are(pcsc: PcscService) -> None:
    with pytest.raises(NoReader) as caught:
        open_reader("Omnikey")
    assert caught.value.wanted == "Omnikey"
    assert READERS[0] in caught.value.available
    with pytest.raises(NoReader, match="99"):
        open_reader(99)
    with pytest.raises(NoReader, match="Virtual"):
        open_reader("virtual pcd")  # both have it


def test_an_exclusive_connection_keeps_others_away(pcsc: PcscService) -> None:
    with insert(0, echo):
        with open_reader(READERS[0]):
            with pytest.raises(ReaderBusy):
                open_reader(READERS[0])
            with pytest.raises(ReaderBusy):
                open_reader(READERS[0], exclusive=False)
        open_reader(READERS[0]).close()


def test_a_transaction_keeps_a_second_program_waiting(pcsc: PcscService) -> None:
    order: list[str] = []
    with insert(0, echo), open_reader(READERS[0], exclusive=False) as first:
        second = open_reader(READERS[0], exclusive=False)

        def other() -> None:
            with second.transaction():
                order.append("second")

        with first.transaction():
            thread = threading.Thread(target=other)
            thread.start()
            time.sleep(0.3)
            first.transmit(bytes.fromhex("00A40400"))
            order.append("first")
        thread.join(60)
        second.close()
    assert order == ["first", "second"]


def test_a_card_pulled_out_between_commands_is_named(pcsc: PcscService) -> None:
    card = insert(0, echo)
    with open_reader(READERS[0]) as connection:
        connection.transmit(bytes.fromhex("00B2010400"))
        card.remove()
        with pytest.raises(CardRemoved, match="put the same card back"):
            for _ in range(100):
                connection.transmit(bytes.fromhex("00B2010400"))
                time.sleep(0.02)


def test_a_card_pulled_out_during_a_command_is_named(pcsc: PcscService) -> None:
    def pulled(command: bytes) -> bytes:
        card.remove()
        return b""

    card = insert(0, pulled)
    with open_reader(READERS[0]) as connection, pytest.raises(ReaderError) as caught:
        connection.transmit(bytes.fromhex("00B2010400"))
    assert isinstance(caught.value, CardRemoved)


def test_a_reset_by_another_program_is_named(pcsc: PcscService) -> None:
    with insert(0, echo), open_reader(READERS[0], exclusive=False) as first:
        with open_reader(READERS[0], exclusive=False) as second:
            assert second.reset() == T1_ATR
        with pytest.raises(CardReset, match="open the connection again"):
            first.transmit(bytes.fromhex("00B2010400"))


def test_a_closed_connection_refuses_and_closes_twice(pcsc: PcscService) -> None:
    with insert(0, echo):
        connection = open_reader(READERS[0])
        connection.close()
        connection.close()
        with pytest.raises(ReaderError, match="open the reader again"):
            connection.transmit(bytes.fromhex("00B2010400"))


def test_t0_cards_get_their_commands_in_t0_form(pcsc: PcscService) -> None:
    def answers(command: bytes) -> bytes:
        if command[1] == 0xC0:
            return b"\x01\x02\x03\x90\x00"
        return b"\x61\x03" if len(command) > 5 else b"\x90\x00"

    with insert(0, answers, T0_ATR) as card, open_reader(READERS[0]) as connection:
        assert connection.protocol == "T=0"
        answer = send(connection, CommandAPDU(0x00, 0xA4, 0x04, 0x00, b"\xa0\x00\x00\x00\x03", 256))
        assert answer.data == b"\x01\x02\x03"
        assert send(connection, CommandAPDU(0x00, 0x44, 0x00, 0x00)).ok
    assert card.commands == [
        bytes.fromhex("00A4040005A000000003"),
        bytes.fromhex("00C0000003"),
        bytes.fromhex("0044000000"),
    ]


def test_extended_length_reaches_a_t1_card(pcsc: PcscService) -> None:
    with insert(0, lambda command: bytes(1000) + b"\x90\x00") as card, open_reader(READERS[0]) as connection:
        command = CommandAPDU(0x00, 0xCB, 0x3F, 0xFF, bytes(600), 65536)
        assert len(connection.transmit(command.encode())) == 1002
    assert card.commands == [command.encode()]


def test_two_readers_are_driven_from_two_threads(pcsc: PcscService) -> None:
    rounds = 200
    results: dict[str, int] = {}

    def drive(reader: str) -> None:
        with open_reader(reader) as connection:
            results[reader] = sum(
                connection.transmit(bytes([0, 0xB2, 0, 0, number % 256]))[3] == number % 256 for number in range(rounds)
            )

    with insert(0, echo), insert(1, echo):
        threads = [threading.Thread(target=drive, args=(reader,)) for reader in READERS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert results == dict.fromkeys(READERS, rounds)


def test_a_waiting_card_does_not_hold_up_another_thread(pcsc: PcscService) -> None:
    asked, release = threading.Event(), threading.Event()

    def slow(command: bytes) -> bytes:
        asked.set()
        release.wait(60)
        return b"\x90\x00"

    with (
        insert(0, slow),
        insert(1, echo),
        open_reader(READERS[0]) as first,
        open_reader(READERS[1]) as second,
    ):
        thread = threading.Thread(target=first.transmit, args=(bytes.fromhex("00B2010400"),))
        thread.start()
        assert asked.wait(60)
        second.transmit(bytes.fromhex("00B2010400"))
        assert thread.is_alive(), "it did not wait for the first reader's answer"
        release.set()
        thread.join(60)


def test_a_logical_channel_over_pcsc(pcsc: PcscService) -> None:
    def answers(command: bytes) -> bytes:
        return b"\x05\x90\x00" if command[:3] == b"\x00\x70\x00" else b"\x90\x00"

    with insert(0, answers) as card, open_reader(READERS[0]) as connection:
        channel = LogicalChannel.open(connection)
        assert channel.atr == connection.atr
        channel.transmit(bytes.fromhex("80CA006600"))
        channel.transmit(bytes.fromhex("84CA006600"))
        channel.close()
        channel.close()
    assert card.commands == [
        bytes.fromhex("0070000001"),
        bytes.fromhex("C1CA006600"),
        bytes.fromhex("E1CA006600"),
        bytes.fromhex("00708005"),
    ]


CODE_AND_PIN = CommandAPDU(0, 0x2C, 0, 0x80, b"12345678").encode()
NEW_PIN = PinEntry(Typed.NEW, PinFormat(6, 8))


def test_a_reader_without_pin_pad_says_so(pcsc: PcscService) -> None:
    assert pin_pad_abilities(READERS[0]) == (), "asked with no card in it"
    with insert(0, echo), open_reader(READERS[0]) as connection:
        assert connection.pin_pad.features == {}
        with pytest.raises(NoPinPad, match="no PIN pad"):
            connection.ask_holder(CODE_AND_PIN, NEW_PIN)
        assert pin_pad_abilities(READERS[0]) is None, "another program has the reader"
    assert pin_pad_abilities("no such reader") is None


class Pad:
    """A reader's keys behind SCardControl: the calls go through pyscard's types, what is typed to the real reader."""

    def __init__(self, make: Make, *keys: str | Ended) -> None:
        self._make, self._keys = make, list(keys)
        self.connection: PcscConnection | None = None
        self.calls: list[int] = []

    def control(self, handle: object, code: int, data: list[int]) -> tuple[int, list[int]]:
        connection = self.connection
        transmit = connection.transmit if connection is not None else lambda command: b""
        self.calls.append(code)
        try:
            answer = VirtualPinPad(transmit, lambda prompt: self._keys.pop(0), self._make).control(code, bytes(data))
        except PinPadFailed:
            return -2146434971, []  # SCARD_E_UNSUPPORTED_FEATURE
        return 0, list(answer)


def test_what_is_typed_at_a_reader_reaches_its_card(pcsc: PcscService, monkeypatch: pytest.MonkeyPatch) -> None:
    pad = Pad(Make(), "730264", "730264", "730264", Ended.CANCELLED)
    monkeypatch.setattr(scard, "SCardControl", pad.control)
    assert pin_pad_abilities(READERS[0]) == ("verify", "modify")
    with insert(0, echo) as card, open_reader(READERS[0]) as connection:
        pad.connection = connection
        assert isinstance(connection, HolderConnection)
        connection.ask_holder(CODE_AND_PIN, NEW_PIN)
        assert connection.ask_holder(CODE_AND_PIN, NEW_PIN) == b"\x64\x01"
    assert [command.hex() for command in card.commands] == ["002c008010" + "3132333435363738" + "373330323634ffff"]


def test_a_reader_that_breaks_off_is_no_card_that_was_taken_out(
    pcsc: PcscService, monkeypatch: pytest.MonkeyPatch
) -> None:
    pad = Pad(Make(breaks=True))
    monkeypatch.setattr(scard, "SCardControl", pad.control)
    with insert(0, echo) as card:
        with open_reader(READERS[0]) as connection, pytest.raises(PinPadFailed, match="does not work"):
            connection.ask_holder(CODE_AND_PIN, NEW_PIN)
        pad._make = Make(says=b"\x90")
        with open_reader(READERS[0]) as connection, pytest.raises(PinPadFailed):
            connection.ask_holder(CODE_AND_PIN, NEW_PIN)
        pad._make = Make(breaks=True)
        with open_reader(READERS[0]) as connection:
            card.remove()
            with pytest.raises(CardRemoved):
                connection.ask_holder(CODE_AND_PIN, NEW_PIN)
    with pytest.raises(ReaderError, match="closed"):
        connection.ask_holder(CODE_AND_PIN, NEW_PIN)


def test_a_reader_that_left_is_named_apart_from_a_card_that_left(
    pcsc: PcscService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pulled(command: bytes) -> bytes:
        card.remove()
        return b""

    card = insert(0, pulled)
    with open_reader(READERS[0]) as connection, monkeypatch.context() as patched:
        # The virtual readers cannot be unplugged, so the service's list is taken away from the look that follows.
        patched.setattr(Context, "slots", lambda context: {})
        with pytest.raises(ReaderUnplugged, match="plug it back in"):
            connection.transmit(bytes.fromhex("00B2010400"))


def test_a_card_that_went_in_too_early_is_noticed_all_the_same(pcsc: PcscService) -> None:
    """The service marks a reader as empty ahead of its own look when a program lets go of a card that was pulled."""
    first = insert(0, echo)
    connection = open_reader(READERS[0])
    connection.transmit(bytes.fromhex("00B2010400"))
    time.sleep(0.5)
    first.remove()
    connection.close()
    with Context() as context:
        told_as_empty = not context.slots()[READERS[0]].present
    with insert(0, echo) as second, open_reader(READERS[0]) as again:
        assert again.transmit(bytes.fromhex("00B2010400")) == bytes.fromhex("B20104009000")
        assert second.powered.is_set()
    assert told_as_empty


def test_a_card_swapped_under_an_open_connection_gets_no_command_meant_for_the_first(pcsc: PcscService) -> None:
    first = insert(0, echo)
    with open_reader(READERS[0]) as connection:
        connection.transmit(bytes.fromhex("00B2010400"))
        first.remove()
        with ScriptedCard(pcsc.ports[0], echo) as second:
            with pytest.raises(ReaderError):
                for _ in range(100):
                    connection.transmit(bytes.fromhex("00B2010400"))
                    time.sleep(0.02)
            assert second.commands == []


def test_a_reader_takes_one_card_and_says_so_to_the_third(pcsc: PcscService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vpcd, "_CONNECT_TIMEOUT_S", 0.5)
    with (
        insert(0, echo),
        ScriptedCard(pcsc.ports[0], echo),
        pytest.raises(ReaderOccupied, match="take out the one"),
    ):
        ScriptedCard(pcsc.ports[0], echo)


def test_cards_changed_as_fast_as_a_program_can(pcsc: PcscService) -> None:
    for number in range(6):
        with insert(number % 2, echo), open_reader(READERS[number % 2]) as connection:
            assert connection.transmit(bytes([0, 0xB2, 0, 0, number])) == bytes([0xB2, 0, 0, number, 0x90, 0x00])
