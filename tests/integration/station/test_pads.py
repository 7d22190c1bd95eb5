"""A station whose reader has keys of its own: what it tells of it, and PINs chosen there through hub and link."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from smartcard import scard
from sqlalchemy import select

from card_io.applets.uec.layout import PinRef
from card_io.applets.uec.session import UecSession
from card_io.connection import Connection
from card_io.errors import CardError
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from card_io.virtual.pinpad import Ended, Make, PadConnection, Prompt, VirtualPinPad, abilities
from card_io.virtual.vpcd import InsertedCard
from issuance.production.bundle import RecordKind
from issuance.production.sealing import seal_pins
from issuance.station.readers import PAD_SUFFIX, VirtualReaders
from issuance.station.wire import Reader
from tests.integration.station.conftest import Hands, Network
from tests.integration.station.test_hub import done
from tests.integration.station.test_pcsc import start_pcsc_station
from tests.support.desk import LETTER
from tests.support.leaks import leaked
from tests.support.line import blank_card
from tests.support.pcsc import PcscService
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import handover, journal, stations
from uec.store.tables import CardOperation, Station

PINS = {"pin1": Secret(b"730264"), "pin2": Secret(b"5829104")}


class PadHands(Hands):
    """Readers with keys: the holder slips as told, then types the PIN that the page names."""

    def __init__(self, *names: str, make: Make | None = None) -> None:
        super().__init__(*names)
        self.make = make or Make()
        self.slips: list[str | Ended | threading.Event] = []
        self.typing = threading.Event()
        self.eyes: Callable[[Prompt], str] = lambda prompt: ""

    def look(self, timeout_s: float) -> tuple[Reader, ...]:
        able = abilities(self.make)
        return tuple(Reader(one.name, one.card, one.insertion, able) for one in super().look(timeout_s))

    def _open(self, reader: str) -> Connection:
        bare = super()._open(reader)
        card = self._cards[reader]
        assert isinstance(bare, InProcessConnection) and card is not None
        bare.close()
        return PadConnection(card, self._typed, self.make)

    def _typed(self, prompt: Prompt) -> str | Ended:
        wanted = self.eyes(prompt)
        slip = self.slips.pop(0) if self.slips else None
        if isinstance(slip, threading.Event):
            self.typing.set()
            assert slip.wait(120)
            raise CardError("the card was pulled out")
        return slip if slip is not None else PINS[wanted].reveal().decode()


class Window:
    """A station with a reader that has keys, and a finished card in it."""

    reader = "left"

    def __init__(self, network: Network, make: Make | None = None) -> None:
        self.network, self.hands = network, PadHands("left", make=make)
        self.station_id = network.enrol("window-1")
        self.card_id = network.prepared_card(1)
        self.chip = blank_card(1)
        self.prompts: list[tuple[str, str]] = []
        self.hands.eyes = self._look
        network.start_station("window-1", self.hands)
        self.hands.put("left", self.chip)
        done(network, network.request(OperationKind.PERSONALISE, self.card_id, self.station_id, None))
        self.chip.faults = FaultPlan()

    def ask(self) -> int:
        """Ask for the hand-over at the reader; the operation's id."""
        office = self.network.office
        pins, number = {name: Secret(b"") for name in PINS} | LETTER, office.card(self.card_id).number
        with office.sessions() as session:
            key = stations.hub_public_key(session, now=office.clock.now, station_id=self.station_id)
            return handover.request(
                session,
                self.card_id,
                actor=office.staff.second_operator,
                station_id=self.station_id,
                reader=self.reader,
                sealed_pins=seal_pins(key, pins, card_number=number),
                holder_checked=True,
                now=office.clock(),
            )

    def _look(self, prompt: Prompt) -> str:
        """Be the holder's eyes: which PIN the page of the newest work wants."""
        newest = select(CardOperation.id).where(CardOperation.card_id == self.card_id)
        with self.network.office.sessions() as session:
            operation_id = session.scalars(newest.order_by(CardOperation.id.desc())).first()
        told = self.network.operation(operation_id or 0).progress
        if prompt is Prompt.NEW:
            self.prompts.append((str(told["pin"]), str(told["ended"])))
        return str(told["pin"])

    def kinds(self) -> list[RecordKind]:
        with self.network.office.sessions() as session:
            return [record.kind for record in journal.records(session, self.card_id)]

    def require_the_holders_card(self) -> None:
        assert self.network.office.card(self.card_id).state is CardState.ACTIVE
        session = UecSession(InProcessConnection(_free(self.chip)))
        session.select()
        session.verify_pin(PinRef.PIN1, PINS["pin1"])
        session.verify_pin(PinRef.PIN2, PINS["pin2"])


def _free(chip: VirtualCard) -> VirtualCard:
    chip.power_off()
    return chip


def test_pins_are_chosen_at_the_reader_through_hub_and_link(network_on_either: Network) -> None:
    here = Window(network_on_either)
    with here.network.office.sessions() as session:
        told = session.get_one(Station, here.station_id).readers
    assert told == [{"name": "left", "card": True, "pad": ["verify", "modify"]}]
    here.hands.slips = [Ended.CANCELLED, "730264", "730265"]
    asked = here.ask()
    ended = done(here.network, asked)
    assert ended.result["at_reader"] is True
    assert here.prompts == [("pin1", ""), ("pin1", "cancelled"), ("pin1", "mismatch"), ("pin2", "")]
    here.require_the_holders_card()
    assert here.kinds().count(RecordKind.PIN_CHOSEN) == 2
    with here.network.office.sessions() as session:
        records = journal.records(session, here.card_id)
    assert not any(leaked(str(record), pin) for record in records for pin in PINS.values())


def test_a_card_pulled_out_while_the_second_pin_is_typed_goes_on_with_that_one(network: Network) -> None:
    here = Window(network)
    pulled = threading.Event()
    here.hands.slips = ["730264", "730264", pulled]
    asked = here.ask()
    assert here.hands.typing.wait(120)
    here.hands.pull("left")
    pulled.set()
    tick = threading.Event()
    while network.operation(asked).progress.get("label") != "put_card_back":
        network.check()
        tick.wait(0.02)
    assert "pin" not in network.operation(asked).progress, "nobody is told to type while the card is out"
    here.hands.put("left", here.chip)
    ended = done(network, asked)
    assert ended.result["at_reader"] is True and ended.result["resumed"]
    assert here.prompts == [("pin1", ""), ("pin2", ""), ("pin2", "")], "the first PIN was confirmed by the card"
    here.require_the_holders_card()


@pytest.mark.parametrize("make", [Make(features=(0x06,)), Make(says=b"\x6b\x80"), Make(breaks=True)])
def test_a_reader_that_does_not_do_it_leaves_the_card_to_the_keyboard(network: Network, make: Make) -> None:
    here = Window(network, make)
    asked = here.ask()
    ended = network.wait_for(asked)
    assert (ended.state, ended.error_code) == (OperationState.FAILED, "pad-unfit")
    assert network.office.card(here.card_id).state is CardState.PERSONALISED
    here.hands.make = Make()
    asked = here.ask()
    assert done(network, asked).result["resumed"]
    here.require_the_holders_card()


class PcscWindow(Window):
    """The same with a reader of the machine's PC/SC; only what pcscd's virtual readers lack is added: the keys."""

    def __init__(self, network: Network, pcsc: PcscService) -> None:
        self.network, self.hands, self.reader = network, PadHands(), pcsc.readers[0]
        self.hands.eyes = self._look
        self.prompts: list[tuple[str, str]] = []
        self.card_id, self.chip = network.prepared_card(1), blank_card(1)

    def begin(self) -> None:
        """Start the station; from its first look on its readers have keys."""
        self.station_id = start_pcsc_station(self.network, "window-1")

    def control(self, handle: object, code: int, data: list[int]) -> tuple[int, list[int]]:
        """SCardControl of a reader with keys: what is typed goes through the service to the card."""

        def transmit(command: bytes) -> bytes:
            result, answer = scard.SCardTransmit(handle, scard.SCARD_PCI_T1, list(command))
            assert result == scard.SCARD_S_SUCCESS
            return bytes(answer)

        return 0, list(VirtualPinPad(transmit, self.hands._typed).control(code, bytes(data)))


@pytest.mark.pcsc
@pytest.mark.slow
def test_pins_are_chosen_at_a_reader_of_the_machine(
    network: Network, pcsc: PcscService, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = PcscWindow(network, pcsc)
    monkeypatch.setattr(scard, "SCardControl", here.control)
    here.begin()
    with InsertedCard(here.chip, port=pcsc.ports[0]):
        done(network, network.request(OperationKind.PERSONALISE, here.card_id, here.station_id, here.reader))
        here.hands.slips = [Ended.TIMEOUT]
        assert done(network, here.ask()).result["at_reader"] is True
        with network.office.sessions() as session:
            told = session.get_one(Station, here.station_id).readers
    assert here.prompts == [("pin1", ""), ("pin1", "timeout"), ("pin2", "")]
    assert told[0]["pad"] == ["verify", "modify"]
    here.require_the_holders_card()


def test_a_folder_of_cards_may_have_readers_with_keys(tmp_path: Path) -> None:
    """For rehearsals: the lines of a file are what the holder types, one after the other."""
    blank_card(1).save(tmp_path / "left.card")
    blank_card(2).save(tmp_path / "right.card")
    keys = tmp_path / f"left{PAD_SUFFIX}"
    keys.write_text("2846\n2846\ncancelled\n", encoding="ascii")
    readers = VirtualReaders(tmp_path)
    assert readers.look(0) == (Reader("left", True, 1, ("verify", "modify")), Reader("right", True, 1, ()))
    connection = readers.slot("left").connect(fresh=True)
    assert isinstance(connection, PadConnection)
    typed = [connection.reader._holder(Prompt.NEW) for _ in range(4)]
    assert typed == ["2846", "2846", Ended.CANCELLED, Ended.TIMEOUT]
    assert keys.read_text(encoding="ascii") == ""
    connection.close()
    assert not isinstance(readers.slot("right").connect(fresh=True), PadConnection)
    readers.close()
