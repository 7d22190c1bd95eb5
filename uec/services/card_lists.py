"""Finds cards and opens one; both are looks at people's records and stand in the audit."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import CardState
from uec.domain.names import full_name
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services.operations import operation_view
from uec.services.rows import present
from uec.services.views import CardDetail, CardRow, CertificateView, JournalView, Page
from uec.store import audit
from uec.store.tables import Application, Batch, Card, CardOperation, Certificate, JournalEntry
from uec.store.tables.production import UNWRITTEN


def find(
    session: Session,
    *,
    actor: Actor,
    now: datetime,
    query: str = "",
    states: Sequence[CardState] = (),
    point_id: int | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[CardRow]:
    """A page of cards; `query` finds a card or application number, a SNILS or the start of a surname."""
    actor.require(Permission.VIEW_PERSON)
    wanted = conditions(query, states, point_id)
    joined = (
        select(Card, Application, Batch.number)
        .join(Application, Application.id == Card.application_id)
        .join(Batch, Batch.id == Card.batch_id)
        .where(*wanted)
    )
    total = session.scalar(select(func.count()).select_from(joined.subquery())) or 0
    found = session.execute(joined.order_by(Card.id).limit(limit).offset(offset)).all()
    rows = tuple(_row(card, application, batch_number) for card, application, batch_number in found)
    audit.record(
        session,
        actor=actor.reference,
        action="card.list",
        subject_kind="card-list",
        subject_id=str(point_id or "all"),
        details={"query": typed(query), "shown": [row.number for row in rows]},
        now=now,
    )
    session.commit()
    return Page(rows, total, offset, limit)


def detail(session: Session, card_id: int, *, actor: Actor, now: datetime) -> CardDetail:
    """A card with its certificates, journal and operations; the look is audited."""
    actor.require(Permission.VIEW_PERSON)
    card = present(session, Card, card_id)
    audit.record(
        session,
        actor=actor.reference,
        action="card.view",
        subject_kind="card",
        subject_id=card.id,
        person_id=card.resident_id,
        now=now,
    )
    view = _detail(session, card)
    session.commit()
    return view


def count_by_state(session: Session) -> dict[CardState, int]:
    """How many cards stand in each state; states without one are left out."""
    stages = dict(session.execute(select(Card.stage, func.count()).group_by(Card.stage)).all())
    unwritten = select(Card.state, func.count()).where(Card.stage == UNWRITTEN).group_by(Card.state)
    counted = {CardState(stage): count for stage, count in stages.items() if stage != UNWRITTEN}
    return counted | dict(session.execute(unwritten).all())


def conditions(query: str, states: Sequence[CardState], point_id: int | None) -> list[ColumnElement[bool]]:
    """The conditions of a list as its filter asks for them."""
    wanted: list[ColumnElement[bool]] = []
    if states:
        stages = {UNWRITTEN if state in (CardState.PLANNED, CardState.PREPARED) else state.value for state in states}
        wanted += [Card.stage.in_(stages), Card.state.in_(states)]
    if point_id is not None:
        wanted.append(Batch.point_id == point_id)
    if text := typed(query):
        digits = "".join(filter(str.isdigit, text))
        by_surname = Application.surname.startswith(text.capitalize(), autoescape=True)
        by_number = or_(Card.number == digits, Application.snils == digits) if digits else Application.number == text
        wanted.append(or_(by_number, Application.number == text, by_surname))
    return wanted


def _row(card: Card, application: Application, batch_number: str) -> CardRow:
    return CardRow(
        id=card.id,
        number=card.number,
        state=card.state,
        full_name=full_name(application.surname, application.name, application.patronymic),
        printed_name=card.printed_name,
        expires_on=card.expires_on,
        batch_number=batch_number,
        application_number=application.number,
        point_id=application.point_id,
    )


def _detail(session: Session, card: Card) -> CardDetail:
    application = present(session, Application, card.application_id)
    certificates = session.scalars(select(Certificate).where(Certificate.card_id == card.id).order_by(Certificate.id))
    journal = session.scalars(select(JournalEntry).where(JournalEntry.card_id == card.id).order_by(JournalEntry.seq))
    operations = session.scalars(
        select(CardOperation).where(CardOperation.card_id == card.id).order_by(CardOperation.id)
    )
    return CardDetail(
        row=_row(card, application, present(session, Batch, card.batch_id).number),
        application_id=card.application_id,
        batch_id=card.batch_id,
        chip_id=card.chip_id,
        key_version=card.key_version,
        personalised_at=card.personalised_at,
        activated_at=card.activated_at,
        replaces_card_id=card.replaces_card_id,
        certificates=tuple(
            CertificateView(one.profile, one.serial, one.subject, one.state, one.not_before, one.not_after)
            for one in certificates
        ),
        journal=tuple(JournalView(entry.seq, entry.kind, entry.at, entry.facts) for entry in journal),
        operations=tuple(operation_view(operation) for operation in operations),
        version=card.version,
    )
