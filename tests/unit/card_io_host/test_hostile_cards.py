"""Cards that lie: whatever they answer, every question of the host ends, with an answer or with one error of ours."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from card_io import globalplatform as gp
from card_io import tlv
from card_io.applets.piv import (
    AdminAlgorithm,
    KeyAlgorithm,
    ObjectId,
    PivSession,
    Slot,
    parse_certificate,
    parse_chuid,
    parse_discovery,
    parse_key_history,
)
from card_io.applets.uec.layout import Fid, PinRef
from card_io.applets.uec.session import UecSession
from card_io.channel import SecureChannel, SecurityDomain
from card_io.connection import ROUNDS_MAX, Connection, LogicalChannel, send
from card_io.errors import CardError, UnexpectedAnswer
from card_io.secret import Secret
from card_io.survey import survey
from card_io.virtual.connection import InProcessConnection
from tests.support.key_port import TestVault
from tests.unit.card_io_host.test_channel import CHALLENGE, INITIAL, blank, key_set

PIN = Secret(b"123456")
COMMANDS_MAX = 20 * (ROUNDS_MAX + 2)
"""No question may cost more: a survey asks a score of times, and follows each answer so far."""


class Hostile:
    """A card that answers from a list, its last answer for ever after; it counts what it was asked."""

    atr = b"\x3b\x00"

    def __init__(self, *answers: bytes) -> None:
        self._answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.asked = 0

    def transmit(self, command: bytes) -> bytes:
        self.asked += 1
        assert self.asked <= COMMANDS_MAX, "the host never gives up"
        return next(self._answers)

    def close(self) -> None:
        """Nothing to let go."""


class NoKeys:
    """A keeper that a hostile card never gets to."""

    def session_keys(self, request: object) -> object:
        raise CardError("no keys for this card")


def of_piv(ask: Callable[[PivSession], object]) -> Callable[[Connection], object]:
    """A question to a PIV applet that was selected well."""
    selected = tlv.encode(0x61, tlv.encode(0x4F, b"\x00\x00\x10\x00")) + b"\x90\x00"

    def question(card: Connection) -> object:
        session = PivSession(Hostile(selected))
        session._connection = card
        return ask(session)

    return question


def domain(ask: Callable[[SecurityDomain], object]) -> Callable[[Connection], object]:
    return lambda card: ask(SecurityDomain(card))


def uec(ask: Callable[[UecSession], object]) -> Callable[[Connection], object]:
    return lambda card: ask(UecSession(card))


QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "survey": survey,
    "select": domain(SecurityDomain.select),
    "select issuer": domain(SecurityDomain.select_issuer),
    "cplc": domain(SecurityDomain.cplc),
    "keys": domain(SecurityDomain.key_information),
    "card data": domain(SecurityDomain.card_data),
    "channel": domain(lambda d: d.open_channel(NoKeys(), level=1, host_challenge=bytes(8))),  # type: ignore[arg-type]
    "logical channel": LogicalChannel.open,
    "uec select": uec(UecSession.select),
    "uec state": uec(UecSession.applet_state),
    "uec pins": uec(UecSession.pins),
    "uec keys": uec(UecSession.keys),
    "uec file": uec(lambda session: session.read_file(Fid.DG1)),
    "uec verify": uec(lambda session: session.verify_pin(PinRef.PIN1, PIN)),
    "uec sign": uec(lambda session: session.sign(1, bytes(32))),
    "uec agree": uec(lambda session: session.agree(3, b"\x04" + bytes(64))),
    "uec public key": uec(lambda session: session.public_key(1)),
    "piv select": PivSession,
    "piv tries": of_piv(PivSession.pin_tries_left),
    "piv verify": of_piv(lambda session: session.verify_pin(PIN)),
    "piv admin": of_piv(lambda s: s.authenticate_admin(Secret(bytes(24)), AdminAlgorithm.TDES, bytes(8))),
    "piv generate": of_piv(lambda s: s.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256)),
    "piv generate RSA": of_piv(lambda s: s.generate_key(Slot.AUTHENTICATION, KeyAlgorithm.RSA_2048)),
    "piv sign": of_piv(lambda s: s.sign(Slot.AUTHENTICATION, KeyAlgorithm.ECC_P256, bytes(32))),
    "piv attest": of_piv(lambda session: session.attest(Slot.AUTHENTICATION)),
    "piv object": of_piv(lambda session: session.get_object(ObjectId.CHUID)),
    "piv put": of_piv(lambda session: session.put_object(ObjectId.CHUID, bytes(3000))),
    "piv certificate": of_piv(lambda session: session.certificate(Slot.AUTHENTICATION)),
}
PARSERS: tuple[Callable[[bytes], object], ...] = (
    gp.parse_fci,
    gp.parse_cplc,
    gp.parse_key_information,
    gp.parse_card_data,
    gp.parse_registry,
    *(lambda data, subset=subset: gp.parse_lines(data, subset) for subset in gp.Subset),
    parse_certificate,
    parse_chuid,
    parse_discovery,
    parse_key_history,
)


@st.composite
def objects(draw: st.DrawFn, depth: int = 3) -> bytes:
    """Data objects that nearly make sense: known tags, nested, now and then with a wrong length."""
    tags = [
        0x6F,
        0x84,
        0xA5,
        0x61,
        0x4F,
        0x50,
        0xAC,
        0x53,
        0x70,
        0x71,
        0xE0,
        0xC0,
        0xE3,
        0x9F70,
        0xC5,
        0x66,
        0x73,
        0x64,
    ]
    tags += [
        0x60,
        0x06,
        0x7F49,
        0x86,
        0x81,
        0x82,
        0x62,
        0x80,
        0x9F7F,
        0x7C,
        0x30,
        0x34,
        0x35,
        0x3E,
        0xC1,
        0xC2,
        0xF3,
        0x7E,
    ]
    parts: list[bytes] = []
    for _ in range(draw(st.integers(0, 4))):
        inner = draw(objects(depth - 1)) if depth and draw(st.booleans()) else draw(st.binary(max_size=24))
        item = tlv.encode(draw(st.sampled_from(tags)), inner)
        parts.append(item if draw(st.integers(0, 7)) else item[: draw(st.integers(0, len(item)))])
    return b"".join(parts)


STATUS = st.sampled_from(
    [0x9000, 0x9000, 0x9000, 0x6100, 0x6110, 0x6C08, 0x6310, 0x6283, 0x63C2, 0x6A82, 0x6982, 0x6300]
)
ANSWERS = st.lists(
    st.one_of(
        st.builds(lambda data, sw: data + sw.to_bytes(2, "big"), objects(), STATUS),
        st.builds(lambda data, sw: data + sw.to_bytes(2, "big"), st.binary(max_size=300), STATUS),
        st.binary(max_size=3),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("name", QUESTIONS)
@settings(max_examples=40)
@given(answers=ANSWERS)
def test_every_question_ends(name: str, answers: list[bytes]) -> None:
    """The last answer goes on for ever; a long one of 61XX costs at most what is followed."""
    card = Hostile(*answers, b"\x6f\x00")
    try:
        QUESTIONS[name](card)
    except CardError as error:
        assert str(error) and "\n" not in str(error)
    assert card.asked < 200


@given(data=st.one_of(objects(), st.binary(max_size=400)))
def test_every_parser_names_what_it_cannot_read(data: bytes) -> None:
    for parse in PARSERS:
        try:
            parse(data)
        except CardError as error:
            assert str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    "endless",
    ["6100", "616100", "AA6101", "AA" * 256 + "6100", "6C00", "6C6C", "AA6C01", "6310", "9F009000", "FF" * 40 + "9000"],
)
@pytest.mark.parametrize("name", QUESTIONS)
def test_the_same_answer_for_ever(name: str, endless: str) -> None:
    """Endless 61XX and 6CXX, endless data, endless warnings."""
    try:
        QUESTIONS[name](Hostile(bytes.fromhex(endless)))
    except CardError as error:
        assert str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("size", "more"), [(b"\xff" * 8, b""), (b"\x01\x00\x00", b""), (b"\x80\x00", b""), (b"\x7f\xff", b"\xaa" * 16)]
)
def test_a_file_of_no_possible_size(size: bytes, more: bytes) -> None:
    """The card tells a size that no file has, or ends the file early."""
    told = tlv.encode(0x62, tlv.encode(0x80, size)) + b"\x90\x00"
    card = Hostile(told, *([more + b"\x90\x00"] if more else []), b"\x90\x00")
    with pytest.raises(UnexpectedAnswer):
        UecSession(card).read_file(Fid.DG1)
    assert card.asked <= 3


@pytest.mark.parametrize("line", ["09030300", "00030300"])
def test_a_pin_that_the_layout_does_not_have(line: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="code that this layout does not know"):
        UecSession(Hostile(bytes.fromhex(line + "9000"))).pins()


@pytest.mark.parametrize("line", ["01090101", "01010901", "010101FF"])
def test_a_key_that_the_layout_does_not_have(line: str) -> None:
    card = Hostile(bytes.fromhex(line + "9000"))
    try:
        assert UecSession(card).keys()
    except UnexpectedAnswer as error:
        assert "code that this layout does not know" in str(error)


ENTRY = tlv.encode(0xE3, tlv.encode(0x4F, bytes(5)) + tlv.encode(0x9F70, b"\x07"))


class Meddler(InProcessConnection):
    """A card whose answers to GET STATUS (in a channel with C-MAC alone) someone writes himself."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        super().__init__(blank())
        self._write = answer
        self.asked = 0

    def transmit(self, command: bytes) -> bytes:
        answer = super().transmit(command)
        if command[1] != 0xF2:
            return answer
        self.asked += 1
        return self._write(command[3]) or answer


def opened(card: Meddler) -> SecureChannel:
    security_domain = SecurityDomain(card)
    security_domain.select()
    return security_domain.open_channel(TestVault({INITIAL: key_set()}), level=0x01, host_challenge=CHALLENGE)


def test_a_registry_without_end_is_given_up() -> None:
    card = Meddler(lambda p2: ENTRY * 6 + b"\x63\x10")
    with pytest.raises(UnexpectedAnswer, match="more registry entries"):
        opened(card).registry(gp.Subset.APPLETS)
    assert 600 < card.asked < 800


@pytest.mark.parametrize("subset", gp.Subset)
def test_a_card_that_knows_no_templates_is_asked_for_lines(subset: gp.Subset) -> None:
    """As chips before GlobalPlatform 2.2 answer; the virtual card knows both forms, and both tell the same."""
    card = Meddler(lambda p2: b"\x6a\x86" if p2 & 0x02 else b"")
    lines = opened(card).registry(subset)
    templates = opened(Meddler(lambda p2: b"")).registry(subset)
    assert [(one.aid, one.life_cycle) for one in lines] == [(one.aid, one.life_cycle) for one in templates]
    if subset is gp.Subset.LOAD_FILES_AND_MODULES:
        assert [one.modules for one in lines] == [one.modules for one in templates] != [()]
    assert card.asked == 2


def test_a_card_that_refuses_both_forms_is_told_once() -> None:
    card = Meddler(lambda p2: b"\x6a\x86")
    with pytest.raises(CardError, match="6A86"):
        opened(card).registry(gp.Subset.APPLETS)
    assert card.asked == 2


@pytest.mark.parametrize(
    "line", ["08A000", "", "05A0000000010", "05A00000000107", "05A000000001070003", "05A0000000010700010"]
)
def test_lines_that_are_cut_short(line: str) -> None:
    data = bytes.fromhex(line if len(line) % 2 == 0 else line + "8")
    if not data:
        assert gp.parse_lines(data, gp.Subset.APPLETS) == []
        return
    with pytest.raises(UnexpectedAnswer):
        gp.parse_lines(data, gp.Subset.LOAD_FILES_AND_MODULES)


def test_an_answer_in_single_bytes_is_followed_and_has_an_end() -> None:
    card = Hostile(b"\xaa\x61\x01")
    with pytest.raises(UnexpectedAnswer, match="never ends its answer"):
        send(card, gp.get_data(0x9F7F))
    assert card.asked == ROUNDS_MAX + 2
