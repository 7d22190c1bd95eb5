"""R-MAC sessions inside a channel: BEGIN, END, what they protect, and what either side refuses."""

from dataclasses import dataclass, field

import pytest

from card_io import globalplatform as gp
from card_io import scp02, scp03
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.channel import SecureChannel, SessionRequest
from card_io.ciphers import aes_cmac, mac_des_des3
from card_io.errors import InvalidApdu, SecureChannelError, WrongCryptogram
from card_io.keyset import SessionKeys
from card_io.secret import Secret
from card_io.status import StatusWordError
from card_io.virtual import keysets
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from tests.support.key_port import TestVault
from tests.unit.card_io_host.test_channel import CHALLENGE, INITIAL, blank, domain, key_set

CPLC = gp.get_data(gp.TAG_CPLC)
UNKNOWN = gp.get_data(0x5F5E)


@dataclass
class Wire:
    """A connection that keeps what went over it."""

    inner: InProcessConnection
    log: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def atr(self) -> bytes:
        return self.inner.atr

    def transmit(self, command: bytes) -> bytes:
        answer = self.inner.transmit(command)
        self.log.append((command, answer))
        return answer

    def close(self) -> None:
        self.inner.close()


def scp03_channel(level: int, i: int = 0x70) -> tuple[SecureChannel, Wire, SessionKeys]:
    card = blank(i3=i)
    wire = Wire(InProcessConnection(card))
    security_domain = domain(card)
    security_domain.connection = wire
    vault = TestVault({INITIAL: key_set()})
    channel = security_domain.open_channel(vault, level=level, host_challenge=CHALLENGE)
    return channel, wire, vault.session_keys(vault.asked[0])


def scp02_channel(level: int, i: int = 0x75) -> tuple[SecureChannel, Wire, Secret]:
    """The channel, its wire, and the R-MAC key of the counter as it is once the channel is open."""
    card = blank(key_type=keysets.TYPE_DES, i2=i)
    wire = Wire(InProcessConnection(card))
    security_domain = domain(card)
    security_domain.connection = wire
    vault = TestVault({INITIAL: key_set()})
    channel = security_domain.open_channel(vault, level=level, host_challenge=CHALLENGE, option=i)
    counter = scp02.parse_initialize_update(vault.asked[0].initialize_update).sequence_counter
    return channel, wire, scp02.derive_session_keys(key_set(), counter + 1).rmac


@pytest.mark.parametrize(
    ("level", "added", "after"),
    [(0x01, 0x10, 0x11), (0x03, 0x10, 0x13), (0x03, 0x30, 0x33), (0x13, 0x30, 0x33)],
)
def test_scp03_answers_are_protected_from_begin_to_end(level: int, added: int, after: int) -> None:
    channel, wire, _ = scp03_channel(level)
    plain = channel.send(CPLC).data
    channel.begin_r_mac(added, b"challenge")
    assert channel._session.answer_level == after  # type: ignore[union-attr]
    for _ in range(3):
        assert channel.send(CPLC).data == plain
        answer = wire.log[-1][1]
        assert len(answer) == (48 if after & 0x20 else 45) + 8 + 2
        assert (plain in answer) == (not after & 0x20)
        assert channel.transmit(UNKNOWN).sw == 0x6A88
    channel.end_r_mac()
    assert channel._session.answer_level == level  # type: ignore[union-attr]
    assert channel.send(CPLC).data == plain
    assert len(wire.log[-1][1]) == (45 + 8 + 2 if level & 0x10 else 47)


def test_scp03_the_answer_of_begin_is_not_yet_protected_and_that_of_end_still_is() -> None:
    channel, wire, keys = scp03_channel(0x01)
    channel.begin_r_mac(0x10, b"\x01\x02")
    command, answer = wire.log[-1]
    assert command[:5] == bytes.fromhex("847A10010B")
    assert command[5:8] == b"\x02\x01\x02"
    assert answer == b"\x90\x00"
    channel.end_r_mac()
    command, answer = wire.log[-1]
    assert command[:5] == bytes.fromhex("8478000308")
    # The chaining value is the whole CMAC of the command, of which eight bytes were sent (6.2.5).
    chaining = b"" + bytes(16)
    for sent, _ in wire.log:
        if sent[1] in (0x50, 0xA4):
            continue
        body = sent[: 5 + sent[4] - 8]
        chaining = aes_cmac(keys.mac.reveal(), chaining + body)
        assert sent[5 + sent[4] - 8 : 5 + sent[4]] == chaining[:8]
    assert answer == aes_cmac(keys.rmac.reveal(), chaining + b"\x90\x00")[:8] + b"\x90\x00"


@pytest.mark.parametrize(
    ("level", "added"),
    [(0x00, 0x10), (0x01, 0x30), (0x11, 0x10), (0x13, 0x10), (0x33, 0x10), (0x33, 0x30), (0x03, 0x20), (0x03, 0x00)],
)
def test_scp03_what_adds_nothing_or_cannot_be_is_refused_before_it_is_sent(level: int, added: int) -> None:
    channel, wire, _ = scp03_channel(level)
    count = len(wire.log)
    with pytest.raises(SecureChannelError, match="level"):
        channel.begin_r_mac(added)
    assert len(wire.log) == count
    assert channel.send(CPLC).ok


@pytest.mark.parametrize(("i", "level", "added"), [(0x00, 0x01, 0x10), (0x20, 0x03, 0x30)])
def test_scp03_a_card_without_the_option_is_not_asked(i: int, level: int, added: int) -> None:
    channel, _, _ = scp03_channel(level, i)
    with pytest.raises(SecureChannelError, match="card with i="):
        channel.begin_r_mac(added)


@pytest.mark.parametrize(
    ("level", "command", "sw"),
    [
        (0x01, "807A30010100", 0x6985),  # R-ENCRYPTION needs C-DECRYPTION
        (0x11, "807A10010100", 0x6985),  # answers have an R-MAC already
        (0x33, "807A30010100", 0x6985),
        (0x33, "807A10010100", 0x6985),
        (0x03, "807A20010100", 0x6A86),
        (0x03, "807A10000100", 0x6A86),
        (0x03, "807A1001020000", 0x6A80),
        (0x03, "807A10011A19" + "00" * 25, 0x6A80),
        (0x03, "8078000300", 0x6985),  # no R-MAC session to end
        (0x03, "8078000100", 0x6A86),
        (0x03, "8078010300", 0x6A86),
    ],
)
def test_scp03_the_card_refuses_and_keeps_the_channel(level: int, command: str, sw: int) -> None:
    channel, _, _ = scp03_channel(level)
    assert channel.transmit(CommandAPDU.decode(bytes.fromhex(command))).sw == sw
    assert channel.send(CPLC).ok


def test_scp03_a_refused_begin_changes_nothing() -> None:
    channel, wire, _ = scp03_channel(0x03)
    session = channel._session
    assert isinstance(session, scp03.Scp03Session)
    wrapped = session.begin_r_mac(0x10)
    assert session.unwrap(b"\x69\x85") == b"\x69\x85"
    assert session.answer_level == 0x03
    assert wrapped[:4] == bytes.fromhex("847A1001")
    assert session.pending == 0
    assert len(wire.log) == 2


def test_scp03_commands_can_be_wrapped_ahead_through_the_whole_session() -> None:
    channel, wire, _ = scp03_channel(0x03)
    session = channel._session
    assert isinstance(session, scp03.Scp03Session)
    ahead = [session.begin_r_mac(0x30), session.wrap(CPLC), session.wrap(UNKNOWN), session.end_r_mac()]
    ahead += [session.wrap(CPLC)]
    answers = [wire.transmit(raw) for raw in ahead]
    plain = [session.unwrap(answer) for answer in answers]
    assert [item[-2:].hex() for item in plain] == ["9000", "9000", "6a88", "9000", "9000"]
    assert plain[1] == plain[4]
    assert len(answers[1]) > len(plain[1])
    assert len(answers[4]) == len(plain[4])
    assert session.pending == 0


@pytest.mark.parametrize("position", [0, 44, 50])
def test_scp03_an_altered_answer_in_the_session_closes_the_channel(position: int) -> None:
    channel, wire, _ = scp03_channel(0x01)
    channel.begin_r_mac()
    session = channel._session
    answer = bytearray(wire.transmit(session.wrap(CPLC)))
    answer[position] ^= 1
    with pytest.raises(WrongCryptogram):
        session.unwrap(bytes(answer))
    with pytest.raises(SecureChannelError, match="closed"):
        channel.send(CPLC)


def test_the_data_of_begin_have_their_limit() -> None:
    channel, _, _ = scp03_channel(0x03)
    with pytest.raises(InvalidApdu, match="24"):
        channel.begin_r_mac(0x10, bytes(25))
    channel.begin_r_mac(0x10, bytes(24))
    assert channel.send(CPLC).ok


@pytest.mark.parametrize("level", [0x00, 0x01, 0x03])
def test_scp02_answers_carry_an_r_mac_from_begin_to_end(level: int) -> None:
    channel, wire, key = scp02_channel(level)
    plain = channel.send(CPLC).data
    channel.begin_r_mac(data=b"challenge", r_mac_key=key)
    assert wire.log[-1][1] == b"\x90\x00"
    for _ in range(2):
        assert channel.send(CPLC).data == plain
        assert len(wire.log[-1][1]) == 45 + 8 + 2
        assert channel.transmit(UNKNOWN).sw == 0x6A88
    session = channel._session
    assert isinstance(session, scp02.Scp02Session)
    so_far = wire.transmit(session.read_r_mac())
    assert len(so_far) == 10
    assert session.unwrap(so_far) == b"\x90\x00"
    assert channel.send(CPLC).data == plain
    channel.end_r_mac()
    assert channel.send(CPLC).data == plain
    assert len(wire.log[-1][1]) == 47


def test_scp02_the_first_r_mac_begins_with_the_mac_of_external_authenticate() -> None:
    """E.3.2 and E.4.5 computed here by hand: vector, key, and the BEGIN pair in the chain."""
    channel, wire, key = scp02_channel(0x01)
    authentication = next(sent for sent, _ in wire.log if sent[1] == 0x82)
    channel.begin_r_mac(data=b"\xaa\xbb", r_mac_key=key)
    chain = mac_des_des3(key.reveal(), bytes.fromhex("807A10010302AABB009000"), authentication[-8:])
    data = channel.send(CPLC).data
    expected = mac_des_des3(key.reveal(), bytes.fromhex("80CA9F7F00") + bytes([len(data)]) + data + b"\x90\x00", chain)
    assert wire.log[-1][1] == data + expected + b"\x90\x00"


def test_scp02_another_r_mac_key_is_noticed() -> None:
    channel, _, _ = scp02_channel(0x01)
    channel.begin_r_mac(r_mac_key=Secret(bytes(range(16))))
    with pytest.raises(WrongCryptogram):
        channel.send(CPLC)


def test_scp02_wants_its_key_and_the_option() -> None:
    channel, _, _ = scp02_channel(0x01)
    with pytest.raises(SecureChannelError, match="key"):
        channel.begin_r_mac()
    without, _, key = scp02_channel(0x01, 0x55)
    with pytest.raises(SecureChannelError, match="i=55"):
        without.begin_r_mac(r_mac_key=key)
    secured, _, key = scp02_channel(0x11)
    with pytest.raises(SecureChannelError, match="until this channel ends"):
        secured.begin_r_mac(r_mac_key=key)


@pytest.mark.parametrize(
    ("level", "i", "command", "sw"),
    [
        (0x01, 0x75, "807A30010100", 0x6A86),
        (0x01, 0x75, "807A00010100", 0x6A86),
        (0x01, 0x55, "807A10010100", 0x6985),
        (0x11, 0x75, "807A10010100", 0x6985),
        (0x01, 0x75, "8078000300", 0x6985),
        (0x01, 0x75, "8078000100", 0x6985),
        (0x01, 0x75, "8078000200", 0x6A86),
    ],
)
def test_scp02_the_card_refuses_and_keeps_the_channel(level: int, i: int, command: str, sw: int) -> None:
    channel, _, _ = scp02_channel(level, i)
    assert channel.transmit(CommandAPDU.decode(bytes.fromhex(command))).sw == sw
    assert channel.send(CPLC).ok


def test_a_refused_end_is_a_status_word() -> None:
    channel, _, _ = scp03_channel(0x03)
    with pytest.raises(StatusWordError) as caught:
        channel.end_r_mac()
    assert caught.value.sw == 0x6985
    assert channel.send(CPLC).ok


def test_a_new_channel_ends_the_r_mac_session() -> None:
    channel, wire, _ = scp03_channel(0x03)
    channel.begin_r_mac(0x30)
    answer = ResponseAPDU.decode(wire.transmit(gp.initialize_update(0, CHALLENGE).encode()))
    request = SessionRequest(0x03, 0x55, CHALLENGE, answer.require())
    keys = TestVault({INITIAL: key_set()}).session_keys(request)
    card = scp03.parse_initialize_update(answer.data)
    session = scp03.Scp03Session(keys, 0x01, host_challenge=CHALLENGE, card=card)
    assert wire.transmit(session.external_authenticate()) == b"\x90\x00"
    assert len(wire.transmit(session.wrap(CPLC))) == 47


def test_no_channel_no_r_mac_session() -> None:
    card: VirtualCard = blank()
    connection = InProcessConnection(card)
    connection.transmit(gp.select(gp.ISD_AID).encode())
    assert connection.transmit(bytes.fromhex("807A10010100")) == b"\x69\x82"
    assert connection.transmit(bytes.fromhex("8078000300")) == b"\x69\x82"
