"""The offline terminal: a genuine card passes with the issuer's certificates alone; every forgery is named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from card_io.applets.uec import layout
from card_io.secret import Secret
from issuance.production.anchors import Anchors
from issuance.production.bundle import RecordKind
from issuance.production.check import check_card
from issuance.production.drivers import send_all
from issuance.production.errors import CardLocked, CardLost, CardRefused, ForeignCard, InspectionFailed
from issuance.production.job import InspectionJob
from issuance.production.judge import CardReport, judge
from issuance.production.observation import Observation, PinState, Proof
from issuance.production.observe import observe
from issuance.production.relay import OpenedSlot, play
from tests.support.line import HOLDER_PINS, Line, blank_card, make_line, slot_of

CARD_KEY_CHECKS = {"card_lock", "applet", "pins", "security_object", "card_number", "proof:card"} | {
    f"certificate:{slot}" for slot in ("authentication", "signature", "agreement", "card")
}


@pytest.fixture(scope="module")
def active(line: Line) -> tuple[str, OpenedSlot]:
    """A card in its holder's hands."""
    number, card = line.order(9001), blank_card(9001)
    line.personalise(number, card)
    line.inspect(number, card)
    line.hand_over(number, card)
    return number, slot_of(card)


def seen(line: Line, slot: OpenedSlot, pins: dict[str, Secret] | None = None) -> Observation:
    talk = observe(line.profile, random=line.randomness.randbytes, pins=pins)
    answer = None
    try:
        while True:
            answer = play(slot, talk.send(answer))  # type: ignore[arg-type]
    except StopIteration as stop:
        found: Observation = stop.value
        return found


def judged(line: Line, observation: Observation) -> CardReport:
    return judge(observation, line.profile, line.anchors, now=line.office.clock())


def failing(report: CardReport) -> set[str]:
    return {finding.check for finding in report.failures}


def test_a_genuine_card_passes_without_any_pin(line: Line, active: tuple[str, OpenedSlot]) -> None:
    number, slot = active
    report = check_card(slot, line.profile, line.anchors, now=line.office.clock(), random=line.randomness.randbytes)
    assert report.genuine
    assert {finding.check for finding in report.findings} == CARD_KEY_CHECKS
    assert report.facts["card_number"] == number
    assert "surname" not in report.facts, "a person's data need the holder's PIN"


def test_with_the_holders_pins_everything_is_read(line: Line, active: tuple[str, OpenedSlot]) -> None:
    _, slot = active
    report = check_card(
        slot, line.profile, line.anchors, now=line.office.clock(), random=line.randomness.randbytes, pins=HOLDER_PINS
    )
    assert report.genuine and report.facts["snils"] == "11223344595"
    assert {finding.check for finding in report.findings} == CARD_KEY_CHECKS | {
        "proof:authentication",
        "proof:signature",
        "proof:agreement",
    }


def test_a_wrong_pin_costs_one_try_and_says_so(line: Line, active: tuple[str, OpenedSlot]) -> None:
    _, slot = active
    with pytest.raises(CardRefused) as caught:
        seen(line, slot, {"pin1": Secret(b"0000")})
    assert (caught.value.label, caught.value.sw) == ("verify_pin", 0x63C2)
    assert judged(line, seen(line, slot, HOLDER_PINS)).genuine


def test_another_issuers_anchors_do_not_fit(line: Line, active: tuple[str, OpenedSlot], tmp_path: Path) -> None:
    other = make_line(tmp_path)
    report = judge(seen(line, active[1]), line.profile, other.anchors, now=line.office.clock())
    assert {"security_object", "certificate:card"} <= failing(report)
    other.office.vault.close()


def test_an_issuing_authority_outside_the_root_is_not_trusted(
    line: Line, active: tuple[str, OpenedSlot], tmp_path: Path
) -> None:
    other = make_line(tmp_path)
    mixed = Anchors.of(other.anchors.root, line.anchors.issuing, line.anchors.policy_arc)
    report = judge(seen(line, active[1]), line.profile, mixed, now=line.office.clock())
    assert {"security_object", "certificate:card"} <= failing(report)
    other.office.vault.close()


def test_an_expired_certificate_is_noticed(line: Line, active: tuple[str, OpenedSlot]) -> None:
    later = line.office.clock() + timedelta(days=2000)
    report = judge(seen(line, active[1]), line.profile, line.anchors, now=later)
    assert {finding for finding in failing(report) if finding.startswith("certificate:")} == {
        f"certificate:{key.name}" for key in line.profile.keys
    }


Doctor = Callable[[Line, Observation, Observation], Observation]


def with_file(fid: int, change: Callable[[bytes], bytes]) -> Doctor:
    return lambda line, one, other: replace(one, files={**one.files, fid: change(one.files[fid])})


def from_other(*fids: int) -> Doctor:
    return lambda line, one, other: replace(one, files={**one.files, **{fid: other.files[fid] for fid in fids}})


def flip_last(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("doctor", "expected"),
    [
        (with_file(0x0101, flip_last), "security_object"),
        (with_file(0x011D, flip_last), "security_object"),
        (with_file(0x0101, lambda content: content + b"\x00"), "security_object"),
        (from_other(0x0101), "security_object"),
        (from_other(0x0101, 0x0102, 0x0103, 0x0104, 0x011D), "card_number"),
        (from_other(0x4504), "proof:card"),
        (with_file(0x4501, flip_last), "certificate:authentication"),
        (with_file(0x4501, lambda content: b""), "certificate:authentication"),
        (with_file(0x4501, lambda content: b"\x30\x00"), "certificate:authentication"),
        (lambda line, one, other: replace(one, closed=False), "applet"),
        (lambda line, one, other: replace(one, life_cycle=layout.AppletState.SELECTABLE), "applet"),
        (lambda line, one, other: replace(one, life_cycle=None), "applet"),
        (lambda line, one, other: replace(one, pins={}), "pins"),
        (
            lambda line, one, other: replace(one, pins={**one.pins, 1: PinState(0, 3, transport=False, blocked=True)}),
            "pins",
        ),
        (
            lambda line, one, other: replace(
                one, pins={**one.pins, 3: PinState(15, 15, transport=False, blocked=False)}
            ),
            "pins",
        ),
        (lambda line, one, other: replace(one, sizes={**one.sizes, 0x0104: 0}), "security_object"),
        (
            lambda line, one, other: replace(
                one, proofs={**one.proofs, "card": Proof(b"another challenge", one.proofs["card"].answer)}
            ),
            "proof:card",
        ),
        (
            lambda line, one, other: replace(
                one, proofs={**one.proofs, "agreement": replace(one.proofs["agreement"], answer=bytes(32))}
            ),
            "proof:agreement",
        ),
        (
            lambda line, one, other: replace(one, files={fid: f for fid, f in one.files.items() if fid != 0x011D}),
            "security_object",
        ),
        # a holder's certificate in the place of the card's: right issuer, wrong use
        (
            lambda line, one, other: replace(one, files={**one.files, 0x4504: one.files[0x4501]}),
            "certificate:card",
        ),
    ],
)
def test_every_forgery_is_named(
    line: Line, active: tuple[str, OpenedSlot], second: OpenedSlot, doctor: Doctor, expected: str
) -> None:
    genuine, other = seen(line, active[1], HOLDER_PINS), seen(line, second, HOLDER_PINS)
    assert judged(line, genuine).genuine and judged(line, other).genuine
    assert expected in failing(judged(line, doctor(line, genuine, other)))


@pytest.fixture(scope="module")
def second(line: Line) -> OpenedSlot:
    """Another genuine card."""
    number, card = line.order(9002, snils="11223344500"), blank_card(9002)
    line.personalise(number, card)
    line.inspect(number, card)
    line.hand_over(number, card)
    return slot_of(card)


def test_a_blank_is_no_card_to_check(line: Line) -> None:
    with pytest.raises(ForeignCard):
        check_card(
            slot_of(blank_card(9003)),
            line.profile,
            line.anchors,
            now=line.office.clock(),
            random=line.randomness.randbytes,
        )


def test_an_empty_reader_is_one_clear_error(line: Line) -> None:
    card = blank_card(9004)
    card.present = False
    with pytest.raises(CardLost):
        check_card(slot_of(card), line.profile, line.anchors, now=line.office.clock(), random=line.randomness.randbytes)


def test_a_terminal_has_no_office(line: Line) -> None:
    from issuance.production.inspect import inspect

    job = InspectionJob("1", "2", {}, {})
    talk = inspect(job, line.profile, line.anchors, now=line.office.clock(), random=line.randomness.randbytes)
    with pytest.raises(TypeError, match="no office"):
        send_all(talk, lambda bundle: play(slot_of(blank_card(9005)), bundle))


CARD_LOCKED, TERMINATED = 0x7F, 0xFF


@pytest.mark.parametrize("state", [CARD_LOCKED, TERMINATED])
def test_a_locked_card_is_told_from_a_foreign_one(line: Line, state: int) -> None:
    number, card = line.order(9006 + state), blank_card(9006 + state)
    line.personalise(number, card)
    card.platform.life_cycle = state
    card._memory.commit()
    with pytest.raises(CardLocked):
        check_card(slot_of(card), line.profile, line.anchors, now=line.office.clock(), random=line.randomness.randbytes)
    with pytest.raises(InspectionFailed, match="card_lock"):
        line.inspect(number, card)
    assert line.office.cards[number].state == "SPOILED", "its inspection failed, and says at which check"
    scrapped = [record for record in line.office.cards[number].journal if record.kind is RecordKind.SCRAPPED]
    assert str(scrapped[0].facts["reason"]).startswith("card_lock: ")
