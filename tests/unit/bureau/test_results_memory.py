"""What is kept in memory of a bureau's results file while it is read: one record at a time, however many there are."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from issuance.bureau.records import FileKind, RecordReader, RecordWriter, Tag
from issuance.bureau.reply import Made, MadeKey, NotMade
from issuance.pki.hygiene import WeakKeyList
from issuance.production.profile import load_profile
from tests.support.bureau import header
from uec.services.bureau_checks import Measure, read
from uec.services.bureau_report import AT_ONCE, Report

CARDS, KEYS = 6_000, ("auth", "sign", "encrypt")
KEY_BYTES, PROOF_BYTES = 294, 256  # as of RSA with 2048 bits
RECORD_BYTES = len(KEYS) * (KEY_BYTES + PROOF_BYTES)
ONE_AT_A_TIME = 200_000
A_PART = AT_ONCE * 4 * RECORD_BYTES
"""Rows that are written down by one statement each: their keys and proofs are in hex."""
MEASURE = Measure(load_profile(Path("config/profiles/uec.toml")), WeakKeyList())


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
        read(RecordReader(stream), report, MEASURE)
        kept, reading = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        again = sum(len(rows) for rows in report.parts("SELECT number, public_keys, proofs FROM made ORDER BY number"))
        _, going_through = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (report.count("made"), report.count("not_made"), again) == (CARDS, 1, CARDS)
        assert report.count("key") == CARDS * len(KEYS)
    assert reading < ONE_AT_A_TIME, (reading, CARDS)
    assert going_through < kept + 2 * A_PART, "this part, and the next while it is fetched"


def test_a_file_is_read_from_where_it_begins(tmp_path: Path) -> None:
    path = results(tmp_path / "results", (card(number) for number in (1, 2)))
    moved = tmp_path / "moved"
    moved.write_bytes(b"before" + path.read_bytes())
    with moved.open("rb") as stream, Report() as report:
        stream.seek(6)
        read(RecordReader(stream), report, MEASURE)
        (made,) = report.parts("SELECT number, chip, flaw FROM made")
    flaw = "production-record: the chip's production record is another chip's"
    assert made == [(f"{number:010}", f"{number:010}".encode().hex(), flaw) for number in (1, 2)]
