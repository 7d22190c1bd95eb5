"""A transaction while the world changes under it: card pulled, reset, swapped, service ended. Nobody waits for ever."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from card_io.pcsc import PcscConnection, open_reader
from card_io.pcscd import PORTS, READERS, reader_ports
from card_io.reader_errors import CardRemoved, CardReset, ReaderError
from tests.support.pcsc import PcscService, insert, wait_until

pytestmark = pytest.mark.pcsc

COMMAND = bytes.fromhex("00B2010400")
ANSWER = bytes.fromhex("B20104009000")


def echo(command: bytes) -> bytes:
    return command[1:] + b"\x90\x00"


def shared() -> PcscConnection:
    return open_reader(READERS[0], exclusive=False)


def until_it_fails(connection: PcscConnection) -> None:
    for _ in range(200):
        connection.transmit(COMMAND)
        time.sleep(0.02)


def in_thread(work: Callable[[], None]) -> tuple[threading.Thread, list[BaseException]]:
    """A thread whose error is kept."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except ReaderError as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, failed


def test_a_card_pulled_out_in_a_transaction_is_named_and_holds_up_nobody(pcsc: PcscService) -> None:
    card = insert(0, echo)
    with shared() as connection:
        with pytest.raises(CardRemoved, match="put the same card back"), connection.transaction():
            card.remove()
            until_it_fails(connection)
        with pytest.raises(ReaderError), connection.transaction():
            pytest.fail("there is no card to have a transaction with")
    with insert(0, echo), shared() as again, again.transaction():
        assert again.transmit(COMMAND) == ANSWER


def test_who_waits_for_a_transaction_hears_that_the_card_has_gone(pcsc: PcscService) -> None:
    card = insert(0, echo)
    with shared() as first, shared() as second:

        def waiting() -> None:
            with second.transaction():
                second.transmit(COMMAND)

        with pytest.raises(CardRemoved), first.transaction():
            thread, failed = in_thread(waiting)
            time.sleep(0.2)
            card.remove()
            until_it_fails(first)
        thread.join(60)
    assert not thread.is_alive() and len(failed) == 1 and isinstance(failed[0], CardRemoved)


def test_who_waits_for_a_transaction_hears_of_a_reset(pcsc: PcscService) -> None:
    """What the first program did with the card is over: the second must not go on as if nothing had been."""
    with insert(0, echo), shared() as first, shared() as second:
        first.reset()
        with pytest.raises(CardReset, match="open the connection again"), second.transaction():
            second.transmit(COMMAND)
    with insert(0, echo), shared() as again, again.transaction():
        assert again.transmit(COMMAND) == ANSWER


def test_a_service_that_ends_in_a_transaction(pcsc: PcscService) -> None:
    """The connection is gone for good, and says so at once, every time; a new one to the new service works."""
    if not pcsc.own():
        assert reader_ports() == PORTS, "the running pcscd is not ours to restart"
        return
    with insert(0, echo), shared() as connection:
        assert connection.transmit(COMMAND) == ANSWER
        with pytest.raises(ReaderError), connection.transaction():
            pcsc.restart()
            until_it_fails(connection)
        for _ in range(3):
            with pytest.raises(ReaderError):
                connection.transmit(COMMAND)
        with pytest.raises(ReaderError), connection.transaction():
            pytest.fail("that service is no more")
    with insert(0, echo), shared() as again, again.transaction():
        assert again.transmit(COMMAND) == ANSWER


DYING = """
import sys, time
from card_io.pcsc import open_reader
with open_reader(sys.argv[1], exclusive=False) as connection, connection.transaction():
    print("in", flush=True)
    time.sleep(60)
"""


def test_a_program_that_is_killed_in_a_transaction_frees_the_card(pcsc: PcscService) -> None:
    """Who waited for its turn gets it, or hears that the card was reset when the other let go."""
    with insert(0, echo), shared() as second:
        with subprocess.Popen([sys.executable, "-c", DYING, READERS[0]], stdout=subprocess.PIPE) as dying:
            assert dying.stdout is not None and dying.stdout.readline() == b"in\n"
            thread, failed = in_thread(lambda: one_exchange(second))
            time.sleep(0.2)
            waited = thread.is_alive()
            dying.kill()
        wait_until(lambda: not thread.is_alive(), "the card is never free again")
        assert waited and all(isinstance(error, CardReset) for error in failed)
        with shared() as third, third.transaction():
            assert third.transmit(COMMAND) == ANSWER


def one_exchange(connection: PcscConnection) -> None:
    with connection.transaction():
        assert connection.transmit(COMMAND) == ANSWER
