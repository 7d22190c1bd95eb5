"""Commands that were right before one thing was changed: they get far into the card, where noise never comes.

Whole scripts (loading, installation, personalisation, keys, extradition) go through a secure channel with a length, a
byte, the order, the chaining, the logical channel or the protocol changed. Every answer has a status word, and the card
opens a new session afterwards.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU, ResponseAPDU, class_on_channel
from card_io.applets.uec import layout
from card_io.applets.uec import personalisation as content
from card_io.applets.uec.layout import Fid
from card_io.ciphers import aes_cbc_encrypt
from card_io.errors import InvalidApdu
from card_io.secret import Secret
from card_io.virtual import supplementary
from card_io.virtual.atr import Protocols
from card_io.virtual.card import VirtualCard
from tests.support.caps import APPLET, PACKAGE, cap, components
from tests.unit.virtual.cards import KEYS, aes_keys, authenticate, open_session, send
from tests.unit.virtual.test_fuzz import is_answer

ISD = bytes.fromhex("A000000151000000")
DOMAIN = bytes.fromhex("A00000015153504101")
BLOCK = gp.parse_cap(cap(components(method_size=200))).data_block


def fields(*values: bytes) -> bytes:
    return b"".join(bytes([len(value)]) + value for value in values)


def install(p1: int, *values: bytes, p2: int = 0) -> CommandAPDU:
    return CommandAPDU(0x80, 0xE6, p1, p2, fields(*values), 256)


def store(p1: int, number: int, data: bytes) -> CommandAPDU:
    return CommandAPDU(0x80, 0xE2, p1, number, data, 256 if p1 & 1 else None)


def key_block(*keys: bytes) -> bytes:
    enciphered = (aes_cbc_encrypt(KEYS[2], key, bytes(16)) for key in keys)
    return b"".join(b"\x88\x11\x10" + value + b"\x00" for value in enciphered)


def status(p1: int, p2: int = 2) -> CommandAPDU:
    return CommandAPDU(0x80, 0xF2, p1, p2, b"\x4f\x00", 256)


LOADING = [
    install(0x02, PACKAGE, ISD, hashlib.sha256(BLOCK).digest(), b"", b""),
    *gp.load(gp.load_file(BLOCK, ()), 200),
    install(0x0C, PACKAGE, APPLET, APPLET, b"\x00", b"\xc9\x00", b""),
    status(0x10),
    CommandAPDU(0x80, 0xE4, 0x00, 0x80, b"\x4f" + fields(PACKAGE), 256),
]
PERSONALISING = [
    install(0x0C, layout.PACKAGE_AID, layout.MODULE_AID, layout.APPLET_AID, b"\x04", b"\xc9\x00", b""),
    install(0x20, b"", b"", layout.APPLET_AID, b"", b"", b""),
    store(0x08, 0, content.create_file(Fid.UEC, 0) + content.create_file(Fid.DG1, 40)),
    store(0x08, 1, content.write_file(Fid.DG1, bytes(40))[0]),
    store(0x09, 2, content.generate_key(content.DEFAULT_KEYS[0])),
    store(0x09, 3, content.prove_key(content.DEFAULT_KEYS[0].slot, bytes(32))),
    store(0x88, 4, content.set_pin(content.DEFAULT_PINS[0], Secret(b"1234"))),
    CommandAPDU(0x80, 0xF0, 0x40, 0x80, layout.APPLET_AID),
]
KEYING = [
    CommandAPDU(0x80, 0xD8, 0x00, 0x81, b"\x30" + key_block(*KEYS), 256),
    CommandAPDU(0x80, 0xD8, 0x30, 0x82, b"\x30" + key_block(KEYS[0]), 256),
    CommandAPDU(0x80, 0xD8, 0x00, 0x81, b"\x31" + key_block(*KEYS), 256),
    CommandAPDU(0x80, 0xE4, 0x00, 0x00, b"\xd2\x01\x31", 256),
    CommandAPDU(0x80, 0xCA, 0x00, 0xE0, b"", 256),
    CommandAPDU(0x80, 0x7A, 0x10, 0x01, b"\x00"),
    status(0x80),
    CommandAPDU(0x80, 0x78, 0x00, 0x03, b"", 256),
]
DELEGATING = [
    install(0x0C, supplementary.PACKAGE_AID, supplementary.MODULE_AID, DOMAIN, b"\xc0\x00\x00", b"\xc9\x00", b""),
    install(0x10, ISD, b"", layout.PACKAGE_AID, b"", b"", b""),
    install(0x40, b"", b"", DOMAIN, b"\x80\x00\x00", b"", b""),
    store(0x10, 0, b"\x5f\x50\x20" + bytes(10)),
    store(0x90, 1, bytes(22) + b"\x42\x03abc\x45\x01d"),
    store(0x88, 0, bytes.fromhex("0070054203616263")),
    CommandAPDU(0x80, 0xF0, 0x80, 0x07, ISD),
    store(0x80, 0, b"\x4f\x09" + bytes.fromhex("A00000000300000001")),
    CommandAPDU(0x80, 0xE4, 0x00, 0x00, b"\x4f" + fields(DOMAIN), 256),
]
SCRIPTS = (LOADING, PERSONALISING, KEYING, DELEGATING)
POSITIONS = st.integers(0, 400)


@dataclass(frozen=True)
class Change:
    """One mistake in a script: what, in which of its commands, where, and a byte to put there."""

    kind: str
    command: int
    place: int
    value: int

    def apply(self, script: list[CommandAPDU]) -> list[CommandAPDU]:
        at = self.command % len(script)
        changed = CHANGES[self.kind](script[at], self.place, self.value)
        return [*script[:at], *changed, *script[at + 1 :]]


def _byte(command: CommandAPDU, place: int, value: int) -> list[CommandAPDU]:
    data = bytearray(command.data)
    if data:
        data[place % len(data)] = value
    return [replace(command, data=bytes(data))]


def _header(command: CommandAPDU, place: int, value: int) -> list[CommandAPDU]:
    return [replace(command, p1=value) if place % 2 else replace(command, p2=value)]


def _cut(command: CommandAPDU, place: int, value: int) -> list[CommandAPDU]:
    return [replace(command, data=command.data[: place % (len(command.data) + 1)])]


def _grow(command: CommandAPDU, place: int, value: int) -> list[CommandAPDU]:
    at = place % (len(command.data) + 1)
    return [replace(command, data=(command.data[:at] + bytes([value]) * (place % 60 + 1) + command.data[at:])[:220])]


def _twice(command: CommandAPDU, place: int, value: int) -> list[CommandAPDU]:
    return [command, command]


def _left_out(command: CommandAPDU, place: int, value: int) -> list[CommandAPDU]:
    return []


def _in_two(command: CommandAPDU, place: int, value: int) -> list[CommandAPDU]:
    """Chained by bit 5 of the class; or, as GlobalPlatform has it, by bit 8 of P1."""
    at = place % (len(command.data) + 1)
    first, last = replace(command, data=command.data[:at], le=None), replace(command, data=command.data[at:])
    if value % 2:
        return [replace(first, cla=first.cla | 0x10), last]
    return [replace(first, p1=first.p1 | 0x80), last]


CHANGES: dict[str, Callable[[CommandAPDU, int, int], list[CommandAPDU]]] = {
    "byte": _byte,
    "header": _header,
    "cut": _cut,
    "grow": _grow,
    "twice": _twice,
    "left out": _left_out,
    "in two": _in_two,
}
MISTAKES = st.lists(
    st.builds(Change, st.sampled_from(sorted(CHANGES)), st.integers(0, 8), POSITIONS, st.integers(0, 255)),
    min_size=1,
    max_size=3,
)


def play(
    card: VirtualCard, script: list[CommandAPDU], *, level: int, channel: int = 0, sealed_chain: bool = True
) -> None:
    """Send a script through a session on a logical channel; every answer must have a status word."""
    if channel:
        assert send(card, "00700000", b"", 1).data == bytes([channel])
    assert on(card, channel, CommandAPDU(0x00, 0xA4, 0x04, 0x00, ISD, 256)).ok
    host = authenticate(card, level) if not channel else None
    for command in script:
        raw = _wrapped(host, command) if host is not None else command.encode()
        answer = card.process(bytes([class_on_channel(raw[0], channel)]) + raw[1:])
        assert is_answer(answer), command
        while answer[-2] == 0x61:
            answer = card.process(bytes([channel, 0xC0, 0x00, 0x00, answer[-1]]))
            assert is_answer(answer)


def on(card: VirtualCard, channel: int, command: CommandAPDU) -> ResponseAPDU:
    raw = command.encode()
    return ResponseAPDU.decode(card.process(bytes([class_on_channel(raw[0], channel)]) + raw[1:]))


def _wrapped(host: object, command: CommandAPDU) -> bytes:
    """Secured where that can be; a chained part has its own class and is secured all the same."""
    try:
        return host.session.wrap(command)  # type: ignore[attr-defined, no-any-return]
    except InvalidApdu:
        return command.encode()


def check_it_still_opens(card: VirtualCard) -> None:
    """A session with whatever keys the script left: INITIALIZE UPDATE is answered, or says why not."""
    card.reset()
    assert send(card, "00A40400", b"", 256).sw in {0x9000, 0x6283}
    answer = send(card, "80500000", bytes(8), 256)
    assert answer.sw in {0x9000, 0x6985} and (not answer.ok or len(answer.data) == 32)


class Terminal:
    """What a terminal does over T=0: no Le behind data, and the answer fetched."""

    def __init__(self, card: VirtualCard) -> None:
        self._card = card
        self.platform = card.platform

    def process(self, raw: bytes) -> bytes:
        has_both = len(raw) > 5 and len(raw) == 6 + raw[4]
        answer = self._card.process(raw[:-1] if has_both else raw)
        data = b""
        while answer[-2] in {0x61, 0x6C}:
            data += answer[:-2]
            ins = raw[:4] if answer[-2] == 0x6C else bytes.fromhex("00C00000")
            answer = self._card.process(ins + answer[-1:])
        return data + answer


def made(protocols: Protocols = Protocols.T1) -> VirtualCard:
    card = VirtualCard.blank(b"seed", initial_keys=aes_keys(), protocols=protocols)
    card.power_on()
    return card


def test_the_scripts_are_right_before_they_are_changed() -> None:
    """Otherwise nothing would get far: every command of every script is carried out."""
    for script in SCRIPTS:
        host = open_session(made(), 0x03)
        answers = [host.send(command.header.hex(), command.data, command.le) for command in script]
        assert [f"{answer.sw:04X}" for answer in answers] == ["9000"] * len(script), script


@settings(max_examples=250, deadline=None)
@given(script=st.sampled_from(SCRIPTS), mistakes=MISTAKES, level=st.sampled_from([0x01, 0x03, 0x13, 0x33]))
def test_a_script_with_mistakes(script: list[CommandAPDU], mistakes: list[Change], level: int) -> None:
    card = made()
    for mistake in mistakes:
        script = mistake.apply(script) or script
    play(card, script, level=level)
    check_it_still_opens(card)


@settings(max_examples=100, deadline=None)
@given(script=st.sampled_from(SCRIPTS), mistakes=MISTAKES)
def test_over_t0(script: list[CommandAPDU], mistakes: list[Change]) -> None:
    card = made(Protocols.T0)
    for mistake in mistakes:
        script = mistake.apply(script) or script
    terminal = Terminal(card)
    host = open_session(terminal, 0x03)  # type: ignore[arg-type] - it has what a session uses of a card
    for command in script:
        assert is_answer(terminal.process(_wrapped(host, command)))
    card.reset()
    assert send(terminal, "00A40400", b"", 256).ok  # type: ignore[arg-type]
    assert send(terminal, "80500000", bytes(8), 256).sw in {0x9000, 0x6985}  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(script=st.sampled_from(SCRIPTS), mistakes=MISTAKES, channel=st.sampled_from([1]), sealed=st.booleans())
def test_on_another_logical_channel(
    script: list[CommandAPDU], mistakes: list[Change], channel: int, sealed: bool
) -> None:
    """Without a session there, every command of a script is refused, and a session on channel 0 is none on 1."""
    card = made()
    if sealed:
        open_session(card, 0x01)
    for mistake in mistakes:
        script = mistake.apply(script) or script
    play(card, script, level=0x01, channel=channel)
    assert not card.platform.registry.instances() and card.platform.life_cycle == 0x01
    check_it_still_opens(card)


@settings(max_examples=100, deadline=None)
@given(script=st.sampled_from(SCRIPTS), at=st.integers(0, 8), cut=st.integers(1, 40), flip=st.integers(0, 7))
def test_a_damaged_seal_ends_the_session(script: list[CommandAPDU], at: int, cut: int, flip: int) -> None:
    """One bit of a secured command changed: it is refused, and so is all that follows; nothing of it is carried out."""
    card = made()
    host = open_session(card, 0x33)
    number = at % len(script)
    for command in script[:number]:
        host.send(command.header.hex(), command.data, command.le)
    before = dict(card.platform.memory.durable())
    raw = bytearray(host.session.wrap(script[number]))
    raw[-1 - cut % 8 - (1 if script[number].le is not None else 0)] ^= 1 << flip
    assert card.process(bytes(raw)) == b"\x69\x82"
    for command in script[number:]:
        assert card.process(host.session.wrap(command))[-2:] == b"\x69\x82"
    assert dict(card.platform.memory.durable()) == before
    check_it_still_opens(card)
