"""A card that is none of the profile's: refused by name in every work, with the card to put in instead."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from card_io.errors import CardError
from issuance.keys.port import KeyPurpose, KeyRef
from issuance.production.bundle import Record, RecordKind, Send
from issuance.production.check import look
from issuance.production.drivers import run_local
from issuance.production.errors import CardLocked, CardLost, CardRefused, ForeignCard
from issuance.production.foreign import BLANK, CARD_LOCK, OURS, SW_CLOSED, as_foreign, numbered, wanting
from issuance.production.handover import hand_over
from issuance.production.inspect import inspect
from issuance.production.job import CardJob, HandOverJob, InspectionJob, UnblockJob
from issuance.production.personalise import personalise
from issuance.production.profile import CardProfile
from issuance.production.rekey import RekeyJob, rekey
from issuance.production.relay import OpenedSlot
from issuance.production.terminate import terminate
from issuance.production.unblock import unblock
from tests.support.line import HOLDER_PINS, LETTER, Line

NUMBER, CHIP = "9643010000000000001", "00" * 10
MASTER, TRANSPORT = KeyRef(KeyPurpose.CARD_MASTER, 1), KeyRef(KeyPurpose.BLANK_TRANSPORT, 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Answering:
    """A card that says one thing to every command."""

    atr = b"\x3b\x00"

    def __init__(self, response: str) -> None:
        self._response = bytes.fromhex(response)

    def transmit(self, command: bytes) -> bytes:
        return self._response

    def close(self) -> None:
        pass


def job(line: Line, *journal: Record) -> CardJob:
    return CardJob(NUMBER, "B-1", {}, TRANSPORT, MASTER, journal)


CLAIMED = Record(RecordKind.CHIP_CLAIMED, {"chip_id": CHIP})
TALKS: dict[str, tuple[Callable[[Line, CardProfile], object], str]] = {
    "personalise": (lambda line, profile: personalise(job(line), profile, random=line.randomness.randbytes), BLANK),
    "personalise, begun": (
        lambda line, profile: personalise(job(line, CLAIMED), profile, random=line.randomness.randbytes),
        numbered(NUMBER),
    ),
    "inspect": (
        lambda line, profile: inspect(
            InspectionJob(NUMBER, CHIP, {}, {}), profile, line.anchors, now=NOW, random=line.randomness.randbytes
        ),
        numbered(NUMBER),
    ),
    "hand over": (
        lambda line, profile: hand_over(
            HandOverJob(NUMBER, CHIP, b"", HOLDER_PINS | {"krp": LETTER}), profile, random=line.randomness.randbytes
        ),
        numbered(NUMBER),
    ),
    "unblock": (
        lambda line, profile: unblock(
            UnblockJob(NUMBER, CHIP, b"", "pin1", HOLDER_PINS["pin2"], LETTER),
            profile,
            random=line.randomness.randbytes,
        ),
        numbered(NUMBER),
    ),
    "rekey": (
        lambda line, profile: rekey(RekeyJob(NUMBER, CHIP, MASTER, ()), profile, random=line.randomness.randbytes),
        numbered(NUMBER),
    ),
    "terminate": (
        lambda line, profile: terminate(
            RekeyJob(NUMBER, CHIP, MASTER, ()), profile, blank_master=TRANSPORT, random=line.randomness.randbytes
        ),
        numbered(NUMBER),
    ),
    "look": (
        lambda line, profile: look(profile, line.anchors, now=NOW, random=line.randomness.randbytes),
        OURS,
    ),
}


@pytest.mark.parametrize("work", TALKS)
@pytest.mark.parametrize(("answer", "reason"), [("6A82", "status 6A82"), ("6D00", "status 6D00"), ("9000", "")])
def test_every_work_names_the_card_to_put_in(line: Line, work: str, answer: str, reason: str) -> None:
    begin, instead = TALKS[work]
    number = line.order(8_000_000 + len(work))
    with pytest.raises(ForeignCard) as caught:
        run_local(begin(line, line.profile), OpenedSlot(lambda: Answering(answer)), line.office.desk(number))  # type: ignore[arg-type]
    assert reason in str(caught.value)
    assert str(caught.value).endswith(f"Take it out and put {instead} in.")
    assert caught.value.instead == instead


def refusal(label: str, sw: int) -> CardRefused:
    return CardRefused(label, sw)


def test_only_the_step_that_asks_for_the_lock_finds_a_card_locked() -> None:
    with pytest.raises(CardLocked), as_foreign():
        raise refusal(CARD_LOCK, SW_CLOSED)
    for label, sw in ((CARD_LOCK, 0x6A82), ("find_card", SW_CLOSED)):
        with pytest.raises(ForeignCard, match=f"{sw:04X}"), as_foreign():
            raise refusal(label, sw)


def test_what_cannot_be_read_is_foreign_and_what_went_away_is_not() -> None:
    with pytest.raises(ForeignCard, match="cannot be read"), as_foreign():
        raise CardError("too short")
    with pytest.raises(CardLost), as_foreign():
        raise CardLost("find_card", "card_removed")


def test_the_innermost_work_has_its_words_taken_over_and_other_errors_pass() -> None:
    with pytest.raises(ForeignCard) as caught, wanting(numbered("1")), wanting(BLANK):
        raise ForeignCard("it is none")
    assert (caught.value.reason, caught.value.instead) == ("it is none", "card 1")
    with pytest.raises(CardLocked), wanting(BLANK):
        raise CardLocked


def test_a_generator_that_is_closed_in_the_middle_ends_quietly(line: Line) -> None:
    talk = look(line.profile, line.anchors, now=NOW, random=line.randomness.randbytes)
    assert isinstance(next(talk), Send)
    talk.close()
