"""Cards that must not be in the reader, through hub and station: each refused by its own name, none of them changed."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from card_io.connection import Connection
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from issuance.production.relay import OpenedSlot, Slot
from tests.integration.station.conftest import Hands, Network
from tests.integration.station.test_hub import done, request_hand_over
from tests.support.line import blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState

INTERNAL_AUTHENTICATE = 0x88


class Clone:
    """A chip with everything that can be read off another one, and not its private key."""

    def __init__(self, original: VirtualCard) -> None:
        self._inner = InProcessConnection(original)
        self.atr = self._inner.atr

    def transmit(self, command: bytes) -> bytes:
        answer = self._inner.transmit(command)
        if command[1] == INTERNAL_AUTHENTICATE and len(answer) > 2:
            return bytes([*answer[:-4], answer[-4] ^ 1, answer[-3] ^ 1, *answer[-2:]])
        return answer

    def close(self) -> None:
        self._inner.close()


class CloningHands(Hands):
    """Readers of which one holds clones."""

    def slot(self, reader: str) -> Slot:
        def connect() -> Connection:
            inner = self._open(reader)
            card = self._cards[reader]
            return Clone(card) if reader == "clone" and card is not None else inner

        return OpenedSlot(connect)


@dataclass
class Stage:
    """A window with two readers; two cards at hand, one with its holder, and one that waits to be written."""

    network: Network
    hands: CloningHands
    station_id: int
    ready: int
    other: int
    active: int
    prepared: int

    def chip(self, card_id: int) -> VirtualCard:
        return self.network.office.chips[card_id]

    def write(self, card: VirtualCard) -> str | None:
        self.hands.put("left", card)
        asked = self.network.request(OperationKind.PERSONALISE, self.prepared, self.station_id, "left")
        ended = self.network.wait_for(asked)
        self.hands.pull("left")
        assert ended.state is OperationState.FAILED, "a card was written that should have been refused"
        return ended.error_code

    def hand_over(self, card: VirtualCard, reader: str = "left") -> str | None:
        self.hands.put(reader, card)
        asked = request_hand_over(self.network, self.ready, self.station_id)
        ended = self.network.wait_for(asked)
        self.hands.pull(reader)
        assert ended.state is OperationState.FAILED
        return ended.error_code


@pytest.fixture
def stage(network: Network) -> Stage:
    ready, other, active = network.office.make_cards(1, 2, 3)
    network.office.hand_over(active)
    station_id, hands = network.enrol("window-1"), CloningHands("left", "clone")
    network.start_station("window-1", hands)
    return Stage(network, hands, station_id, ready, other, active, network.prepared_card(4))


WRITING: dict[str, tuple[str, Callable[[Stage], VirtualCard]]] = {
    "right answer to reset, wrong keys": ("unknown-keys", lambda stage: blank_card(71, master=b"\xee" * 16)),
    "another batch's card": ("chip-taken", lambda stage: stage.chip(stage.other)),
    "a card with its holder": ("card-active", lambda stage: stage.chip(stage.active)),
}


@pytest.mark.slow
def test_each_is_refused_by_name_and_the_right_one_is_served_afterwards(stage: Stage) -> None:
    for what, (code, card) in WRITING.items():
        assert stage.write(card(stage)) == code, what
        assert stage.network.office.card(stage.prepared).state is CardState.PREPARED, what
    assert stage.hand_over(stage.chip(stage.other)) == "wrong-card"
    assert stage.hand_over(blank_card(72, kind="piv")) == "foreign-card"
    assert stage.hand_over(stage.chip(stage.ready), "clone") == "counterfeit"
    office = stage.network.office
    assert office.card(stage.ready).state is office.card(stage.other).state is CardState.PERSONALISED
    stage.hands.put("left", stage.chip(stage.ready))
    done(stage.network, request_hand_over(stage.network, stage.ready, stage.station_id))
    stage.hands.put("left", blank_card(74))
    asked = stage.network.request(OperationKind.PERSONALISE, stage.prepared, stage.station_id, "left")
    assert done(stage.network, asked).result["genuine"] is True
