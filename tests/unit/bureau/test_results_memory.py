"""What is kept in memory of a bureau's results file while it is read: one record at a time, however many there are."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from issuance.bureau.records import FileKind, RecordReader, RecordWriter, Tag
from issuance.bureau.reply import Made, MadeKey, NotMade
from tests.support.bureau import header
from uec.services.bureau_checks import made_cards, read
from uec.services.bureau_report import Report

CARDS, KEYS = 6_000, ("auth", "sign", "encrypt")
KEY_BYTES, PROOF_BYTES = 294, 256  # as of RSA with 2048 bits
RECORD_BYTES = len(KEYS) * (KEY_BYTES + PROOF_BYTES)
ONE_AT_A_TIME = 200_000


def card(number: int) -> Made:
    name = f"{number:010}"
    keys = {slot: MadeKey(slot.encode() + name.encode() * 30, bytes(PROOF_BYTES)) for slot in KEYS}
    return Made(name, name.encode(), bytes(42), 0x30, (bytes(3),) * 3, keys)


def results(path: Path, cards: Iterator[Made]) -> Path:
    with path.open("wb") as out:
        writer = RecordWriter(out.write, header(FileKind.RESULTS))
        writer.add(Tag.NOT_MADE, NotMade("0", "lost", "it was lost").encode())
        for made in cards:
            writer.add(Tag.MADE, made.encode())
        writer.close()
    return path


def test_nothing_of_a_card_is_in_memory(tmp_path: Path) -> None:
    """Neither while a file is read nor when it has been: what it says stands on disk."""
    path = results(tmp_path / "results", (card(number) for number in range(CARDS)))
    assert path.stat().st_size > CARDS * RECORD_BYTES
    with path.open("rb") as stream, Report() as report:
        tracemalloc.start()
        read(RecordReader(stream), report)
        kept, reading = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        again = sum(len(made.keys) for made in made_cards(stream, start=0))
        _, going_through = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (report.count("made"), report.count("not_made"), again) == (CARDS, 1, CARDS * len(KEYS))
    assert reading < ONE_AT_A_TIME, (reading, CARDS)
    assert going_through < kept + ONE_AT_A_TIME


def test_a_file_is_read_again_from_where_it_begins(tmp_path: Path) -> None:
    path = results(tmp_path / "results", (card(number) for number in (1, 2)))
    moved = tmp_path / "moved"
    moved.write_bytes(b"before" + path.read_bytes())
    with moved.open("rb") as stream:
        stream.seek(6)
        with Report() as report:
            read(RecordReader(stream), report)
            (made,) = report.parts("SELECT number, chip FROM made")
        assert made == [(f"{number:010}", f"{number:010}".encode().hex()) for number in (1, 2)]
        for _ in range(2):
            assert list(made_cards(stream, start=6)) == [card(1), card(2)]
