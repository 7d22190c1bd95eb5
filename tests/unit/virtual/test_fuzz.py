"""Any bytes at all get a status word, in whatever state the card is, and the card goes on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.virtual.card import VirtualCard
from tests.unit.virtual.cards import aes_keys, begin_personalisation, blank, finished, install_uec, open_session, send
from tests.unit.virtual.test_piv import manage

INSTRUCTIONS = st.sampled_from(list(bytes.fromhex("A4B0D620242C222A88844746CACB5082E2E4E6E8F0F2D870C07A7887")))
PARAMETERS = st.one_of(
    st.sampled_from(
        [0x00, 0x01, 0x02, 0x03, 0x04, 0x08, 0x0C, 0x20, 0x40, 0x41, 0x80, 0x81, 0x9A, 0x9E, 0xB6, 0xDF, 0xFF]
    ),
    st.integers(0, 255),
)
KNOWN = st.sampled_from(
    [layout.APPLET_AID, layout.ISOAPPLET_AID, bytes.fromhex("A000000151000000"), b"\x4f\x00", bytes.fromhex("55000102")]
)
DATA = st.one_of(st.binary(max_size=64), KNOWN, st.binary(max_size=300))
LE = st.one_of(st.none(), st.sampled_from([1, 255, 256, 65536]))
CLASSES = st.sampled_from([0x00, 0x80, 0x84, 0x10, 0x01, 0x0C, 0x90])
COMMANDS = st.builds(CommandAPDU, CLASSES, INSTRUCTIONS, PARAMETERS, PARAMETERS, DATA, LE)


def is_answer(answer: bytes) -> bool:
    return len(answer) >= 2 and answer[-2] & 0xF0 in {0x60, 0x90} and answer[-2] != 0x60


def still_alive(card: VirtualCard) -> bool:
    card.reset()
    return send(card, "00A40400", bytes.fromhex("A000000151000000"), 256).sw in {0x9000, 0x6283}


@settings(max_examples=300, deadline=None)
@given(raw=st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    card = finished()
    assert is_answer(card.process(raw))
    assert still_alive(card)


@settings(max_examples=200, deadline=None)
@given(commands=st.lists(COMMANDS, max_size=12))
def test_any_commands_in_clear(commands: list[CommandAPDU]) -> None:
    card = finished()
    for command in commands:
        assert is_answer(card.process(command.encode()))
    assert still_alive(card)


SHORT_DATA = st.one_of(st.binary(max_size=200), KNOWN)
SHORT = st.builds(
    CommandAPDU, st.just(0x80), INSTRUCTIONS, PARAMETERS, PARAMETERS, SHORT_DATA, st.sampled_from([None, 256])
)


@settings(max_examples=200, deadline=None)
@given(commands=st.lists(SHORT, max_size=12))
def test_any_commands_in_a_secure_session(commands: list[CommandAPDU]) -> None:
    card = blank()
    host = open_session(card, 0x03)
    for command in commands:
        assert is_answer(card.process(host.session.wrap(command)))
    assert still_alive(card)


@settings(max_examples=200, deadline=None)
@given(blocks=st.lists(st.tuples(st.sampled_from([0x0E01, 0x0E02, 0x0E03, 0x0E04, 0x0E05, 0x0E06]), DATA), max_size=6))
def test_any_personalisation(blocks: list[tuple[int, bytes]]) -> None:
    card = blank()
    host = open_session(card, 0x03)
    install_uec(host)
    assert begin_personalisation(host).ok
    for number, (dgi, data) in enumerate(blocks):
        block = dgi.to_bytes(2, "big") + bytes([min(len(data), 200)]) + data[:200]
        answer = host.send(f"80E209{number:02X}" if dgi == 0x0E03 else f"80E208{number:02X}", block, 256)
        assert is_answer(answer.encode())
    assert still_alive(card)


PIV_INSTRUCTIONS = st.sampled_from(list(bytes.fromhex("A420242C4787CBDBFF")))
PIV_PARAMETERS = st.one_of(
    st.sampled_from(list(bytes.fromhex("00033F7F8081829A9B9C9D9EFF0711140408"))), st.integers(0, 255)
)
PIV_DATA = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [bytes.fromhex(item) for item in ("5C035FC105", "5C017E", "7C028000", "7C028100", "AC03800111", "7C0482008100")]
    ),
    st.builds(bytes.__add__, st.just(bytes.fromhex("5C035FC105")), st.binary(max_size=20)),
)
PIV_COMMANDS = st.builds(CommandAPDU, CLASSES, PIV_INSTRUCTIONS, PIV_PARAMETERS, PIV_PARAMETERS, PIV_DATA, LE)


@settings(max_examples=200, deadline=None)
@given(commands=st.lists(PIV_COMMANDS, max_size=12), managed=st.booleans())
def test_any_commands_to_a_piv_card(commands: list[CommandAPDU], managed: bool) -> None:
    card = VirtualCard.blank(b"piv", initial_keys=aes_keys(), profile="piv")
    card.power_on()
    if managed:
        assert manage(card) == 0x9000
        send(card, "00200080", b"123456\xff\xff")
    for command in commands:
        assert is_answer(card.process(command.encode()))
    assert still_alive(card)
