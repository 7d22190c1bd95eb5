"""The host reproduces every recorded session of other projects, byte by byte."""

import pytest

from card_io import scp02, scp03
from card_io.scp02 import Scp02Session
from card_io.scp03 import Scp03Session
from tests.support.vectors import Session, recorded_sessions

SESSIONS = recorded_sessions()


def open_session(recorded: Session) -> Scp02Session | Scp03Session:
    if recorded.scp == "02":
        two = scp02.parse_initialize_update(recorded.initialize_update_response)
        keys = scp02.derive_session_keys(recorded.keys, two.sequence_counter)
        return Scp02Session(keys, recorded.level, host_challenge=recorded.host_challenge, card=two)
    three = scp03.parse_initialize_update(recorded.initialize_update_response)
    keys = scp03.derive_session_keys(recorded.keys, recorded.host_challenge, three.card_challenge, three.s_mode)
    return Scp03Session(keys, recorded.level, host_challenge=recorded.host_challenge, card=three)


def test_the_recorded_sessions_are_all_there() -> None:
    assert len(SESSIONS) == 8
    assert {session.scp for session in SESSIONS} == {"02", "03"}


@pytest.mark.parametrize("recorded", SESSIONS, ids=lambda session: session.name)
def test_commands_are_wrapped_as_recorded(recorded: Session) -> None:
    session = open_session(recorded)
    assert session.external_authenticate() == recorded.external_authenticate
    for command in recorded.commands:
        assert session.wrap(command.plain) == command.wrapped


@pytest.mark.parametrize("recorded", [item for item in SESSIONS if item.scp == "03"], ids=lambda item: item.name)
def test_answers_are_unwrapped_in_order_after_all_commands_went_ahead(recorded: Session) -> None:
    session = open_session(recorded)
    session.external_authenticate()
    for command in recorded.commands:
        session.wrap(command.plain)
    seen = 0
    for command in recorded.commands:
        if command.response_wrapped is None or command.response_plain is None:
            break
        plain = session.unwrap(command.response_wrapped)
        assert plain == command.response_plain + b"\x90\x00"
        seen += 1
    assert seen >= 1
