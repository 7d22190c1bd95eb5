"""Faces and print orders over a whole office: previews, the sheet, plastic and chip with one number or no card."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from PIL import Image
from pypdf import PdfReader
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.office import form
from uec.domain.errors import IllegalMove, InvalidInput, InvalidNumber, NotAllowed, NotFound
from uec.domain.lifecycle import CardState, OperationKind, OperationState, Route
from uec.domain.numbers import make_card_number
from uec.domain.printing import PrintState
from uec.services import operations, print_orders, printing
from uec.services.forms import InvalidForm
from uec.services.intake import submit_application
from uec.services.print_orders import WrongPrint
from uec.services.printing import Printer, UnprintableCards
from uec.services.views import OperationView
from uec.store.tables import Application, AuditEntry, Card
from uec.store.tables.printing import PrintOrder

PRINTER = Printer.of(SETTINGS)
LONG = "Константинопольская-Верхнеозёрская-Нижнеозёрская"


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def prepared(office: CardOffice, *people: int) -> int:
    office.approve_applicants(*people)
    (batch_id,) = office.plan()
    office.release(batch_id)
    return batch_id


def sheet(office: CardOffice, batch_id: int) -> PdfReader:
    with office.sessions() as session:
        made = print_orders.print_batch(
            session, batch_id, printer=PRINTER, actor=office.staff.producer, now=office.clock()
        )
    return PdfReader(io.BytesIO(made))


def states(office: CardOffice, batch_id: int) -> list[PrintState | None]:
    with office.sessions() as session:
        return [row.state for row in print_orders.of_batch(session, batch_id, actor=office.staff.producer)]


def match(office: CardOffice, number: str, batch_id: int, card_id: int | None = None) -> int:
    with office.sessions() as session:
        return print_orders.match(
            session, number, batch_id=batch_id, card_id=card_id, actor=office.staff.producer, now=office.clock()
        )


def numbers(office: CardOffice) -> list[str]:
    with office.sessions() as session:
        return list(session.scalars(select(Card.number).order_by(Card.number)))


def test_a_sheet_has_every_prepared_card_by_number_and_none_of_the_matched(office: CardOffice) -> None:
    batch_id = prepared(office, 1, 2, 3)
    assert states(office, batch_id) == [None] * 3
    pages = sheet(office, batch_id).pages
    assert states(office, batch_id) == [PrintState.PRINTED] * 3
    found = [re.sub(r"\D", "", re.search(r"9643 \d{4} \d{4} \d{4}", page.extract_text())[0]) for page in pages]  # type: ignore[index]
    assert found == numbers(office)
    match(office, found[1], batch_id)
    assert len(sheet(office, batch_id).pages) == 2, "what is matched is not printed again"
    for number in (found[0], found[2]):
        match(office, number, batch_id)
    with pytest.raises(NotFound, match="Nothing"):
        sheet(office, batch_id)


def test_a_card_is_not_finished_before_plastic_and_chip_agree(office: CardOffice) -> None:
    batch_id = prepared(office, 1)
    sheet(office, batch_id)
    with office.sessions() as session:
        operations.request_batch(session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock())
    (done,) = office.work()
    assert (done.state, done.error_code) == (OperationState.FAILED, "uec.print_not_matched")
    assert "read the number on the plastic" in str(done.error_text)
    (number,) = numbers(office)
    with office.sessions() as session:
        card_id = session.scalars(select(Card.id)).one()
        assert session.scalars(select(Card.state)).one() is CardState.WRITING
    match(office, f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}", batch_id, card_id)
    office.request(OperationKind.PERSONALISE, card_id)
    (again,) = office.work()
    assert again.state is OperationState.DONE
    assert office.card(card_id).state is CardState.PERSONALISED


def test_a_card_that_was_never_ordered_is_finished_as_ever(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    assert office.card(card_id).state is CardState.PERSONALISED


def test_a_profile_may_order_the_print_of_its_cards_itself(office: CardOffice) -> None:
    """No card of it is finished without: neither one nobody ordered, nor one whose print was given up."""
    bench = office.desk.bench
    office.desk = replace(office.desk, bench=replace(bench, profile=replace(bench.profile, orders_print=True)))
    batch_id = prepared(office, 1)
    with office.sessions() as session:
        card_id = session.scalars(select(Card.id)).one()

    def make() -> OperationView:
        office.request(OperationKind.PERSONALISE, card_id)
        (ended,) = office.work()
        return ended

    assert make().error_code == "uec.print_not_matched"
    assert states(office, batch_id) == [PrintState.ORDERED]
    sheet(office, batch_id)
    with office.sessions() as session:
        print_orders.spoil(session, card_id, reason="полоса", actor=office.staff.producer, now=office.clock())
    assert make().error_code == "uec.print_not_matched"
    sheet(office, batch_id)
    match(office, numbers(office)[0], batch_id, card_id)
    done = make()
    assert done.state is OperationState.DONE, done.error_text
    assert office.card(card_id).state is CardState.PERSONALISED


def test_the_plastic_of_another_card_is_told_and_leaves_a_trace(office: CardOffice) -> None:
    batch_id = prepared(office, 1, 2)
    sheet(office, batch_id)
    mine, other = numbers(office)
    with office.sessions() as session:
        card_id = session.scalars(select(Card.id).where(Card.number == mine)).one()
    with pytest.raises(WrongPrint, match=f"says {other}, the chip {mine}"):
        match(office, other, batch_id, card_id)
    with pytest.raises(InvalidNumber):
        match(office, mine[:-1] + str((int(mine[-1]) + 1) % 10), batch_id)
    with pytest.raises(NotFound):
        match(office, make_card_number("964360", 999_999), batch_id)
    assert states(office, batch_id) == [PrintState.PRINTED] * 2
    with office.sessions() as session:
        (told,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "print.mismatch"))
        assert told.details == {"printed": other} and told.subject_id == str(card_id)


def test_matching_twice_is_matching_once(office: CardOffice) -> None:
    batch_id = prepared(office, 1)
    sheet(office, batch_id)
    (number,) = numbers(office)
    assert match(office, number, batch_id) == match(office, number, batch_id)
    with office.sessions() as session:
        assert len(session.scalars(select(AuditEntry).where(AuditEntry.action == "print.match")).all()) == 1
        order = session.scalars(select(PrintOrder)).one()
        assert order.matched_by == office.staff.producer.staff_id and order.matched_at is not None


def test_a_print_that_is_given_up_is_ordered_anew(office: CardOffice) -> None:
    batch_id = prepared(office, 1)
    sheet(office, batch_id)
    with office.sessions() as session:
        card_id = session.scalars(select(Card.id)).one()
        with pytest.raises(InvalidInput, match="reason"):
            print_orders.spoil(session, card_id, reason=" ", actor=office.staff.producer, now=office.clock())
        print_orders.spoil(session, card_id, reason="smeared", actor=office.staff.producer, now=office.clock())
        with pytest.raises(NotFound):
            print_orders.spoil(session, card_id, reason="again", actor=office.staff.producer, now=office.clock())
    assert states(office, batch_id) == [None]
    assert len(sheet(office, batch_id).pages) == 1
    assert states(office, batch_id) == [PrintState.PRINTED]


def test_who_may_not_produce_prints_nothing(office: CardOffice) -> None:
    batch_id = prepared(office, 1)
    with office.sessions() as session:
        for actor in (office.staff.officer, office.staff.planner, office.staff.auditor):
            with pytest.raises(NotAllowed):
                print_orders.print_batch(session, batch_id, printer=PRINTER, actor=actor, now=office.clock())
            with pytest.raises(NotAllowed):
                print_orders.match(session, "1", batch_id=batch_id, actor=actor, now=office.clock())
        with pytest.raises(NotAllowed):
            printing.card_face(session, 1, printer=PRINTER, actor=office.staff.producer, now=office.clock())


def test_the_database_refuses_a_second_order_and_a_move_that_is_none(office: CardOffice) -> None:
    batch_id = prepared(office, 1)
    sheet(office, batch_id)
    with office.sessions() as session:
        order = session.scalars(select(PrintOrder)).one()
        session.add(PrintOrder(card_id=order.card_id, state=PrintState.ORDERED, ordered_at=office.clock()))
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()
        with pytest.raises(IllegalMove):
            session.execute(update(PrintOrder).values(state=PrintState.ORDERED))
        session.rollback()


def test_a_look_at_a_face_is_a_look_at_the_person(office: CardOffice) -> None:
    prepared(office, 1)
    with office.sessions() as session:
        card_id, application_id = session.execute(select(Card.id, Card.application_id)).one()
        made = printing.card_face(session, card_id, printer=PRINTER, actor=office.staff.officer, now=office.clock())
        ahead = printing.application_face(
            session,
            application_id,
            profile="uec",
            expires_on=date(2031, 3, 2),
            printer=PRINTER,
            actor=office.staff.officer,
            now=office.clock(),
            dpi=600,
        )
        looks = session.scalars(select(AuditEntry.action).where(AuditEntry.actor == office.staff.officer.reference))
        assert list(looks)[-2:] == ["card.view", "application.view"] or {"card.view", "application.view"} <= set(looks)
    with Image.open(io.BytesIO(made)) as card, Image.open(io.BytesIO(ahead)) as application:
        assert card.size == (1011, 638) and application.size == (2022, 1275)


def test_a_name_without_room_is_refused_at_intake_by_its_field(office: CardOffice) -> None:
    def misfits(*, profile: str, surname: str, name: str, patronymic: str) -> dict[str, str]:
        return printing.misfits(PRINTER, profile or "uec", surname=surname, name=name, patronymic=patronymic)

    def submit(number: int, **names: str) -> None:
        with office.sessions() as session:
            submit_application(
                session,
                form=form(number, point_id=office.staff.points[0], **names),
                route=Route.WINDOW,
                actor=office.staff.operator,
                policy=SETTINGS.policy.at(office.clock()),
                now=office.clock(),
                random=office.desk.bench.random,
                misfits=misfits,
            )

    submit(1, surname=LONG)
    too_long = "Абвгдежзийклмнопрстуфхцчшщъыьэюяабвгдежзийклмнопрстуфхцчш"
    with pytest.raises(InvalidForm) as refused:
        submit(2, surname=too_long)
    kind, given, fitting = refused.value.errors["surname"].split(":")
    assert kind == "form.no_room" and int(given) == len(too_long) and 20 < int(fitting) < 40
    with pytest.raises(InvalidForm) as refused:
        submit(3, name=too_long)
    assert set(refused.value.errors) == {"name"}
    with office.sessions() as session:
        assert len(session.scalars(select(Application)).all()) == 1


def test_a_mass_card_without_room_is_named_before_anything_is_printed(office: CardOffice) -> None:
    batch_id = prepared(office, 1, 2)
    with office.sessions() as session:
        session.execute(update(Application).where(Application.id == 1).values(surname="Ш" * 60))
        session.commit()
    with pytest.raises(UnprintableCards, match="9643600000000019: surname has 60 characters"):
        sheet(office, batch_id)
    assert states(office, batch_id) == [None, None]


def test_a_profile_without_a_face_is_not_printed(office: CardOffice, tmp_path: Path) -> None:
    batch_id = prepared(office, 1)
    none = Printer(tmp_path, "", "")
    with office.sessions() as session:
        assert not printing.prints(session, batch_id, printer=none)
        assert printing.misfits(none, "uec", surname="Ш" * 99, name="А", patronymic="") == {}
        with pytest.raises(NotFound, match="not printed"):
            printing.card_face(session, 1, printer=none, actor=office.staff.officer, now=office.clock())
