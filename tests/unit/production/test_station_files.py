"""A station's identity at rest, and readers made of files."""

import threading
from pathlib import Path

import pytest

from card_io.connection import Connection
from card_io.reader_errors import NoCard, NoReader
from issuance.production.bundle import Fault, Send, Step
from issuance.production.relay import play
from issuance.production.signatures import signed_by
from issuance.station.errors import AlreadyEnrolled, BadReaders, FolderUnusable, NotEnrolled
from issuance.station.identity import StationIdentity, StationKey
from issuance.station.readers import PcscReaders, VirtualReaders, open_readers
from issuance.station.wire import Reader
from tests.support.line import blank_card

tick = threading.Event()
SELECT_ISD = bytes.fromhex("00A4040008A00000015100000000")


def test_an_identity_is_kept_and_found(tmp_path: Path) -> None:
    made = StationIdentity(7, "окно 1", StationKey.generate())
    made.save(tmp_path / "deep" / "station")
    found = StationIdentity.load(tmp_path / "deep" / "station")
    assert (found.station_id, found.name, found.key.public_key) == (7, "окно 1", made.key.public_key)
    assert signed_by(made.key.public_key, b"message", found.key.sign(b"message"))
    assert not signed_by(StationKey.generate().public_key, b"message", found.key.sign(b"message"))


@pytest.mark.parametrize("damage", ["nothing", "no key", "no name", "no json", "other key"])
def test_half_an_identity_is_none(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "station"
    if damage != "nothing":
        StationIdentity(7, "window", StationKey.generate()).save(folder)
    match damage:
        case "no key":
            (folder / "station.key").unlink()
        case "no name":
            (folder / "station.json").write_text('{"station_id": 7}', encoding="utf-8")
        case "no json":
            (folder / "station.json").write_text("{", encoding="utf-8")
        case "other key":
            (folder / "station.key").write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(NotEnrolled):
        StationIdentity.load(folder)


def test_a_key_is_kept_until_its_enrolment_is_finished(tmp_path: Path) -> None:
    first = StationKey.kept(tmp_path / "station")
    assert StationKey.kept(tmp_path / "station").public_key == first.public_key, "a second try offers the same key"
    assert (tmp_path / "station" / "station.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(NotEnrolled):
        StationIdentity.load(tmp_path / "station")
    StationIdentity(7, "window", first).save(tmp_path / "station")
    with pytest.raises(AlreadyEnrolled):
        StationKey.kept(tmp_path / "station")


def test_a_folder_that_cannot_hold_a_key_is_named_before_the_code_is_spent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FolderUnusable, match=r"the code is not spent"):
        StationKey.kept(tmp_path / "file" / "station")
    (tmp_path / "station.key").write_text("no key")
    with pytest.raises(FolderUnusable, match=r"another folder"):
        StationKey.kept(tmp_path)


@pytest.mark.parametrize("how", ["removed and another put in", "another laid over it", "out and in again"])
def test_a_swap_between_two_looks_is_another_insertion(tmp_path: Path, how: str) -> None:
    readers, path = VirtualReaders(tmp_path), tmp_path / "left.card"
    blank_card(1).save(path)
    assert readers.look(0) == (Reader("left", card=True, insertion=1),)
    assert readers.look(0) == (Reader("left", card=True, insertion=1),)
    aside = tmp_path / "aside"
    if how == "out and in again":
        path.rename(aside)
        tick.wait(0.02)  # longer than the file system's clock takes from one tick to the next
    else:
        blank_card(2).save(aside)
        if how.startswith("removed"):
            path.unlink()
    aside.rename(path)
    assert readers.look(0) == (Reader("left", card=True, insertion=2),)
    assert readers.look(0) == (Reader("left", card=True, insertion=2),)


def test_a_card_that_is_swapped_and_used_before_the_next_look_is_another_insertion(tmp_path: Path) -> None:
    readers, path = VirtualReaders(tmp_path), tmp_path / "left.card"
    blank_card(1).save(path)
    assert readers.look(0)[0].insertion == 1
    slot = readers.slot("left")
    assert play(slot, Send((Step(SELECT_ISD),), fresh=True)).complete
    blank_card(2).save(tmp_path / "aside")
    (tmp_path / "aside").rename(path)
    assert play(slot, Send((Step(SELECT_ISD),), fresh=True)).complete
    slot.close()
    assert readers.look(0) == (Reader("left", card=True, insertion=2),)
    assert play(slot, Send((Step(SELECT_ISD),), fresh=True)).complete
    slot.close()
    assert readers.look(0) == (Reader("left", card=True, insertion=2),), "counted once"


def test_what_the_card_writes_itself_is_no_swap(tmp_path: Path) -> None:
    """However often it is looked at meanwhile."""
    readers = VirtualReaders(tmp_path)
    blank_card(1).save(tmp_path / "left.card")
    assert readers.look(0)[0].insertion == 1
    stop, told = threading.Event(), set[Reader]()

    def look() -> None:
        while not stop.is_set():
            told.update(readers.look(0))

    looking = threading.Thread(target=look)
    looking.start()
    slot = readers.slot("left")
    try:
        for _ in range(60):  # each begins with a power-on, which the card writes down
            answers = play(
                slot, Send((Step(SELECT_ISD), Step(bytes.fromhex("8050000008000000000000000000"))), fresh=True)
            )
            assert answers.complete
    finally:
        slot.close()
        stop.set()
        looking.join()
    assert told == {Reader("left", card=True, insertion=1)}


def test_a_card_swapped_in_a_session_gets_no_command_meant_for_the_first(tmp_path: Path) -> None:
    readers, path = VirtualReaders(tmp_path), tmp_path / "left.card"
    blank_card(1).save(path)
    readers.look(0)
    slot = readers.slot("left")
    select = (Step(SELECT_ISD),)
    assert play(slot, Send(select, fresh=True)).complete
    blank_card(2).save(tmp_path / "aside")
    (tmp_path / "aside").rename(path)
    other = path.read_bytes()
    answers = play(slot, Send(select))
    assert (answers.responses, answers.fault) == ((), Fault.CARD_REMOVED)
    assert path.read_bytes() == other, "the other card is as it was"
    assert readers.look(0) == (Reader("left", card=True, insertion=2),)
    assert play(slot, Send(select, fresh=True)).complete
    path.unlink()
    assert play(slot, Send(select)).fault is Fault.CARD_REMOVED
    assert readers.look(0) == (Reader("left", card=False, insertion=2),)
    slot.close()


def test_card_files_come_and_go_like_cards(tmp_path: Path) -> None:
    readers = VirtualReaders(tmp_path)
    assert readers.look(0) == ()
    path = tmp_path / "left.card"
    blank_card(1).save(path)
    assert readers.look(0) == (Reader("left", card=True, insertion=1),)
    path.unlink()
    assert readers.look(0) == (Reader("left", card=False, insertion=1),)
    blank_card(2).save(path)
    blank_card(3).save(tmp_path / "right.card")
    assert readers.look(0) == (
        Reader("left", card=True, insertion=2),
        Reader("right", card=True, insertion=1),
    )


def test_a_look_waits_for_a_change_and_can_be_ended(tmp_path: Path) -> None:
    readers = VirtualReaders(tmp_path)
    readers.look(0)
    looking = threading.Thread(target=readers.look, args=(60.0,))
    looking.start()
    readers.close()
    looking.join(60)
    assert not looking.is_alive()


def test_a_bundle_is_played_to_a_card_file(tmp_path: Path) -> None:
    readers = VirtualReaders(tmp_path)
    blank_card(1).save(tmp_path / "left.card")
    readers.look(0)
    answers = play(readers.slot("left"), Send((Step(SELECT_ISD),), fresh=True))
    assert answers.complete and answers.atr


def test_readers_and_cards_that_are_not_there(tmp_path: Path) -> None:
    readers = VirtualReaders(tmp_path)
    blank_card(1).save(tmp_path / "left.card")
    readers.look(0)
    (tmp_path / "left.card").unlink()

    def connect(name: str) -> Connection:
        return readers.slot(name).connect(fresh=True)

    with pytest.raises(NoCard):
        connect("left")
    with pytest.raises(NoReader):
        connect("right")


def test_the_setting_names_the_kind(tmp_path: Path) -> None:
    virtual, real = open_readers(f"virtual:{tmp_path}"), open_readers("pcsc")
    assert isinstance(virtual, VirtualReaders) and isinstance(real, PcscReaders)
    virtual.close()
    real.close()
    for wrong in ("virtual:", "usb", ""):
        with pytest.raises(BadReaders, match="write `pcsc`"):
            open_readers(wrong)
