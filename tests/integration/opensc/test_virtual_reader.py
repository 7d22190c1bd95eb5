"""The card in a virtual reader, with the reader's side of the protocol played by the test."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

import pytest

from card_io.virtual import vpcd
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import CardElsewhere, FaultPlan
from card_io.virtual.memory import BadImage
from card_io.virtual.vpcd import HAND_S, InsertedCard, NoVirtualReader, serve
from tests.unit.virtual.cards import finished

STATE = bytes.fromhex("00CADF2000")


class Reader:
    """What vpcd does: it listens, and takes one card at a time."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(60)
        self.port: int = self._listener.getsockname()[1]
        self._card: socket.socket | None = None

    def accept(self) -> None:
        """Wait for a card to be put in."""
        self.eject()
        self._card, _ = self._listener.accept()
        self._card.settimeout(60)

    def nobody_comes(self) -> None:
        """Fail when a card waits to be taken."""
        self._listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            self._listener.accept()

    def write(self, body: bytes) -> None:
        """Length and body apart, as Debian's driver does."""
        assert self._card is not None
        self._card.sendall(struct.pack(">H", len(body)))
        self._card.sendall(body)

    def exchange(self, body: bytes) -> bytes:
        """One message with an answer; empty when the card has gone."""
        assert self._card is not None
        try:
            self.write(body)
            head = self._card.recv(2)
        except ConnectionError:
            return b""
        if not head:
            return b""
        (size,) = struct.unpack(">H", head)
        data = b""
        while len(data) < size:
            data += self._card.recv(size - len(data))
        return data

    def eject(self) -> None:
        if self._card is not None:
            self._card.close()
            self._card = None

    def close(self) -> None:
        self.eject()
        self._listener.close()


@contextmanager
def reader() -> Iterator[Reader]:
    made = Reader()
    try:
        yield made
    finally:
        made.close()


def test_power_reset_atr_and_commands() -> None:
    card = finished()
    with reader() as slot, InsertedCard(card, port=slot.port):
        slot.accept()
        assert slot.exchange(b"\x04") == card.atr
        slot.write(b"\x01")
        assert slot.exchange(STATE) == bytes.fromhex("01000F9000")
        slot.write(b"\x02")
        assert slot.exchange(STATE)[-2:] == b"\x90\x00"
        slot.write(b"\x03")  # no such control: nothing happens
        assert slot.exchange(b"") == b"\x67\x00"


def test_removing_the_card_ends_the_connection() -> None:
    card = finished()
    with reader() as slot:
        inserted = InsertedCard(card, port=slot.port)
        slot.accept()
        slot.write(b"\x01")
        assert slot.exchange(STATE)[-2:] == b"\x90\x00"
        inserted.remove()
        assert slot.exchange(STATE) == b""
        assert not card.powered


@pytest.mark.parametrize("plan", [FaultPlan(tear_after=2), FaultPlan(tear_before=2), FaultPlan(mute_at=2)])
def test_a_torn_or_mute_card_is_put_back(plan: FaultPlan) -> None:
    card = finished()
    with reader() as slot, InsertedCard(card, port=slot.port):
        slot.accept()
        slot.write(b"\x01")
        card.faults = plan
        assert slot.exchange(STATE)
        assert slot.exchange(STATE) == b""
        slot.accept()
        slot.write(b"\x01")
        assert slot.exchange(STATE)[-2:] == b"\x90\x00"


def test_a_card_that_was_taken_out_stays_out() -> None:
    card = finished()
    card.faults = FaultPlan(remove_at=1)
    with reader() as slot:
        inserted = InsertedCard(card, port=slot.port)
        slot.accept()
        slot.write(b"\x01")
        assert slot.exchange(STATE) == b""
        inserted.wait()
        assert not card.present


def test_without_power_a_command_loses_contact() -> None:
    card = finished()
    card.power_off()
    with reader() as slot, InsertedCard(card, port=slot.port):
        slot.accept()
        assert slot.exchange(STATE) == b""
        slot.accept()
        assert slot.exchange(b"\x04") == card.atr


def test_a_card_that_no_look_noticed_comes_out_and_goes_in_again() -> None:
    card = finished()
    with reader() as slot, InsertedCard(card, port=slot.port):
        slot.accept()
        assert slot.exchange(b"\x04") == card.atr
        sleep(0.3)
        assert slot.exchange(b"\x04") == card.atr
        sleep(0.3)
        left = monotonic()
        assert slot.exchange(b"\x04") == b"", "three looks without power: it was not noticed"
        slot.accept()
        assert monotonic() - left > HAND_S / 2
        assert slot.exchange(b"\x04") == card.atr
        slot.write(b"\x01")
        for _ in range(4):  # a noticed card is looked at as often as one likes, with power or without
            sleep(0.3)
            slot.write(b"\x00")
            assert slot.exchange(b"\x04") == card.atr


def test_a_service_that_powers_no_card_by_itself_keeps_it_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vpcd, "_TRIES", 1)
    monkeypatch.setattr(vpcd, "_ONE_LOOK_S", 0.0)
    card = finished()
    with reader() as slot, InsertedCard(card, port=slot.port):
        slot.accept()
        while slot.exchange(b"\x04"):
            sleep(0.01)
        slot.accept()
        for _ in range(10):
            sleep(0.01)
            assert slot.exchange(b"\x04") == card.atr


def test_power_does_not_outlive_an_insertion() -> None:
    card = finished()
    card.power_on()
    with reader() as slot, InsertedCard(card, port=slot.port):
        slot.accept()
        assert slot.exchange(STATE) == b""
        slot.accept()
        slot.write(b"\x01")
        assert slot.exchange(STATE)[-2:] == b"\x90\x00"
        slot.accept()  # the reader hangs up; the card goes back in, without power
        assert slot.exchange(STATE) == b""


def test_a_card_is_removed_while_it_waits_to_go_in_again() -> None:
    with reader() as slot:
        inserted = InsertedCard(finished(), port=slot.port)
        slot.accept()
        assert slot.exchange(STATE) == b""
        inserted.remove()
        assert not inserted.inside
        sleep(HAND_S)
        slot.nobody_comes()


def test_no_reader() -> None:
    with reader() as slot:
        port = slot.port
    with pytest.raises(NoVirtualReader, match=rf"127\.0\.0\.1:{port}; start pcscd"):
        InsertedCard(finished(), port=port)


def test_a_card_served_from_its_file_until_the_reader_goes(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    finished().save(path)
    with reader() as slot:
        program = Thread(target=serve, args=(path,), kwargs={"port": slot.port})
        program.start()
        slot.accept()
        slot.write(b"\x01")
        assert slot.exchange(bytes.fromhex("0020000104") + b"0000") == b"\x63\xc2"
    program.join(60)
    assert not program.is_alive()
    again = VirtualCard.load(path)
    again.power_on()
    assert again.process(bytes.fromhex("00200001")) == b"\x63\xc2"


def test_a_card_changed_elsewhere_leaves_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    card = finished()
    card.save(path)
    with reader() as slot, InsertedCard(card, port=slot.port) as inserted:
        slot.accept()
        other = VirtualCard.load(path)
        other.power_on()
        slot.write(b"\x01")
        inserted.wait()
        assert isinstance(inserted.failure, CardElsewhere)
        assert not card.powered


def test_a_file_that_is_no_card_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(BadImage):
        serve(tmp_path / "x", port=1)
