"""Quarantine by the rule over rows of operations, with its evidence, until somebody releases it."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, add_staff
from tests.support.rows import make_row
from tests.support.stock import LOT, Stockroom, open_stockroom
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, SamePerson
from uec.domain.lifecycle import OperationKind, OperationState
from uec.domain.permissions import Role
from uec.domain.quality import Band, rule_of
from uec.domain.stock import QuarantineState, SubjectKind
from uec.services import operations, quality, quality_refusals, stock_shifts
from uec.services.quality_refusals import Quarantined
from uec.store.tables import AuditEntry, CardOperation, OperationPlace, Quarantine, Staff, Station

BAND = Band()
RULE = rule_of(BAND)


@pytest.fixture
def room(sessions: sessionmaker[Session]) -> Stockroom:
    made = open_stockroom(sessions)
    with sessions() as session:
        session.add_all([Station(id=1, name="Окно 1", readers=[]), Station(id=2, name="Окно 2", readers=[])])
        session.commit()
    return made


def work(
    room: Stockroom,
    outcomes: list[bool | None],
    *,
    station: int | None = 1,
    reader: str = "левый",
    by: int | None = None,
    lot: str | None = None,
    error: str = "card-refused",
) -> None:
    """Operations in their order: True failed for the card's sake, None failed for another reason."""
    with room.sessions() as session:
        first = (session.query(CardOperation).count() or 0) + 1
        cards = {}
        if lot is not None:
            for number in range(first, first + len(outcomes)):
                card = make_row(session.connection(), "card", chip_id=f"{lot}{number:08x}", state="PLANNED")
                cards[number] = card
        rows = [
            {
                "id": number, "kind": OperationKind.PERSONALISE, "card_id": cards.get(number),
                "state": OperationState.REQUESTED, "requested_by": by, "requested_at": NOW, "version": 1,
            }
            for number in range(first, first + len(outcomes))
        ]  # fmt: skip
        session.execute(insert(CardOperation), rows)
        for number, failed in enumerate(outcomes, first):
            row = session.get_one(CardOperation, number)
            row.state = OperationState.RUNNING
            session.flush()
            row.state = OperationState.DONE if failed is False else OperationState.FAILED
            row.error_code = {True: error, None: "vault-locked", False: None}[failed]
            row.finished_at = NOW
            if station is not None:
                session.add(OperationPlace(operation_id=number, station_id=station, reader=reader))
        session.commit()


def evaluate(room: Stockroom) -> list[tuple[str, str]]:
    with room.sessions() as session:
        made = quality.evaluate(session, band=BAND, now=NOW + timedelta(hours=1))
        return [(row.kind.value, row.subject) for row in (session.get_one(Quarantine, key) for key in made)]


def test_a_broken_reader_is_quarantined_with_its_evidence_and_its_station_shares_the_blame(room: Stockroom) -> None:
    work(room, [False] * 30 + [True] * 5, reader="левый")
    work(room, [False] * 60, reader="правый")
    assert evaluate(room) == [("READER", "1:левый"), ("STATION", "1")]
    assert evaluate(room) == [], "once is enough"
    with room.sessions() as session:
        row = session.query(Quarantine).filter_by(kind=SubjectKind.READER).one()
        assert row.label == "Окно 1, левый"
        seen = row.evidence
        assert (seen["tried"], seen["failed"], seen["counter"], seen["threshold"]) == (35, 5, 50, RULE.threshold)
        assert [one["error"] for one in seen["operations"]] == ["card-refused"] * 5
        assert [one["id"] for one in seen["operations"]] == [35, 34, 33, 32, 31]
        assert seen["rate"] == pytest.approx(5 / 35, abs=1e-4)
        assert "5 of 35 failed" in row.reason
        assert session.query(AuditEntry).filter_by(action="quarantine.impose").count() == 2


def test_what_says_nothing_about_the_card_is_no_trial(room: Stockroom) -> None:
    work(room, [None] * 40)
    work(room, [True] * 3)
    assert evaluate(room) == []
    work(room, [True])
    assert ("READER", "1:левый") in evaluate(room)


@pytest.mark.parametrize("error", ["reader.card-mute", "card.status", "inspection-failed", "card-lost"])
def test_every_kind_of_failed_card_counts(room: Stockroom, error: str) -> None:
    work(room, [True] * 4, error=error)
    assert ("READER", "1:левый") in evaluate(room)


@pytest.mark.parametrize("error", ["wrong-card", "chip-taken", "uec.chip_not_in_stock", "vault-busy", "pin-refused"])
def test_an_operator_s_mistake_or_the_office_s_trouble_counts_for_nothing(room: Stockroom, error: str) -> None:
    work(room, [True] * 40, error=error)
    assert evaluate(room) == []


def test_a_vulnerable_lot_and_an_operator_are_found_across_stations(room: Stockroom) -> None:
    with room.sessions() as session:
        clumsy = add_staff(session, "clumsy", Role.PRODUCER).id
        session.commit()
    bad = "479005009999"
    for station in (1, 2):
        for reader in ("левый", "правый"):
            work(room, [False] * 20, station=station, reader=reader, lot=LOT)
            work(room, [True], station=station, reader=reader, lot=bad, by=clumsy)  # type: ignore[arg-type]
    assert evaluate(room) == [("LOT", bad), ("OPERATOR", str(clumsy))]


def test_the_database_reckons_the_counter_as_the_rule_does(room: Stockroom) -> None:
    chance = random.Random(11)
    streams = {
        f"r{number}": [chance.random() < rate for _ in range(120)]
        for number, rate in enumerate((0.01, 0.05, 0.15, 0.4))
    }
    for reader, outcomes in streams.items():
        work(room, outcomes, reader=reader)  # type: ignore[arg-type]
    with room.sessions() as session:
        found = quality.alarms(session, SubjectKind.READER, rule=RULE, now=NOW)
        out = {reader: outcomes for reader, outcomes in streams.items() if RULE.highest(outcomes) >= RULE.threshold}
        assert {alarm.subject: alarm.counter for alarm in found} == {
            f"1:{reader}": RULE.highest(outcomes) for reader, outcomes in out.items()
        }
        assert {alarm.subject: (alarm.tried, alarm.failed) for alarm in found} == {
            f"1:{reader}": (120, sum(outcomes)) for reader, outcomes in out.items()
        }
    assert found, "the worst of them is out of band"


def test_a_release_needs_a_reason_and_wipes_the_slate(room: Stockroom) -> None:
    work(room, [True] * 4)
    evaluate(room)
    with room.sessions() as session:
        key = session.query(Quarantine).filter_by(kind=SubjectKind.READER).one().id
        with pytest.raises(NotAllowed):
            quality.release(session, key, reason="починили", actor=room.keeper, now=NOW)
        with pytest.raises(InvalidInput):
            quality.release(session, key, reason=" ", actor=room.quality, now=NOW)
        session.rollback()
        quality.release(session, key, reason="заменили контакт", actor=room.quality, now=NOW)
        row = session.get_one(Quarantine, key)
        assert (row.state, row.release_reason, row.counted_to) == (QuarantineState.RELEASED, "заменили контакт", 4)
        with pytest.raises(IllegalMove):
            quality.release(session, key, reason="ещё раз", actor=room.quality, now=NOW)
    assert evaluate(room) == [], "what failed before the release counts no more"
    work(room, [True] * 4)
    assert evaluate(room) == [("READER", "1:левый")]


def test_old_failures_are_forgotten(room: Stockroom) -> None:
    work(room, [True] * 4)
    with room.sessions() as session:
        assert quality.evaluate(session, band=BAND, now=NOW + quality.HORIZON + timedelta(days=1)) == []


def test_whoever_is_in_quarantine_gets_no_shift_and_no_operation(room: Stockroom) -> None:
    producer = room.producer
    with room.sessions() as session:
        for kind, subject in ((SubjectKind.STATION, "2"), (SubjectKind.READER, "1:левый")):
            quality.impose(session, kind, subject, reason="проверка", actor=room.quality, now=NOW)

    def ask(station: int, reader: str | None) -> None:
        with room.sessions() as session:
            operations.request_operation(
                session, kind=OperationKind.READ, card_id=None, station_id=station, reader=reader,
                actor=add_reader(session), now=NOW,
            )  # fmt: skip

    def add_reader(session: Session):  # type: ignore[no-untyped-def]
        number = session.query(Staff).count()
        return add_staff(session, f"operator{number}", Role.OPERATOR)

    for station, reader, name in ((2, None, "Station Окно 2"), (2, "любой", "Окно 2"), (1, "левый", "Окно 1, левый")):
        with pytest.raises(Quarantined, match=name):
            ask(station, reader)
    ask(1, "правый")
    with room.sessions() as session, pytest.raises(Quarantined, match="Окно 2"):
        stock_shifts.open_shift(session, store_id=room.point, station_id=2, actor=producer, now=NOW)
    with room.sessions() as session:
        quality.impose(session, SubjectKind.OPERATOR, str(producer.id), reason="x", actor=room.quality, now=NOW)
    with room.sessions() as session, pytest.raises(Quarantined, match=producer.display):
        stock_shifts.open_shift(session, store_id=room.point, station_id=1, actor=producer, now=NOW)


def test_nobody_releases_themselves(room: Stockroom) -> None:
    with room.sessions() as session:
        key = quality.impose(
            session, SubjectKind.OPERATOR, str(room.quality.id), reason="x", actor=room.quality, now=NOW
        )
        with pytest.raises(SamePerson):
            quality.release(session, key, reason="сам", actor=room.quality, now=NOW)


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (SubjectKind.STATION, "77"), (SubjectKind.STATION, "окно"), (SubjectKind.READER, "1"),
        (SubjectKind.READER, "77:левый"), (SubjectKind.OPERATOR, "0"), (SubjectKind.LOT, "47"),
        (SubjectKind.LOT, "x" * 12), (SubjectKind.READER, "1:" + "я" * 300), (SubjectKind.STATION, "9" * 30),
    ],
)  # fmt: skip
def test_subjects_that_are_none(room: Stockroom, kind: SubjectKind, subject: str) -> None:
    with room.sessions() as session:
        with pytest.raises(InvalidInput):
            quality.impose(session, kind, subject, reason="x", actor=room.quality, now=NOW)
        assert quality_refusals.imposed(session, list(SubjectKind)) == set()


def test_a_second_quarantine_of_the_same_is_refused(room: Stockroom) -> None:
    with room.sessions() as session:
        quality.impose(session, SubjectKind.LOT, LOT, reason="x", actor=room.quality, now=NOW)
        with pytest.raises(Quarantined, match="already"):
            quality.impose(session, SubjectKind.LOT, LOT, reason="x", actor=room.quality, now=NOW)
