"""What the journal remembers, and what a generator believes of the answers it is sent."""

from collections.abc import Generator
from typing import Any

import pytest

from card_io.keyset import SessionKeys
from card_io.secret import Secret
from issuance.keys.port import PutKeyData
from issuance.production import asking
from issuance.production.bundle import (
    Answers,
    CertificatesWanted,
    Fault,
    KnownChip,
    PinsWanted,
    Progress,
    Record,
    RecordKind,
    SecurityObjectWanted,
    Send,
    Step,
    WhoIs,
)
from issuance.production.errors import CardLost, CardRefused
from issuance.production.journal import Journal

OK = bytes.fromhex("9000")
STEPS = (Step(b"\x00\xa4\x04\x00", label="first"), Step(b"\x00\xb0\x00\x00\x00", (0x9000, 0x6282), "second"))


def sent(talk: Generator[Any, Any, Any], answer: object) -> object:
    """The result of a talk that asks one thing."""
    next(talk)
    with pytest.raises(StopIteration) as stopped:
        talk.send(answer)
    return stopped.value.value


def test_an_empty_journal_knows_nothing() -> None:
    journal = Journal(())
    assert journal.claimed_chip is None and journal.public_keys == {} and journal.key_version_of(0x30) is None
    assert not journal.has(RecordKind.FINISHED) and journal.count(RecordKind.WRITE_INTENT) == 0


def test_the_latest_entry_counts() -> None:
    journal = Journal(
        [
            Record(RecordKind.CHIP_CLAIMED, {"chip_id": "aa"}),
            Record(RecordKind.KEY_CHANGE_INTENT, {"kvn": 0x30, "key_version": 1}),
            Record(RecordKind.KEY_CHANGE_INTENT, {"kvn": 0x31, "key_version": 2}),
            Record(RecordKind.KEY_CHANGE_INTENT, {"kvn": 0x30, "key_version": 17}),
            Record(RecordKind.KEYS_MADE, {"public_keys": {"card": "00"}}),
            Record(RecordKind.KEYS_MADE, {"public_keys": {"card": "0102", "signature": "03"}}),
        ]
    )
    assert journal.claimed_chip == "aa"
    assert (journal.key_version_of(0x30), journal.key_version_of(0x31), journal.key_version_of(0x32)) == (17, 2, None)
    assert journal.public_keys == {"card": b"\x01\x02", "signature": b"\x03"}
    assert journal.count(RecordKind.KEY_CHANGE_INTENT) == 3


def test_a_damaged_entry_is_no_guess() -> None:
    with pytest.raises(TypeError):
        _ = Journal([Record(RecordKind.KEYS_MADE, {"public_keys": ["00"]})]).public_keys


def test_a_whole_bundle_gives_its_responses() -> None:
    talk = asking.bundle(STEPS, fresh=True)
    assert next(talk) == Send(STEPS, fresh=True)
    with pytest.raises(StopIteration) as stopped:
        talk.send(Answers((OK, bytes.fromhex("016282")), complete=True))
    assert stopped.value.value == (OK, bytes.fromhex("016282"))


@pytest.mark.parametrize("complete", [True, False])
def test_an_unexpected_status_is_refused_whatever_the_station_says(complete: bool) -> None:
    talk = asking.bundle(STEPS)
    next(talk)
    with pytest.raises(CardRefused) as caught:
        talk.send(Answers((OK, bytes.fromhex("6982")), complete=complete))
    assert (caught.value.label, caught.value.sw) == ("second", 0x6982)


@pytest.mark.parametrize(
    ("answers", "label", "words"),
    [
        (Answers((), complete=False, fault=Fault.CARD_REMOVED), "first", "card_removed"),
        (Answers((OK,), complete=False, fault=Fault.LINK_LOST), "second", "link_lost"),
        (Answers((OK,), complete=True), "second", "answers missing"),
        (Answers((OK,), complete=False, fault=Fault.READER_LOST, detail="plug it in"), "second", "plug it in"),
    ],
)
def test_missing_answers_mean_a_lost_card(answers: Answers, label: str, words: str) -> None:
    talk = asking.bundle(STEPS)
    next(talk)
    with pytest.raises(CardLost, match=words) as caught:
        talk.send(answers)
    assert caught.value.label == label
    assert "same card" in str(caught.value)


def test_an_answer_without_a_status_word_is_refused() -> None:
    talk = asking.bundle(STEPS)
    next(talk)
    with pytest.raises(CardRefused):
        talk.send(Answers((b"\x90",), complete=True))


def test_every_question_takes_its_own_kind_of_answer() -> None:
    keys = SessionKeys(Secret(b"e"), Secret(b"m"), Secret(b"r"))
    data = PutKeyData(b"data", (b"abc", b"def", b"ghi"))
    chip = KnownChip("1", "WRITING", "B-1")
    certificates = CertificatesWanted("1", "aa", {"card": b"spki"})
    pins = PinsWanted("1", {"pin1": 8})
    assert sent(asking.who_is("aa"), None) is None
    assert sent(asking.who_is("aa"), chip) == chip
    assert sent(asking.session_keys(None), keys) is keys  # type: ignore[arg-type]
    assert sent(asking.put_key_data(None), data) is data  # type: ignore[arg-type]
    assert sent(asking.certificates(certificates), {"card": b"der"}) == {"card": b"der"}
    assert sent(asking.security_object(SecurityObjectWanted("1", {})), b"cms") == b"cms"
    assert sent(asking.pins(pins), {"pin1": Secret(b"1")}) == {"pin1": Secret(b"1")}
    assert sent(asking.note(RecordKind.FINISHED, chip_id="aa"), None) is None
    assert sent(asking.progress(1, 2, "x"), None) is None


@pytest.mark.parametrize(
    ("talk", "answer"),
    [
        (asking.bundle(STEPS), None),
        (asking.who_is("aa"), "WRITING"),
        (asking.session_keys(None), b"keys"),  # type: ignore[arg-type]
        (asking.put_key_data(None), None),  # type: ignore[arg-type]
        (asking.certificates(CertificatesWanted("1", "aa", {"card": b"spki"})), {}),
        (asking.certificates(CertificatesWanted("1", "aa", {"card": b"spki"})), {"card": b"", "other": b""}),
        (asking.security_object(SecurityObjectWanted("1", {})), None),
        (asking.pins(PinsWanted("1", {"pin1": 8})), {"pin2": Secret(b"1")}),
    ],
)
def test_another_kind_of_answer_is_a_programming_error(talk: Generator[Any, Any, Any], answer: object) -> None:
    next(talk)
    with pytest.raises(TypeError):
        talk.send(answer)


def test_what_is_asked_is_what_is_yielded() -> None:
    assert next(asking.who_is("aa")) == WhoIs("aa")
    assert next(asking.note(RecordKind.FINISHED, chip_id="aa")) == Record(RecordKind.FINISHED, {"chip_id": "aa"})
    assert next(asking.progress(1, 4, "write_data")) == Progress(1, 4, "write_data")
