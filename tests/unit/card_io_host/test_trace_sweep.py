"""Nothing secret in a trace: whole sessions are traced, and every byte that went to a card is looked for in the log."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.applets.piv import AdminAlgorithm, KeyAlgorithm, ObjectId, PivSession, Slot
from card_io.secret import Secret
from card_io.trace import TracedConnection, TraceEntry
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from issuance.production.drivers import run_local
from issuance.production.handover import hand_over
from issuance.production.personalise import personalise
from issuance.production.relay import OpenedSlot
from issuance.production.unblock import unblock
from tests.support.line import HOLDER_PINS, LETTER, PIV_PROFILE, UEC_PROFILE, blank_card, make_line
from tests.unit.virtual.cards import aes_keys

FACTORY_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
PUBLIC_INS = {0x22, 0x50, 0x70, 0xA4, 0xE4, 0xE8, 0xF0, 0xF2}
CLASSES = (0x00, 0x01, 0x04, 0x0C, 0x10, 0x40, 0x60, 0x80, 0x84, 0x90, 0xC0, 0xE0)
HIGH_BYTES = (0x00, 0x2F, 0x5F, 0x7F, 0x9F, 0xBF, 0xDF, 0xFF)
MARK = bytes.fromhex("5EC2E75EC2E75EC2")


class Recorder:
    """A card whose exchanges are kept beside the log of them."""

    def __init__(self, card: VirtualCard) -> None:
        self._inner = InProcessConnection(card)
        self.exchanges: list[tuple[bytes, bytes]] = []

    @property
    def atr(self) -> bytes:
        return self._inner.atr

    def transmit(self, command: bytes) -> bytes:
        answer = self._inner.transmit(command)
        self.exchanges.append((command, answer))
        return answer

    def close(self) -> None:
        self._inner.close()


def pieces(data: bytes) -> set[str]:
    """Every run of eight bytes, as it would stand in a log."""
    return {data[at : at + 8].hex().upper() for at in range(len(data) - 7)}


def hidden(exchanges: list[tuple[bytes, bytes]]) -> set[str]:
    """What went over in commands that carry secrets or a person's data, and came back from them."""
    found: set[str] = set()
    public = False
    for command, answer in exchanges:
        if command[1] != 0xC0:
            public = command[1] in PUBLIC_INS or command[:2] == b"\x80\xca"
        if not public:
            found |= pieces(CommandAPDU.decode(command).data) | pieces(answer[:-2])
    return found


@pytest.mark.parametrize("kind", ["uec", "piv"])
def test_a_card_made_and_handed_over_leaves_nothing_in_its_trace(kind: str, tmp_path: Path) -> None:
    line = make_line(tmp_path, UEC_PROFILE if kind == "uec" else PIV_PROFILE)
    number, card = line.order(), blank_card(1, kind=kind)
    log: list[TraceEntry] = []
    recorders: list[Recorder] = []

    def opened() -> TracedConnection:
        recorders.append(Recorder(card))
        return TracedConnection(recorders[-1], log.append)

    slot = OpenedSlot(opened)
    with line.office.vault:
        talk = personalise(line.office.job(number), line.profile, random=random.Random(1).randbytes)
        run_local(talk, slot, line.office.desk(number))
        pins = {"pin1": HOLDER_PINS["pin2"]} if kind == "piv" else HOLDER_PINS
        job = line.office.handover(number, pins | {"krp": LETTER})
        run_local(hand_over(job, line.profile, random=random.Random(2).randbytes), slot, line.office.desk(number))
        anew = line.office.unblocking(number, "pin1", Secret(b"730264"), LETTER)
        run_local(unblock(anew, line.profile, random=random.Random(3).randbytes), slot, line.office.desk(number))
        code = line.code(number)
    text = "\n".join([*map(str, log), *map(repr, log)])
    exchanges = list(itertools.chain.from_iterable(recorder.exchanges for recorder in recorders))
    assert len(log) == len(exchanges) > 40
    secret = hidden(exchanges)
    assert len(secret) > 1000, "there is something to hide"
    assert not [piece for piece in secret if piece in text]
    for pin in (*HOLDER_PINS.values(), LETTER, code, Secret(b"730264")):
        assert pin.reveal().hex().upper() not in text


def test_the_admin_keys_witness_and_keys_of_a_piv_card_are_hidden() -> None:
    recorder = Recorder(VirtualCard.blank(b"piv", initial_keys=aes_keys(), profile="piv"))
    log: list[TraceEntry] = []
    session = PivSession(TracedConnection(recorder, log.append))
    session.authenticate_admin(Secret(FACTORY_KEY), AdminAlgorithm.TDES, MARK)
    session.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256)
    session.put_object(ObjectId.PRINTED_INFORMATION, MARK * 40)
    session.verify_pin(Secret(b"123456"))
    session.change_pin(Secret(b"123456"), Secret(b"654321"))
    session.unblock_pin(Secret(b"12345678"), Secret(b"123456"))
    session.verify_pin(Secret(b"123456"))
    session.sign(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256, MARK * 4)
    assert session.get_object(ObjectId.PRINTED_INFORMATION) == MARK * 40
    text = "\n".join([*map(str, log), *map(repr, log)])
    assert not [piece for piece in hidden(recorder.exchanges) if piece in text]
    assert MARK.hex().upper() not in text and b"123456".hex() not in text


class Echo:
    """A card that answers with what it was told."""

    atr = b"\x3b\x00"

    def transmit(self, command: bytes) -> bytes:
        return MARK + b"\x90\x00"

    def close(self) -> None:
        """Nothing to let go."""


def shown(cla: int, ins: int, p1: int = 0, p2: int = 0) -> bool:
    log: list[TraceEntry] = []
    TracedConnection(Echo(), log.append).transmit(CommandAPDU(cla, ins, p1, p2, MARK, 256).encode())
    return MARK.hex().upper() in str(log[0])


def test_every_instruction_that_is_not_known_to_be_public_is_hidden() -> None:
    seen = {ins for cla in CLASSES for ins in range(0x100) if ins & 0xF0 not in {0x60, 0x90} and shown(cla, ins)}
    assert seen == PUBLIC_INS


def test_get_data_shows_what_a_security_domain_tells_anyone_and_nothing_else() -> None:
    tags = {
        tag
        for high in HIGH_BYTES
        for tag in range(high << 8, (high + 1) << 8)
        if shown(0x80, 0xCA, tag >> 8, tag & 0xFF)
    }
    known = {gp.TAG_IIN, gp.TAG_CIN, gp.TAG_CARD_DATA, gp.TAG_CARD_CAPABILITIES, gp.TAG_KEY_INFORMATION, gp.TAG_CPLC}
    assert known <= tags and len(tags) == 12
    assert not any(shown(0x00, 0xCA, tag >> 8, tag & 0xFF) for tag in tags)


@pytest.mark.parametrize("public_first", [True, False], ids=["public first", "secret first"])
@pytest.mark.parametrize("on_channel", [lambda n: n, lambda n: 0x40 | (n - 1)], ids=["0 to 3", "4 to 19"])
def test_a_rest_of_an_answer_belongs_to_its_own_channel(on_channel: Callable[[int], int], public_first: bool) -> None:
    """A file read on one channel, a SELECT on another between its two halves: the second half stays hidden."""
    log: list[TraceEntry] = []
    traced = TracedConnection(Echo(), log.append)
    secret, public = on_channel(1), on_channel(2)
    commands = [bytes([secret, 0xB0, 0, 0, 0]), bytes([public, 0xA4, 4, 0, 0])]
    for command in reversed(commands) if public_first else commands:
        traced.transmit(command)
    traced.transmit(bytes([secret, 0xC0, 0, 0, 8]))
    assert log[-1].answer is None
    traced.transmit(bytes([public, 0xC0, 0, 0, 8]))
    assert log[-1].answer == MARK.hex().upper()
