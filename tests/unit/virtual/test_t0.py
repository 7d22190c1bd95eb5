"""A card that speaks T=0 only: its answer to reset, 61XX and 6CXX, and the project's host over it."""

from functools import reduce
from pathlib import Path

import pytest

from card_io import globalplatform as gp
from card_io.channel import SecurityDomain
from card_io.connection import t0_command
from card_io.keyset import KeySet
from card_io.virtual.atr import Protocols, answer_to_reset
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from tests.support.key_port import TestVault
from tests.unit.card_io_host.test_channel import CHALLENGE
from tests.unit.virtual.cards import aes_keys

ISD = bytes.fromhex("A000000151000000")


def card(protocols: Protocols = Protocols.T0) -> VirtualCard:
    made = VirtualCard.blank(b"t0", initial_keys=aes_keys(0x30), protocols=protocols)
    made.power_on()
    return made


class OverT0:
    """A reader that speaks T=0: it sends TPDUs, as `card_io.pcsc` does."""

    def __init__(self, chip: VirtualCard) -> None:
        self._inner = InProcessConnection(chip)
        self.sent: list[bytes] = []

    @property
    def atr(self) -> bytes:
        return self._inner.atr

    def transmit(self, command: bytes) -> bytes:
        self.sent.append(t0_command(command))
        return self._inner.transmit(self.sent[-1])

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize(
    ("protocols", "offered"), [(Protocols.T0, [0]), (Protocols.T1, [1]), (Protocols.T0_T1, [0, 1])]
)
def test_the_answer_to_reset_names_the_protocols(protocols: Protocols, offered: list[int]) -> None:
    """Read as ISO/IEC 7816-3:2006, 8.2 says: TDi names a protocol, TCK closes unless there is T=0 alone."""
    atr = answer_to_reset(b"UEC", protocols)
    assert atr[0] == 0x3B
    present, count, at, named = atr[1] >> 4, atr[1] & 0x0F, 2, []
    while True:
        at += bin(present & 0x07).count("1")
        if not present & 0x08:
            break
        named.append(atr[at] & 0x0F)
        present = atr[at] >> 4
        at += 1
    assert list(dict.fromkeys(named or [0])) == offered
    historical = atr[at : at + count]
    assert historical[:1] == b"\x80"
    assert b"UEC" in historical
    rest = atr[at + count :]
    if offered == [0]:
        assert rest == b""
    else:
        assert len(rest) == 1
        assert reduce(lambda one, two: one ^ two, atr[1:]) == 0
    assert bool(historical[-1] & 0x40) == (1 in offered)  # extended lengths


def test_an_answer_to_data_waits_for_get_response() -> None:
    chip = card()
    answer = chip.process(bytes.fromhex("00A4040008") + ISD)
    assert answer[:-2] == b""
    assert answer[-2] == 0x61
    data = chip.process(bytes([0x00, 0xC0, 0x00, 0x00, answer[-1]]))
    assert data[-2:] == b"\x90\x00"
    assert data[0] == 0x6F
    assert len(data) == answer[-1] + 2
    assert chip.process(bytes.fromhex("00C0000000")) == b"\x69\x85"


def test_a_wrong_length_is_named_and_the_command_not_carried_out() -> None:
    chip = card()
    assert chip.process(bytes.fromhex("80CA9F7F00")) == b"\x6c\x2d"
    assert len(chip.process(bytes.fromhex("80CA9F7F2D"))) == 0x2D + 2
    first = chip.process(bytes.fromhex("80CA9F7F10"))
    assert first[-2:] == b"\x61\x1d"
    assert len(first) == 0x12
    assert len(chip.process(bytes.fromhex("00C000001D"))) == 0x1F


def test_extended_lengths_are_refused() -> None:
    assert card().process(bytes.fromhex("00A4040000000008") + ISD) == b"\x67\x00"


@pytest.mark.parametrize("level", [0x00, 0x01, 0x03, 0x11, 0x13, 0x33])
def test_the_host_works_through_it(level: int) -> None:
    chip = card()
    link = OverT0(chip)
    domain = SecurityDomain(link)
    assert domain.select().aid == ISD
    assert len(domain.cplc().chip_id) == 10
    initial = aes_keys()
    vault = TestVault({0x30: KeySet(initial.enc, initial.mac, initial.dek)})
    channel = domain.open_channel(vault, level=level, host_challenge=CHALLENGE)
    assert [entry.aid for entry in channel.registry(gp.Subset.ISSUER_SECURITY_DOMAIN)] == [ISD]
    assert channel.registry(gp.Subset.LOAD_FILES_AND_MODULES)
    assert channel.transmit(gp.get_data(0x5F5E)).sw == 0x6A88
    assert any(sent[1] == 0xC0 for sent in link.sent)


def test_the_protocol_lives_in_the_cards_file(tmp_path: Path) -> None:
    chip = card()
    chip.save(tmp_path / "card.json")
    again = VirtualCard.load(tmp_path / "card.json")
    again.power_on()
    assert again.atr == chip.atr
    assert again.process(bytes.fromhex("80CA9F7F00")) == b"\x6c\x2d"


@pytest.mark.parametrize("protocols", [Protocols.T1, Protocols.T0_T1])
def test_with_t1_an_answer_comes_at_once(protocols: Protocols) -> None:
    assert card(protocols).process(bytes.fromhex("00A4040008") + ISD)[0] == 0x6F
