"""Playing bundles: in order, to the first surprise; faults become answers, and transcripts tell no content."""

import hashlib

import pytest

from card_io.connection import Connection
from card_io.errors import CardError, UnexpectedAnswer
from card_io.reader_errors import CardMute, CardRemoved, CardReset, NoCard, NoReader, ReaderError, ServiceNotRunning
from card_io.virtual import faults
from issuance.production.bundle import Answers, Fault, Record, RecordKind, Send, Step
from issuance.production.relay import OpenedSlot, play
from issuance.production.transcript import Transcript, content_of, digest, is_whole

SELECT = bytes.fromhex("00A4040005F055454300")
READ = bytes.fromhex("00B0000000")


class Script:
    """A card that answers from a list; an error in it is raised."""

    atr = b"\x3b\x01"

    def __init__(self, *answers: str | CardError) -> None:
        self.answers = list(answers)
        self.heard: list[bytes] = []
        self.closed = 0

    def transmit(self, command: bytes) -> bytes:
        self.heard.append(command)
        answer = self.answers.pop(0)
        if isinstance(answer, CardError):
            raise answer
        return bytes.fromhex(answer)

    def close(self) -> None:
        self.closed += 1


def steps(*expect: int) -> tuple[Step, ...]:
    return tuple(Step(READ, (sw,), f"step {number}") for number, sw in enumerate(expect))


def test_a_bundle_is_played_in_order() -> None:
    card = Script("019000", "6A82")
    answers = play(OpenedSlot(lambda: card), Send((Step(SELECT, label="a"), Step(READ, (0x9000, 0x6A82), "b"))))
    assert answers.complete and answers.fault is None and answers.atr == card.atr
    assert answers.responses == (bytes.fromhex("019000"), bytes.fromhex("6A82"))
    assert len(answers.elapsed_ms) == 2
    assert card.heard == [SELECT, READ]


def test_it_stops_at_the_first_surprise() -> None:
    card = Script("9000", "6982", "9000")
    answers = play(OpenedSlot(lambda: card), Send(steps(0x9000, 0x9000, 0x9000)))
    assert not answers.complete and answers.fault is None
    assert answers.responses == (bytes.fromhex("9000"), bytes.fromhex("6982"))
    assert len(card.heard) == 2


def test_the_station_fetches_what_the_card_holds_ready() -> None:
    card = Script("AA6102", "BBCC9000")
    answers = play(OpenedSlot(lambda: card), Send(steps(0x9000)))
    assert answers.responses == (bytes.fromhex("AABBCC9000"),)


def test_fresh_opens_anew_and_later_bundles_go_on() -> None:
    opened: list[Script] = []

    def connect() -> Connection:
        opened.append(Script("9000", "9000"))
        return opened[-1]

    slot = OpenedSlot(connect)
    play(slot, Send(steps(0x9000), fresh=True))
    play(slot, Send(steps(0x9000)))
    assert len(opened) == 1
    play(slot, Send(steps(0x9000), fresh=True))
    assert [card.closed for card in opened] == [1, 0]
    slot.close()
    slot.close()
    assert opened[-1].closed == 1


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (CardRemoved("r"), Fault.CARD_REMOVED),
        (CardReset("r"), Fault.CARD_REMOVED),
        (NoCard("r"), Fault.CARD_REMOVED),
        (faults.lost(), Fault.CARD_REMOVED),
        (CardMute("r"), Fault.CARD_MUTE),
        (faults.mute(), Fault.CARD_MUTE),
        (UnexpectedAnswer("never ends"), Fault.CARD_MUTE),
        (NoReader("r", ()), Fault.READER_LOST),
        (ServiceNotRunning(), Fault.READER_LOST),
        (ReaderError("r"), Fault.READER_LOST),
    ],
)
def test_faults_become_answers(error: CardError, fault: Fault) -> None:
    card = Script("9000", error)
    answers = play(OpenedSlot(lambda: card), Send(steps(0x9000, 0x9000)))
    assert (answers.complete, answers.fault, answers.detail) == (False, fault, str(error))
    assert answers.responses == (bytes.fromhex("9000"),)
    assert card.closed == 1, "the card loses its power"


def test_progress_is_heard_before_each_step() -> None:
    heard: list[tuple[int, str]] = []
    play(
        OpenedSlot(lambda: Script("9000", "9000")),
        Send(steps(0x9000, 0x9000)),
        on_step=lambda number, label: heard.append((number, label)),
    )
    assert heard == [(0, "step 0"), (1, "step 1")]


def test_a_transcript_tells_instruction_status_and_lengths_only() -> None:
    transcript = Transcript()
    secret = bytes.fromhex("00200001") + b"\x041937"
    bundle = Send((Step(secret, label="verify_pin"), Step(READ, label="read_files")))
    transcript.add(
        bundle, Answers((bytes.fromhex("9000"), bytes.fromhex("AABB9000")), complete=True, elapsed_ms=(3, 4))
    )
    facts = transcript.facts()
    assert facts["trips"] == [
        {
            "commands": 2,
            "fresh": False,
            "fault": "",
            "lines": [
                {"label": "verify_pin", "ins": "20", "sw": "9000", "sent": 9, "received": 0, "ms": 3},
                {"label": "read_files", "ins": "B0", "sw": "9000", "sent": 5, "received": 2, "ms": 4},
            ],
        }
    ]
    assert (transcript.round_trips, transcript.commands) == (1, 2)
    assert "1937" not in str(facts) and "31393337" not in str(facts)


def test_a_changed_transcript_is_noticed() -> None:
    transcript = Transcript(lambda found: {"witness": found.hex()})
    transcript.add(Send(steps(0x9000)), Answers((bytes.fromhex("9000"),), complete=True))
    facts = transcript.facts()
    assert is_whole(facts) and facts["witness"] == facts["digest"] == digest(content_of(facts)).hex()
    changed = [{**trip, "fault": "none"} for trip in facts["trips"]]  # type: ignore[attr-defined]
    assert not is_whole(facts | {"trips": changed})
    assert not is_whole({})


def test_a_transcript_holds_for_one_card_and_for_what_was_recorded() -> None:
    transcript = Transcript(about={"card": "9643600000000142", "work": "PERSONALISE"})
    transcript.add(Send(steps(0x9000)), Answers((bytes.fromhex("9000"),), complete=True))
    transcript.note(Record(RecordKind.KEY_CHANGED, {"chip_id": "00" * 10, "kvn": 48, "check_values": ["8BAF47"]}))
    transcript.note(Record(RecordKind.KEYS_MADE, {"public_keys": {"auth": "ab" * 91}, "files": {"E001": "cd" * 32}}))
    facts = transcript.facts()
    keyed, made = facts["records"]  # type: ignore[misc]
    assert keyed["facts"] == {"chip_id": "00" * 10, "kvn": 48, "check_values": ["8BAF47"]}
    assert made["facts"]["files"] == {"E001": "cd" * 32}, "a digest is told as it is"
    assert made["facts"]["public_keys"] == {"auth": f"sha256:{hashlib.sha256(bytes.fromhex('ab' * 91)).hexdigest()}"}
    assert is_whole(facts)
    for name, other in (("about", {"card": "9643600000000159"}), ("records", []), ("trips", [])):
        assert not is_whole(facts | {name: other}), name
    assert not is_whole({name: value for name, value in facts.items() if name != "about"}), "nor as an older one"


def test_a_transcript_from_before_there_was_more_than_lines_is_still_whole() -> None:
    trips = [{"commands": 1, "fresh": False, "fault": "", "lines": []}]
    assert is_whole({"trips": trips, "digest": digest(trips).hex()})
    assert not is_whole({"trips": [], "digest": digest(trips).hex()})
