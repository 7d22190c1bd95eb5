"""A station's identity at rest, and readers made of files."""

import threading
from pathlib import Path

import pytest

from card_io.connection import Connection
from card_io.reader_errors import NoCard, NoReader
from issuance.production.bundle import Send, Step
from issuance.production.relay import play
from issuance.production.signatures import signed_by
from issuance.station.errors import AlreadyEnrolled, BadReaders, FolderUnusable, NotEnrolled
from issuance.station.identity import StationIdentity, StationKey
from issuance.station.readers import PcscReaders, VirtualReaders, open_readers
from issuance.station.wire import Reader
from tests.support.line import blank_card

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
