"""What a coverage-guided fuzzer drives: bytes become a card's state and a row of commands, and every one is answered.

Needs no fuzzer: `tests.unit.virtual.fuzz_main` runs it under atheris.
"""

from collections.abc import Callable

from card_io.errors import InvalidApdu
from card_io.scp03 import Scp03Session
from card_io.virtual.card import VirtualCard
from tests.unit.virtual.cards import (
    aes_keys,
    begin_personalisation,
    blank,
    finished,
    install_uec,
    open_session,
    send,
)
from tests.unit.virtual.test_piv import manage

LIMIT = 12
State = tuple[VirtualCard, Scp03Session | None]


def _finished() -> State:
    return finished(), None


def _domain() -> State:
    card = blank()
    return card, open_session(card, 0x01).session


def _enciphered() -> State:
    card = blank()
    return card, open_session(card, 0x33).session


def _personalising() -> State:
    card = blank()
    host = open_session(card, 0x03)
    install_uec(host)
    begin_personalisation(host)
    return card, host.session


def _piv() -> State:
    card = VirtualCard.blank(b"piv", initial_keys=aes_keys(), profile="piv")
    card.power_on()
    manage(card)
    send(card, "00200080", b"123456\xff\xff")
    return card, None


STATES: tuple[Callable[[], State], ...] = (_finished, _domain, _enciphered, _personalising, _piv)


def commands(data: bytes) -> list[bytes]:
    """Bytes as a row of commands, each behind a byte of length; a length of 255 takes two more."""
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < LIMIT:
        size, at = data[at], at + 1
        if size == 0xFF:
            size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
        found.append(data[at : at + size])
        at += size
    return found


def one_input(data: bytes) -> int:
    """The first byte chooses the state; each command goes in as it is, or through the open channel where one is.

    Returns how many were answered; `AssertionError` when one was not, or the card does not recover.
    """
    if not data:
        return 0
    card, session = STATES[data[0] % len(STATES)]()
    row = commands(data[1:])
    for command in row:
        check(card.process(_secured(session, command)), command)
    card.reset()
    answer = send(card, "00A40400", bytes.fromhex("A000000151000000"), 256)
    if answer.sw not in {0x9000, 0x6283}:
        raise AssertionError(f"the card does not recover: {answer.sw:04X}")
    return len(row)


def _secured(session: Scp03Session | None, command: bytes) -> bytes:
    if session is None:
        return command
    try:
        return session.wrap(command)
    except InvalidApdu:
        return command


def check(answer: bytes, command: bytes) -> None:
    """Every answer ends with a status word; `AssertionError` names the command that got none."""
    if len(answer) < 2 or answer[-2] & 0xF0 not in {0x60, 0x90} or answer[-2] == 0x60:
        raise AssertionError(f"{command.hex()} is answered by {answer.hex()}, which has no status word")
