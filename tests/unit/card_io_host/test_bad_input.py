"""What people put in front of the host: one clear error each, nothing secret in it, and the card still usable."""

import logging
import pickle
import traceback
from collections.abc import Callable

import pytest

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.applets.piv import PivSession
from card_io.applets.uec.session import UecSession
from card_io.channel import AfterFailure, SecureChannel, SecurityDomain, SessionRequest
from card_io.errors import AttemptsSpent, CardError, InvalidApdu, InvalidTlv, UnexpectedAnswer, WrongCryptogram
from card_io.globalplatform import InvalidCap
from card_io.keyset import KeySet, SessionKeys
from card_io.secret import Secret
from card_io.status import StatusWordError
from card_io.trace import TracedConnection, TraceEntry
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import CardLost, CardMute, FaultPlan
from tests.support.caps import PACKAGE, cap, components
from tests.support.key_port import TestVault
from tests.unit.card_io_host.test_channel import CHALLENGE, INITIAL, blank, domain, key_set, open_channel

SECRETS = [key.reveal() for key in key_set().in_order()]


class Stranger:
    """A card that belongs to someone else: every command gets the same answer."""

    atr = b"\x3b\x00"

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.count = 0

    def transmit(self, command: bytes) -> bytes:
        self.count += 1
        return self.answer

    def close(self) -> None:
        """Nothing to close."""


class WrongVault:
    """A keeper with the keys of another card."""

    def __init__(self) -> None:
        self.asked = 0

    def session_keys(self, request: SessionRequest) -> SessionKeys:
        self.asked += 1
        return TestVault({INITIAL: key_set(16, 0x55)}).session_keys(request)


UNKNOWN_CARDS = [b"\x6a\x82", b"\x6d\x00", b"\x6e\x00", b"\x69\x85", b"\x6f\x00", b"\x67\x00"]


@pytest.mark.parametrize("answer", UNKNOWN_CARDS, ids=bytes.hex)
def test_an_unknown_card_is_named_by_its_refusal(answer: bytes) -> None:
    openings: list[Callable[[Stranger], object]] = [
        lambda card: SecurityDomain(card).select(),
        lambda card: SecurityDomain(card).cplc(),
        lambda card: SecurityDomain(card).key_information(),
        PivSession,
        lambda card: UecSession(card).select(),
    ]
    for opening in openings:
        with pytest.raises(CardError) as caught:
            opening(Stranger(answer))
        assert len(str(caught.value)) > 10
        assert "\n" not in str(caught.value)


STRANGE_ANSWERS = [
    b"\x90\x00",
    b"\x00\x90\x00",
    b"\x6f\x90\x00",
    b"\x6f\x05\x84\x90\x00",
    b"\x6f\x80\x90\x00",
    bytes(20) + b"\x90\x00",
    b"\xff" * 30 + b"\x90\x00",
]


@pytest.mark.parametrize("answer", STRANGE_ANSWERS, ids=bytes.hex)
def test_a_card_that_answers_nonsense_is_named(answer: bytes) -> None:
    parsers: list[Callable[[SecurityDomain], object]] = [
        SecurityDomain.select,
        SecurityDomain.cplc,
        SecurityDomain.card_data,
    ]
    for parser in parsers:
        with pytest.raises((UnexpectedAnswer, InvalidTlv)):
            parser(SecurityDomain(Stranger(answer)))


@pytest.mark.parametrize("answer", [b"", b"\x90", b"\x00\x00", b"data\x12\x34"], ids=bytes.hex)
def test_an_answer_that_is_none_is_named(answer: bytes) -> None:
    with pytest.raises(InvalidApdu, match="status word"):
        SecurityDomain(Stranger(answer)).select()


def test_with_unknown_keys_one_attempt_and_no_more() -> None:
    card = blank()
    security_domain, vault = domain(card), WrongVault()
    with pytest.raises(WrongCryptogram):
        security_domain.open_channel(vault, level=1, host_challenge=CHALLENGE)
    for _ in range(20):
        with pytest.raises(AttemptsSpent, match="right keys"):
            security_domain.open_channel(vault, level=1, host_challenge=CHALLENGE)
    assert vault.asked == 1
    assert card.platform.keys.tries_left(INITIAL) == 10  # the card never saw a wrong cryptogram
    again = {"level": 1, "host_challenge": CHALLENGE, "after_failure": AfterFailure.TRY_AGAIN}
    with pytest.raises(WrongCryptogram):
        security_domain.open_channel(vault, **again)  # type: ignore[arg-type]
    right = TestVault({INITIAL: key_set()})
    assert security_domain.open_channel(right, **again).send(gp.get_data(gp.TAG_CPLC)).ok  # type: ignore[arg-type]


def test_a_card_whose_tries_are_spent_says_so() -> None:
    card = blank()
    connection = InProcessConnection(card)
    connection.transmit(gp.select(gp.ISD_AID).encode())
    for left in range(9, -1, -1):
        connection.transmit(gp.initialize_update(0, CHALLENGE).encode())
        assert connection.transmit(bytes.fromhex("8482010010") + bytes(16)) in (b"\x69\x82", b"\x63\x00")
        assert card.platform.keys.tries_left(INITIAL) == left
    with pytest.raises(StatusWordError) as caught:
        domain(card).open_channel(TestVault({INITIAL: key_set()}), level=1, host_challenge=CHALLENGE)
    assert caught.value.sw == 0x6983


def test_an_unknown_key_version_is_no_attempt() -> None:
    card = blank()
    security_domain = domain(card)
    vault = TestVault({INITIAL: key_set()})
    with pytest.raises(StatusWordError) as caught:
        security_domain.open_channel(vault, level=1, host_challenge=CHALLENGE, kvn=0x44)
    assert caught.value.sw == 0x6A88
    assert security_domain.open_channel(vault, level=1, host_challenge=CHALLENGE).send(gp.get_data(0x9F7F)).ok


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 17, 32])
def test_a_challenge_of_wrong_size_is_never_sent(size: int) -> None:
    stranger = Stranger(b"\x6a\x82")
    with pytest.raises(CardError):
        SecurityDomain(stranger).open_channel(WrongVault(), level=1, host_challenge=bytes(size))
    assert stranger.count == 0


def busy(card: VirtualCard) -> SecureChannel:
    channel = open_channel(card)
    channel.send(gp.get_data(gp.TAG_CPLC))
    return channel


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        (FaultPlan(remove_at=1), CardLost),
        (FaultPlan(tear_before=1), CardLost),
        (FaultPlan(tear_after=1), CardLost),
        (FaultPlan(mute_at=1), CardMute),
    ],
)
def test_a_card_lost_in_a_channel_is_one_error_and_works_when_it_is_back(
    plan: FaultPlan, error: type[CardError]
) -> None:
    card = blank()
    channel = busy(card)
    card.faults = plan
    with pytest.raises(error) as caught:
        channel.send(gp.get_data(gp.TAG_CPLC))
    assert "put it back" in str(caught.value)
    card.faults = FaultPlan()
    card.put_back()
    assert busy(card).send(gp.get_data(gp.TAG_CPLC)).ok


def test_a_corrupted_answer_closes_the_channel_only() -> None:
    card = blank()
    channel = busy(card)
    card.faults = FaultPlan(corrupt_at=1)
    with pytest.raises(WrongCryptogram, match="read back"):
        channel.send(gp.get_data(gp.TAG_CPLC))
    card.faults = FaultPlan()
    assert busy(card).send(gp.get_data(gp.TAG_CPLC)).ok


@pytest.mark.parametrize("sw", [0x6F00, 0x6581, 0x6A84, 0x6985])
def test_a_wrong_status_in_the_middle_leaves_the_card_usable(sw: int) -> None:
    card = blank()
    channel = busy(card)
    card.faults = FaultPlan(status_at={1: sw})
    with pytest.raises(StatusWordError) as caught:
        channel.send(gp.get_data(gp.TAG_CPLC))
    assert caught.value.sw == sw
    card.faults = FaultPlan()
    assert busy(card).send(gp.get_data(gp.TAG_CPLC)).ok


WHOLE = cap(components(method_size=400))


@pytest.mark.parametrize("keep", [0, 1, 10, len(WHOLE) // 4, len(WHOLE) // 2, len(WHOLE) - 30, len(WHOLE) - 1])
def test_a_truncated_cap_never_reaches_the_card(keep: int) -> None:
    with pytest.raises(InvalidCap) as caught:
        gp.parse_cap(WHOLE[:keep])
    assert "convert the applet again" in str(caught.value)


@pytest.mark.parametrize("name", ["Header", "Directory", "Import", "ConstantPool", "Class", "Method", "RefLocation"])
def test_a_cap_with_a_cut_component_is_named(name: str) -> None:
    parts = components()
    parts[name] = parts[name][:-1]
    with pytest.raises(InvalidCap) as caught:
        gp.parse_cap(cap(parts))
    assert name in caught.value.reason or "directory" in caught.value.reason


def test_a_load_that_breaks_off_leaves_nothing_and_can_be_done_again() -> None:
    card = blank()
    channel = open_channel(card)
    code = gp.parse_cap(WHOLE)
    channel.send(gp.install_for_load(code.package, block_hash=code.block_hash()))
    commands = gp.load(gp.load_file(code.data_block), channel.data_max)
    channel.send(commands[0])
    card.faults = FaultPlan(remove_at=1)
    with pytest.raises(CardLost):
        channel.send(commands[1])
    card.faults = FaultPlan()
    card.put_back()
    again = open_channel(card)
    assert PACKAGE not in [entry.aid for entry in again.registry(gp.Subset.LOAD_FILES)]
    again.load(code)
    assert PACKAGE in [entry.aid for entry in again.registry(gp.Subset.LOAD_FILES)]


def test_code_cut_on_the_way_is_refused_by_the_card() -> None:
    channel = open_channel(blank())
    code = gp.parse_cap(WHOLE)
    channel.send(gp.install_for_load(code.package, block_hash=code.block_hash()))
    commands = gp.load(gp.load_file(code.data_block[:-5]), channel.data_max)
    assert [channel.transmit(command).sw for command in commands][-1] == 0x6A80
    channel.load(code)


def test_code_larger_than_the_chip_is_refused_and_the_card_goes_on() -> None:
    channel = open_channel(blank())
    code = gp.parse_cap(cap(components(method_size=50_000)))
    channel.load(code)
    channel.send(gp.delete(code.package))
    channel.send(gp.install_for_load(code.package))
    size = channel.data_max
    sent = [channel.transmit(CommandAPDU(0x80, 0xE8, 0, number, bytes(size), 256)).sw for number in range(256)]
    refused = channel.transmit(CommandAPDU(0x80, 0xE8, 0, 0, bytes(size), 256)).sw
    assert {*sent, refused} <= {0x9000, 0x6A84, 0x6985}
    channel.load(gp.parse_cap(WHOLE))


def printed(error: BaseException) -> str:
    """Everything a log or a screen could show of an error, local variables' values by their repr included."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(frames.format()) + repr(error) + repr(error.__dict__) + str(error)


def is_shown(secret: bytes, text: str) -> bool:
    return secret.hex() in text.lower() or repr(secret)[2:-1] in text or str(list(secret))[1:-1] in text


def test_no_key_is_in_an_error_even_with_the_locals_of_every_frame() -> None:
    card = blank()
    security_domain = domain(card)
    vault = TestVault({INITIAL: key_set(16, 0x55)})
    with pytest.raises(WrongCryptogram) as caught:
        security_domain.open_channel(vault, level=1, host_challenge=CHALLENGE)
    text = printed(caught.value)
    for key in key_set(16, 0x55).in_order():
        assert not is_shown(key.reveal(), text)
    request = vault.asked[0]
    session = vault.session_keys(request)
    for session_key in (session.enc, session.mac, session.rmac):
        assert not is_shown(session_key.reveal(), text)


@pytest.mark.parametrize(
    "thing",
    [
        key_set(),
        SessionKeys(*(Secret(secret) for secret in SECRETS)),
        Secret(SECRETS[0]),
        [Secret(SECRETS[0])],
        {"pin": Secret(b"123456")},
        TestVault({1: key_set()}),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_things_that_hold_keys_print_none(thing: object) -> None:
    logged = logging.makeLogRecord({"msg": "%r %s", "args": (thing, thing)}).getMessage()
    for text in (repr(thing), str(thing), f"{thing}", logged):
        assert "***" in text
        assert not any(is_shown(secret, text) for secret in [*SECRETS, b"123456"])


@pytest.mark.parametrize("thing", [key_set(), Secret(b"1"), SessionKeys(*(Secret(secret) for secret in SECRETS))])
def test_keys_do_not_leave_by_pickle(thing: object) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(thing)


def test_a_whole_session_can_be_traced_and_shown_to_anyone() -> None:
    """Keys put on the card, PINs and the data of a person: none of it, in clear or enciphered, is in the log."""
    lines: list[TraceEntry] = []
    card = blank()
    traced = TracedConnection(InProcessConnection(card), lines.append)
    security_domain = SecurityDomain(traced)
    security_domain.select()
    channel = security_domain.open_channel(TestVault({INITIAL: key_set()}), level=0x01, host_challenge=CHALLENGE)
    pin, person = b"\x31\x32\x33\x34\x35\x36", "Иванов Иван".encode()
    channel.transmit(CommandAPDU(0x80, 0xE2, 0x80, 0, person))
    channel.transmit(CommandAPDU(0x00, 0x20, 0x00, 0x80, pin))
    channel.transmit(CommandAPDU(0x80, 0xD8, 0x00, 0x81, b"\x31" + SECRETS[0]))
    traced.transmit(CommandAPDU(0x00, 0x24, 0x00, 0x80, pin * 2).encode())
    traced.transmit(CommandAPDU(0x00, 0x2C, 0x00, 0x80, pin * 2).encode())
    text = "\n".join(str(line) for line in lines)
    for secret in (pin, person, *SECRETS):
        assert secret.hex().upper() not in text
    assert text.count("***") >= 5
    assert "80 50 00 00" in text  # INITIALIZE UPDATE is there for whoever looks for the fault
    assert len(lines) == 8
    assert lines[0].sw == 0x9000


@pytest.mark.parametrize("keys", [KeySet(*(Secret(bytes(16)) for _ in range(3)))])
def test_keys_compare_without_being_shown(keys: KeySet) -> None:
    assert keys == KeySet(*(Secret(bytes(16)) for _ in range(3)))
    assert keys != key_set()
