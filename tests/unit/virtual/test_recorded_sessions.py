"""The virtual card holds up its end of sessions that other people's hosts and cards recorded.

Only the card side is used here: the host has its own test against the same recordings.
"""

import pytest

from card_io.apdu import CommandAPDU
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.channel import SecureChannel
from card_io.virtual.keysets import TYPE_AES, TYPE_DES, KeySet
from card_io.virtual.scp02 import Scp02
from card_io.virtual.scp03 import Scp03, pseudo_random_challenge
from tests.support.vectors import Exchange, Session, recorded_sessions

SESSIONS = recorded_sessions()
ISD_R_AID = bytes.fromhex("A0000005591010FFFFFFFF8900000100")


def key_set(session: Session) -> KeySet:
    values = (Secret(item.reveal()) for item in (session.keys.enc, session.keys.mac, session.keys.dek))
    kind = TYPE_AES if session.scp == "03" else TYPE_DES
    return KeySet(*values, version=session.initialize_update_response[10], key_type=kind)


def challenge_and_counter(session: Session) -> tuple[bytes, int]:
    answer = session.initialize_update_response
    if session.scp == "02":
        return answer[14:20], int.from_bytes(answer[12:14], "big")
    size = len(session.host_challenge)
    return answer[13 : 13 + size], int.from_bytes(answer[13 + 2 * size :] or b"\x00", "big")


def initialize_update(session: Session) -> bytes:
    """The recorded command, asking for whatever keys there are: one recorded card answers with another version."""
    return session.initialize_update[:2] + b"\x00" + session.initialize_update[3:]


def card_for(session: Session) -> VirtualCard:
    """A card with the recorded keys, diversification data, challenge and counter."""
    challenge, counter = challenge_and_counter(session)
    i = session.initialize_update_response[12] if session.scp == "03" else 0x15
    keys = key_set(session)
    card = VirtualCard.blank(b"recorded", initial_keys=keys, scp03_i=i, scp02_i=i)
    card.platform.area.put("kdd", session.initialize_update_response[:10])
    card.platform.keys.set_counter(keys.version, counter if session.scp == "02" else counter - 1 if counter else 0)
    card.platform.memory.commit()
    card.platform.forced_challenge = challenge
    card.platform.scp03_size = len(session.host_challenge) if session.scp == "03" else 0
    card.power_on()
    return card


def channel_for(session: Session) -> SecureChannel:
    challenge, counter = challenge_and_counter(session)
    keys = key_set(session)
    if session.scp == "02":
        return Scp02(keys, 0x15, session.host_challenge, challenge, counter)
    return Scp03(keys, session.initialize_update_response[12], session.host_challenge, challenge, counter)


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_card_answers_initialize_update_as_recorded(session: Session) -> None:
    answer = card_for(session).process(initialize_update(session))
    assert answer[:-2] == session.initialize_update_response
    assert answer[-2:] == b"\x90\x00"


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_card_accepts_the_recorded_host_and_its_commands(session: Session) -> None:
    card = card_for(session)
    card.process(initialize_update(session))
    assert card.process(session.external_authenticate) == b"\x90\x00"
    for command in session.commands:
        # 6982 would mean that the MAC was not accepted; the registry of the recorded card was another one.
        assert card.process(command.wrapped)[-2:] != b"\x69\x82"


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_channel_unwraps_each_command_and_wraps_each_answer_as_recorded(session: Session) -> None:
    channel = channel_for(session)
    channel.authenticate(CommandAPDU.decode(session.external_authenticate))
    assert channel.level == session.level
    for command in session.commands:
        plain = CommandAPDU.decode(command.plain)
        unwrapped = channel.unwrap(CommandAPDU.decode(command.wrapped))
        assert (unwrapped.header, unwrapped.data) == (plain.header, plain.data)
        if command.response_wrapped is None or command.response_plain is None or pads_too_long(session, command):
            continue
        sw = int.from_bytes(command.response_wrapped[-2:], "big")
        data = command.response_plain.removesuffix(command.response_wrapped[-2:])
        assert channel.wrap(data, sw) == command.response_wrapped[:-2]


def pads_too_long(session: Session, command: Exchange) -> bool:
    """One recorded chip pads a short answer to two blocks where the specification asks for one."""
    if not session.level & 0x20 or command.response_wrapped is None or command.response_plain is None:
        return False
    blocks = (len(command.response_wrapped) - 2) // 16
    return blocks > len(command.response_plain) // 16 + 1


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_one_wrong_bit_in_any_recorded_command_ends_the_session(session: Session) -> None:
    card = card_for(session)
    card.process(initialize_update(session))
    card.process(session.external_authenticate)
    wrapped = session.commands[0].wrapped
    last_of_mac = 5 + wrapped[4] - 1
    spoiled = wrapped[:last_of_mac] + bytes([wrapped[last_of_mac] ^ 1]) + wrapped[last_of_mac + 1 :]
    assert card.process(spoiled) == b"\x69\x82"
    assert card.process(wrapped) == b"\x69\x82"


@pytest.mark.parametrize(
    "session", [item for item in SESSIONS if item.name.startswith("pysim-SCP03")], ids=lambda s: s.name
)
def test_pseudo_random_challenge_is_that_of_the_recorded_card(session: Session) -> None:
    challenge, counter = challenge_and_counter(session)
    assert pseudo_random_challenge(key_set(session), counter, ISD_R_AID, 8) == challenge
