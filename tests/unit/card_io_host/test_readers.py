"""What readers answer, as far as no reader is needed: return codes, names, differences."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from card_io import pcscd
from card_io.errors import CardError
from card_io.monitor import Happening, ReaderEvent, differences
from card_io.pcsc import NoReader, SlotState, find_reader
from card_io.reader_errors import (
    CardMute,
    CardRemoved,
    CardReset,
    NoCard,
    NoPinPad,
    PinPadFailed,
    ReaderBusy,
    ReaderError,
    ReaderUnplugged,
    ServiceForbidden,
    ServiceNotRunning,
    reader_error,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x8010001D, ServiceNotRunning),
        (-2146435043, ServiceNotRunning),
        (0x8010006A, ServiceForbidden),
        (0x8010000C, NoCard),
        (0x80100069, CardRemoved),
        (0x80100017, ReaderUnplugged),
        (0x80100068, CardReset),
        (0x80100066, CardMute),
        (0x8010000B, ReaderBusy),
        (0x80100009, NoReader),
        (0x8010002E, NoReader),
        (0x80100004, ReaderError),
    ],
)
def test_return_codes_become_errors_that_say_what_to_do(code: int, kind: type[ReaderError]) -> None:
    error = reader_error(code, "Reader 1", "something")
    assert type(error) is kind
    assert isinstance(error, CardError)
    words = ("insert", "start", "put", "open", "take", "close", "choose", "unplug", "sign in")
    assert any(word in str(error) for word in words)


def test_an_unknown_code_is_shown_with_the_words_of_pcsc() -> None:
    assert "80100004 (Invalid parameter)" in str(reader_error(0x80100004, "R", "Invalid parameter"))


def test_every_reader_error_has_a_code_of_its_own() -> None:
    kinds: list[type[ReaderError]] = [
        ServiceNotRunning,
        ServiceForbidden,
        NoReader,
        NoCard,
        CardRemoved,
        CardReset,
        ReaderBusy,
        CardMute,
        NoPinPad,
        PinPadFailed,
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.code.startswith("reader.") for kind in kinds)


NAMES = ["ACS ACR39U 00 00", "Gemalto PC Twin 01 00", "Gemalto PC Twin 02 00"]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [(0, NAMES[0]), ("1", NAMES[1]), ("acr39", NAMES[0]), (NAMES[2], NAMES[2]), ("twin 02", NAMES[2])],
)
def test_readers_are_found(wanted: str | int, name: str) -> None:
    assert find_reader(wanted, NAMES) == name


@pytest.mark.parametrize("wanted", [3, -1, "3", "Twin", "Omnikey", ""])
def test_readers_that_are_not_meant_by_one_name_are_refused(wanted: str | int) -> None:
    with pytest.raises(NoReader) as caught:
        find_reader(wanted, NAMES)
    assert caught.value.available == tuple(NAMES)
    with pytest.raises(NoReader, match="no reader at all"):
        find_reader(wanted, [])


def slot(name: str, changes: int, atr: bytes = b"") -> dict[str, SlotState]:
    return {name: SlotState(name, bool(atr), False, False, atr, changes)}


A, B = "A", "B"
ATR = b"\x3b\x00"


@pytest.mark.parametrize(
    ("before", "now", "events"),
    [
        ({}, {}, []),
        ({}, slot(A, 0), [ReaderEvent(Happening.READER_ADDED, A)]),
        (
            {},
            slot(A, 1, ATR),
            [ReaderEvent(Happening.READER_ADDED, A), ReaderEvent(Happening.CARD_INSERTED, A, ATR)],
        ),
        (slot(A, 0), slot(A, 1, ATR), [ReaderEvent(Happening.CARD_INSERTED, A, ATR)]),
        (slot(A, 1, ATR), slot(A, 2), [ReaderEvent(Happening.CARD_REMOVED, A)]),
        (slot(A, 1, ATR), slot(A, 1, ATR), []),
        (
            slot(A, 1, ATR),
            slot(A, 3, ATR),
            [ReaderEvent(Happening.CARD_REMOVED, A), ReaderEvent(Happening.CARD_INSERTED, A, ATR)],
        ),
        (
            slot(A, 1, ATR),
            slot(B, 0),
            [
                ReaderEvent(Happening.CARD_REMOVED, A),
                ReaderEvent(Happening.READER_REMOVED, A),
                ReaderEvent(Happening.READER_ADDED, B),
            ],
        ),
    ],
)
def test_differences_say_what_happened(
    before: dict[str, SlotState], now: dict[str, SlotState], events: list[ReaderEvent]
) -> None:
    assert differences(before, now) == events


def test_whoever_may_not_start_the_service_is_told_the_one_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "vpcd"
    settings.write_text("DEVICENAME /dev/null:0x8C7B\nCHANNELID 0x8C7B\n")
    asked: list[Path] = []

    def no(path: Path, mode: int) -> bool:
        asked.append(path)
        return False

    monkeypatch.setattr(pcscd, "_readers", lambda: ())
    monkeypatch.setattr(pcscd, "_service_process", lambda: None)
    monkeypatch.setattr(pcscd, "DRIVER_SETTINGS", settings)
    monkeypatch.setattr(pcscd, "SERVICE_SOCKET", tmp_path / "pcscd" / "pcscd.comm")
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/usr/sbin/{name}")
    monkeypatch.setattr(os, "access", no)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it was started all the same"))
    for folder in (tmp_path, tmp_path / "pcscd"):
        with pytest.raises(pcscd.ServiceUnavailable, match=r"^only root may start pcscd; run `sudo pcscd` once"):
            pcscd.Pcscd().ensure()
        assert asked.pop() == folder, "its own folder, or where that would be made"
        (tmp_path / "pcscd").mkdir(exist_ok=True)
