"""Every error of the line: a stable code of its own, its facts as attributes, one message that says what to do."""

import inspect

import pytest

from issuance.errors import IssuanceError
from issuance.production import errors
from issuance.station import errors as station_errors
from issuance.station.wire import BadMessage

SAMPLES: tuple[IssuanceError, ...] = (
    errors.InvalidProfile("uec", "keys.card", "is missing"),
    errors.InvalidCardData("snils", "is missing"),
    errors.SealBroken(),
    errors.WrongCard("aa", "bb"),
    errors.ChipTaken("aa", "9643", "WRITING", "B-1"),
    errors.CardAlreadyActive("9643"),
    errors.UnknownKeys("aa", 0x30),
    errors.ForeignCard("it tells no production data", instead="a blank card"),
    errors.Counterfeit("challenge", "another key"),
    errors.CardRefused("write_data", 0x6A84),
    errors.CardLost("write_data", "card_removed"),
    errors.CardLocked(),
    errors.Unforeseen("open_channel", ()),
    errors.CardScrapped("9643", "it was begun too often"),
    errors.InspectionFailed("data", "data group card is not the prepared one"),
    errors.PinRefused("pin1", 2),
    errors.UnfitPin("pin1", "trivial"),
    errors.UnblockRefused("krp", 2),
    errors.PadUnfit("The reader asks for at most 6 digits."),
    errors.PadGivenUp("pin1", "timeout"),
    station_errors.NotEnrolled("/folder"),
    station_errors.AlreadyEnrolled("/folder"),
    station_errors.HubRefused("This station has been revoked: ask security."),
    station_errors.HubAway("wss://hub", "refused"),
    station_errors.BadAddress("hub"),
    station_errors.HubUnsafe("ws://hub"),
    station_errors.HubImpostor("wss://office.example", "00" * 32),
    station_errors.BadReaders("usb"),
    station_errors.FolderUnusable("/folder", "No space left on device"),
    BadMessage("KeyError"),
)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: error.code)
def test_an_error_says_what_to_do(error: IssuanceError) -> None:
    text = str(error)
    assert text[0].isupper() and text.rstrip()[-1] == "."
    for name, value in error.facts.items():
        assert getattr(error, name) == value


def test_codes_are_their_own() -> None:
    codes = [error.code for error in SAMPLES]
    assert len(set(codes)) == len(codes)


def test_no_error_is_left_out() -> None:
    shown = {type(error) for error in SAMPLES}
    for module in (errors, station_errors):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            root = kind in {IssuanceError, errors.ProductionError, station_errors.StationError}
            assert root or kind in shown or not issubclass(kind, IssuanceError), kind
