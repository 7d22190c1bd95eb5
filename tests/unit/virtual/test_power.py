"""Power, files and faults: what survives, what does not, and what a reader sees."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.connection import Connection
from card_io.connection import send as send_to
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import CardElsewhere, CardLost, CardMute, FaultPlan
from card_io.virtual.memory import BadImage, ImageNotWritten, Memory, Value
from card_io.virtual.timing import Timing
from tests.unit.virtual.cards import aes_keys, blank, finished, open_session, personalise, send

STATE = "00CADF20"


def test_an_unpowered_card_does_not_answer() -> None:
    card = VirtualCard.blank(b"seed", initial_keys=aes_keys())
    assert not card.powered
    with pytest.raises(CardLost):
        send(card, STATE)


def test_in_process_it_is_a_connection() -> None:
    card = finished()
    connection = InProcessConnection(card)
    assert isinstance(connection, Connection)
    assert connection.atr == card.atr
    assert send_to(connection, CommandAPDU(0x00, 0xCA, 0xDF, 0x20, le=256)).data[-1] == 0x0F
    connection.close()
    connection.close()
    assert not card.powered


def test_a_card_lives_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    card = blank()
    card.save(path)
    personalise(card)
    send(card, "00A4040C", layout.APPLET_AID)
    send(card, "00200001", b"0000")
    again = VirtualCard.load(path)
    again.power_on()
    assert again.atr == card.atr
    assert send(again, "00200001").sw == 0x63C2
    assert send(again, "00200001", b"1234").ok
    assert [item.name for item in tmp_path.iterdir()] == ["card.json"]


def test_the_file_is_the_state_before_or_after_every_write(tmp_path: Path) -> None:
    """Whatever moment the program dies at, the file is a whole card."""
    path = tmp_path / "card.json"
    card = blank()
    card.save(path)
    seen = []
    write = card.platform.memory.persist
    assert write is not None

    def watched(cells: Mapping[str, Value]) -> None:
        assert VirtualCard.load(path).platform.memory.durable() == card.platform.memory.durable()
        write(cells)
        seen.append(VirtualCard.load(path).platform.memory.durable())
        assert seen[-1] == cells

    card.platform.memory.persist = watched
    personalise(card)
    assert len(seen) > 10
    assert seen[-1] == card.platform.memory.durable()


def test_one_file_is_not_two_cards(tmp_path: Path) -> None:
    """What one program did to a card, another that loaded it earlier must not undo."""
    path = tmp_path / "card.json"
    finished().save(path)
    first, second = VirtualCard.load(path), VirtualCard.load(path)
    first.power_on()
    assert send(first, "00200001", b"0000").sw == 0x63C2
    with pytest.raises(CardElsewhere, match="use the card in one place"):
        second.power_on()
    assert send(first, "00200001", b"0000").sw == 0x63C1
    path.unlink()
    with pytest.raises(CardElsewhere):
        send(first, "00200001", b"0000")
    assert not first.powered


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "card.json"
    card = blank()
    card.save(path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(ImageNotWritten, match=r"No space left on device\); make room"):
        personalise(card)
    assert path.read_bytes() == before
    assert not card.powered
    monkeypatch.undo()
    card.power_on()
    assert card.platform.registry.instances() == []
    assert [item.name for item in tmp_path.iterdir()] == ["card.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "nonsense", '{"format": "other"}', '{"format": "uec-virtual-card-1", "cells": {"a": true}}'],
)
def test_other_files_are_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(BadImage, match=r"card\.json .*; "):
        VirtualCard.load(path)


def test_a_card_from_its_file_never_repeats_its_randomness(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    card = finished()
    card.save(path)
    challenges = set()
    for _ in range(3):
        copy = VirtualCard.load(path)
        copy.power_on()
        challenges.add(send(copy, "00840000", b"", 16).data)
    assert len(challenges) == 3


@pytest.mark.parametrize(
    ("plan", "error"),
    [
        (FaultPlan(tear_before=2), CardLost),
        (FaultPlan(tear_after=2), CardLost),
        (FaultPlan(remove_at=2), CardLost),
        (FaultPlan(mute_at=2), CardMute),
    ],
)
def test_a_planned_fault_comes_at_its_command_and_once(plan: FaultPlan, error: type[Exception]) -> None:
    card = finished()
    card.faults = plan
    assert send(card, STATE, b"", 256).ok
    with pytest.raises(error):
        send(card, STATE, b"", 256)
    if plan.mute_at:
        with pytest.raises(CardMute):
            send(card, STATE, b"", 256)
    card.put_back()
    card.power_on()
    assert send(card, STATE, b"", 256).ok
    assert send(card, STATE, b"", 256).ok


def test_a_removed_card_stays_away() -> None:
    card = finished()
    card.faults = FaultPlan(remove_at=1)
    with pytest.raises(CardLost):
        send(card, STATE)
    with pytest.raises(CardLost):
        card.power_on()
    card.put_back()
    assert card.power_on() == card.atr


def test_wrong_statuses_and_corrupted_bytes() -> None:
    card = finished()
    card.faults = FaultPlan(status_at={1: 0x6F00, 3: 0x6581}, corrupt_at=2)
    assert send(card, STATE, b"", 256).sw == 0x6F00
    assert send(card, STATE, b"", 256).data == bytes.fromhex("81000F")
    assert send(card, STATE, b"", 256).sw == 0x6581
    assert send(card, STATE, b"", 256).data == bytes.fromhex("01000F")


def test_corruption_of_a_protected_answer_is_noticed() -> None:
    from card_io.errors import WrongCryptogram

    card = blank()
    host = open_session(card)
    card.faults = FaultPlan(corrupt_at=1)
    with pytest.raises(WrongCryptogram):
        host.send("80CA9F7F", b"", 256)


def test_what_was_not_committed_is_gone() -> None:
    memory = Memory()
    memory.put("a", 1)
    memory.commit()
    memory.put("a", 2)
    memory.put("b", b"x")
    memory.delete("a")
    assert memory.get("a") is None
    assert memory.names("") == ["b"]
    memory.drop()
    assert memory.get("a") == 1
    assert memory.names("") == ["a"]
    memory.delete("a")
    memory.commit()
    assert memory.durable() == {}
    memory.commit()
    assert memory.commits == 2


def test_writing_the_same_again_is_no_write() -> None:
    card = finished()
    commits = card.platform.memory.commits
    send(card, STATE, b"", 256)
    send(card, "00200001", b"1234")
    assert card.platform.memory.commits == commits + 2  # the try counted down, and given back


def test_the_timing_model_tells_slow_work_from_fast() -> None:
    spent: list[float] = []
    card = finished()
    card.timing = Timing(spent.append)
    send(card, STATE, b"", 256)
    send(card, "002241B6", bytes.fromhex("840101"))
    send(card, "00200001", b"1234")
    send(card, "002A9E9A", bytes(32), 256)
    quick, _, writing, signing = spent
    assert 0 < quick < writing < signing
    assert card.timing.total_s == pytest.approx(sum(spent))


def test_a_full_card_takes_seconds_of_chip_time() -> None:
    card = blank()
    card.timing = Timing(lambda _: None)
    personalise(card)
    assert 4 * 0.16 < card.timing.total_s < 4


def test_the_answer_to_reset_is_one() -> None:
    atr = blank().atr
    assert atr[0] == 0x3B
    historical = atr[1] & 0x0F
    assert len(atr) == 2 + 5 + historical + 1
    check = 0
    for byte in atr[1:]:
        check ^= byte
    assert check == 0
