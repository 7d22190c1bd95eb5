"""Cards of a line are drawn by the sampling plan, looked at by somebody else, and held back until then."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.support.desk import CardOffice, open_card_office
from tests.support.office import add_staff
from uec.domain.actors import Actor
from uec.domain.errors import IllegalMove, InvalidNumber, NotAllowed, NotFound, SamePerson
from uec.domain.lifecycle import ApplicationState, CardState
from uec.domain.permissions import Role
from uec.domain.sampling import Defect, LookState, SamplingPlan
from uec.domain.stock import StoreKind
from uec.services import card_looks, cards, handover
from uec.services.card_looks import NotLookedAt
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Application, AuditEntry, CardLook, CardOperation, OperationPlace, Station, StockStore

HALF = SamplingPlan(limit=0.4, certainty=0.8)
"""Two of a batch of four are looked at when two bad ones are to be noticed."""


@dataclass
class Line:
    """An office whose four cards were written by a line, and who looks at them."""

    office: CardOffice
    cards: list[int]
    quality: Actor

    def draw(self, plan: SamplingPlan = HALF) -> int:
        counter = itertools.count()
        with self.office.sessions() as session:
            drawn = card_looks.draw_due(
                session, plan=plan, now=self.office.clock(), random=lambda size: next(counter).to_bytes(size, "big")
            )
            session.commit()
        return drawn

    def looks(self) -> dict[int, LookState]:
        with self.office.sessions() as session:
            return {row.card_id: row.state for row in session.scalars(select(CardLook))}

    def look(self, card_id: int, defect: Defect | None = None, actor: Actor | None = None) -> int:
        card = self.office.card(card_id)
        with self.office.sessions() as session:
            return card_looks.look(
                session, card.number, batch_id=card.batch_id, defect=defect, note="угол помят" if defect else "",
                actor=actor or self.quality, now=self.office.clock(),
            )  # fmt: skip

    def wanted(self) -> list[int]:
        return [card_id for card_id, state in self.looks().items() if state is LookState.WANTED]


@pytest.fixture
def line(database_url: str, tmp_path: Path) -> Iterator[Line]:
    engine = make_engine(database_url)
    office = open_card_office(session_factory(engine), tmp_path)
    made = office.make_cards(1, 2, 3, 4)
    with office.sessions() as session:
        session.add(Station(id=1, name="Линия", readers=[]))
        session.flush()
        session.add(StockStore(code="L", name="Склад линии", kind=StoreKind.LINE, station_id=1, enforced=False))
        for operation in session.scalars(select(CardOperation.id)):
            session.merge(OperationPlace(operation_id=operation, station_id=1, reader="левый"))
        quality = add_staff(session, "looker", Role.QUALITY)
        session.commit()
    yield Line(office, made, quality)
    office.desk.bench.vault.close()
    engine.dispose()


def test_a_sample_is_drawn_once_and_held_back_until_it_was_looked_at(line: Line) -> None:
    assert line.draw() == 2 and line.draw() == 0
    drawn = line.wanted()
    assert len(drawn) == 2 and set(drawn) < set(line.cards)
    unseen = next(card for card in line.cards if card not in drawn)
    with pytest.raises(NotLookedAt, match="2 cards of batch"):
        ask_for_hand_over(line, unseen)
    assert line.look(drawn[0]) == 1
    with pytest.raises(NotFound):
        line.look(drawn[0])
    assert line.look(drawn[1]) == 0
    assert ask_for_hand_over(line, unseen) > 0
    with line.office.sessions() as session:
        (so_far,) = [card_looks.of_batch(session, line.office.card(unseen).batch_id)]
        assert (so_far.drawn, so_far.looked_at, so_far.bad, so_far.left) == (2, 2, 0, 0)
        assert card_looks.waiting(session, actor=line.quality) == []
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("look.")))
        assert sorted(actions) == ["look.draw", "look.good", "look.good"]


def ask_for_hand_over(line: Line, card_id: int) -> int:
    office = line.office
    with office.sessions() as session:
        return handover.request(
            session, card_id, actor=office.staff.second_operator, station_id=None, reader=None, sealed_pins=b"sealed",
            holder_checked=True, now=office.clock(),
        )  # fmt: skip


def test_one_bad_card_draws_all_and_is_made_again(line: Line) -> None:
    line.draw()
    bad, other = line.wanted()
    assert line.look(bad, Defect.PHOTO) == 3
    assert set(line.looks()) == set(line.cards) and line.looks()[bad] is LookState.BAD
    card = line.office.card(bad)
    assert card.state is CardState.SPOILED
    with line.office.sessions() as session:
        assert session.get_one(Application, card.application_id).state is ApplicationState.APPROVED
        row = session.get_one(CardLook, bad)
        assert (row.defect, row.note, row.looked_by) == (Defect.PHOTO, "угол помят", line.quality.staff_id)
        (waiting,) = card_looks.waiting(session, actor=line.quality)
        assert (waiting.drawn, waiting.looked_at, waiting.bad, waiting.left) == (4, 1, 1, 3)
        listed = card_looks.rows_of(session, card.batch_id, actor=line.quality)
        assert [row.state for row in listed] == [LookState.WANTED] * 3 + [LookState.BAD]
    for left, card_id in enumerate(reversed(line.wanted())):
        assert line.look(card_id) == 2 - left
    assert other in line.looks()


def test_who_made_the_card_does_not_look_at_it_and_not_everybody_may(line: Line) -> None:
    line.draw()
    card_id = line.wanted()[0]
    with line.office.sessions() as session:
        asked = select(CardOperation.requested_by).where(CardOperation.card_id == card_id)
        maker = session.scalars(asked).first()
    both = replace(line.quality, id=maker)
    with pytest.raises(SamePerson, match="produced the card"):
        line.look(card_id, actor=both)
    with pytest.raises(NotAllowed):
        line.look(card_id, actor=line.office.staff.producer)
    with line.office.sessions() as session, pytest.raises(InvalidNumber):
        card_looks.look(session, "12", batch_id=1, defect=None, actor=line.quality, now=line.office.clock())
    with line.office.sessions() as session, pytest.raises(NotFound):
        card_looks.of_batch(session, 4711)


def test_cards_of_windows_and_of_long_ago_are_not_drawn(line: Line) -> None:
    line.office.clock.advance(days=31)
    assert line.draw() == 0
    line.office.clock.advance(days=-31)
    with line.office.sessions() as session:
        session.query(StockStore).filter_by(kind=StoreKind.LINE).delete()
        session.commit()
    assert line.draw() == 0


def test_a_drawn_card_that_was_spoiled_meanwhile_is_still_looked_at_and_changes_nothing(line: Line) -> None:
    line.draw()
    card_id = line.wanted()[0]
    with line.office.sessions() as session:
        cards.spoil(session, card_id, actor=line.office.staff.producer, reason="сломана", now=line.office.clock())
    line.look(card_id, Defect.SURFACE)
    assert line.office.card(card_id).state is CardState.SPOILED


def test_the_database_refuses_a_second_opinion(line: Line) -> None:
    line.draw()
    line.look(line.wanted()[0])
    with line.office.sessions() as session, pytest.raises(IllegalMove):
        row = session.scalars(select(CardLook).where(CardLook.state == LookState.GOOD)).one()
        row.state = LookState.BAD
        session.commit()


def test_the_plan_is_one_of_the_office_s_rules() -> None:
    from uec.domain.policy import Policy

    assert Policy().sampling_plan == SamplingPlan()
    assert Policy(look_limit=0.1).sampling_plan.sample_size(500) < SamplingPlan().sample_size(500)
    assert timedelta(days=7) < card_looks.HORIZON
