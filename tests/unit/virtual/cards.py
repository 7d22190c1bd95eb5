"""Virtual cards for tests: blanks with known keys, a host session over SCP03, and a small personalisation of `uec`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from card_io import keyset, scp03
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.applets.uec import layout, personalisation
from card_io.applets.uec.layout import Fid, PinRef
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.keysets import TYPE_AES, KeySet

KEYS = (bytes(range(0x40, 0x50)), bytes(range(0x50, 0x60)), bytes(range(0x60, 0x70)))
HOST_CHALLENGE = bytes(range(0xA0, 0xB0))
PINS = {PinRef.PIN1: b"1234", PinRef.PIN2: b"123456", PinRef.KRP: b"87654321"}
CONTENT = {Fid.DIR: b"directory", Fid.OD: b"objects", Fid.DG1: b"card" * 10, Fid.DG2: b"person" * 100}


def aes_keys(version: int = 0xFF, keys: tuple[bytes, bytes, bytes] = KEYS) -> KeySet:
    return KeySet(*(Secret(item) for item in keys), version=version, key_type=TYPE_AES)


def blank(seed: bytes = b"seed", *, i: int = 0x70, keys: KeySet | None = None) -> VirtualCard:
    """A blank under power."""
    card = VirtualCard.blank(seed, initial_keys=keys or aes_keys(), scp03_i=i)
    card.power_on()
    return card


def send(card: VirtualCard, header: str, data: bytes = b"", le: int | None = None) -> ResponseAPDU:
    """One command in clear; `header` is CLA INS P1 P2 in hex."""
    raw = bytes.fromhex(header)
    return ResponseAPDU.decode(card.process(CommandAPDU(*raw, data, le).encode()))


@dataclass
class HostSession:
    """A channel opened by the project's own host."""

    card: VirtualCard
    session: scp03.Scp03Session
    answers: list[ResponseAPDU] = field(default_factory=list)

    def send(self, header: str, data: bytes = b"", le: int | None = None) -> ResponseAPDU:
        command = CommandAPDU(*bytes.fromhex(header), data, le)
        answer = self.card.process(self.session.wrap(command))
        while answer[-2] == 0x61:  # a long answer is protected as a whole, and fetched in clear
            answer = answer[:-2] + self.card.process(bytes([0x00, 0xC0, 0x00, 0x00, answer[-1]]))
        self.answers.append(ResponseAPDU.decode(self.session.unwrap(answer)))
        return self.answers[-1]


def open_session(
    card: VirtualCard, level: int = 0x33, *, keys: tuple[bytes, bytes, bytes] = KEYS, kvn: int = 0
) -> HostSession:
    """Select the security domain and open SCP03."""
    assert send(card, "00A40400", bytes.fromhex("A000000151000000"), 256).ok
    return authenticate(card, level, keys=keys, kvn=kvn)


def authenticate(
    card: VirtualCard, level: int, *, keys: tuple[bytes, bytes, bytes] = KEYS, kvn: int = 0
) -> HostSession:
    """Open SCP03 with the selected security domain."""
    size = 16 if card.platform.scp03_i & 1 else 8
    host_challenge = HOST_CHALLENGE[:size]
    answer = send(card, f"8050{kvn:02X}00", host_challenge, 256)
    assert answer.ok, hex(answer.sw)
    parsed = scp03.parse_initialize_update(answer.data)
    static = keyset.KeySet(*(Secret(item) for item in keys))
    session_keys = scp03.derive_session_keys(static, host_challenge, parsed.card_challenge, size)
    session = scp03.Scp03Session(session_keys, level, host_challenge=host_challenge, card=parsed)
    assert card.process(session.external_authenticate()) == b"\x90\x00"
    return HostSession(card, session)


def install_uec(host: HostSession) -> None:
    """INSTALL [for install and make selectable] of the uec applet."""
    fields = (layout.PACKAGE_AID, layout.MODULE_AID, layout.APPLET_AID, b"\x04", b"\xc9\x00", b"")
    assert host.send("80E60C00", _fields(*fields)).ok


def begin_personalisation(host: HostSession) -> ResponseAPDU:
    """INSTALL [for personalization] of the uec applet."""
    return host.send("80E62000", _fields(b"", b"", layout.APPLET_AID, b"", b"", b""))


def _fields(*values: bytes) -> bytes:
    return b"".join(bytes([len(item)]) + item for item in values)


def personalise(card: VirtualCard, *, transport: bool = False, finish: bool = True) -> dict[int, bytes]:
    """Install and write the applet as the specification says; the generated public keys (7F49) by slot."""
    host = open_session(card)
    install_uec(host)
    assert begin_personalisation(host).ok
    public: dict[int, bytes] = {}
    number = 0
    for spec in personalisation.DEFAULT_KEYS:
        answer = host.send(f"80E209{number:02X}", personalisation.generate_key(spec), 256)
        assert answer.ok, hex(answer.sw)
        public[spec.slot] = answer.data
        number += 1
    blocks = personalisation.pack(
        list(_content()) + list(_pins(transport)) + ([personalisation.finish()] if finish else [])
    )
    for at, block in enumerate(blocks):
        p1 = 0x08 | (0x80 if at == len(blocks) - 1 else 0)
        answer = host.send(f"80E2{p1:02X}{number + at:02X}", block)
        assert answer.ok, hex(answer.sw)
    return public


def _content() -> Iterator[bytes]:
    yield personalisation.create_file(Fid.CIA, 0)
    yield personalisation.create_file(Fid.UEC, 0)
    for fid, content in CONTENT.items():
        yield personalisation.create_file(fid, len(content))
        yield from personalisation.write_file(fid, content)


def _pins(transport: bool) -> Iterator[bytes]:
    for spec in personalisation.DEFAULT_PINS:
        flags = spec.flags if transport else layout.PinFlag.NONE
        plain = personalisation.PinSpec(spec.ref, spec.tries, spec.least, spec.greatest, spec.unblocked_by, flags)
        yield personalisation.set_pin(plain, Secret(PINS[spec.ref]))


def finished(seed: bytes = b"seed", *, transport: bool = False) -> VirtualCard:
    """A personalised card, just reset, the applet selected."""
    card = blank(seed)
    personalise(card, transport=transport)
    card.reset()
    return card


@contextmanager
def selected(card: VirtualCard) -> Iterator[VirtualCard]:
    """The card with the applet selected by its own name."""
    assert send(card, "00A4040C", layout.APPLET_AID).ok
    yield card
