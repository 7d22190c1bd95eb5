"""A blank becomes a card, in few round trips, and nothing that does not belong is written to."""

from collections.abc import Callable

from issuance.production.bundle import RecordKind
from issuance.production.transcript import Transcript
from tests.support.line import Line, blank_card


def test_a_blank_becomes_a_holders_card(line: Line, serial: Callable[[], int]) -> None:
    number = line.order(serial())
    card = blank_card(serial())
    transcript = Transcript()
    made = line.personalise(number, card, transcript)
    assert transcript.round_trips == 4
    assert made.card_number == number
    looked = Transcript()
    report = line.inspect(number, card, looked)
    assert report.genuine, report.failures
    assert looked.round_trips <= 3
    assert report.facts["surname"] == "Иванова"
    line.hand_over(number, card)
    assert line.office.cards[number].state == "ACTIVE"
    kinds = [record.kind for record in line.office.cards[number].journal]
    assert RecordKind.HANDED_OVER in kinds
