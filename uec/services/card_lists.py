"""Finds cards and opens one; both are looks at people's records and stand in the audit."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select, union
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import CardState
from uec.domain.names import full_name
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services.operations import operation_view
from uec.services.rows import present
from uec.services.seeking import Seek, ids_of
from uec.services.views import CardDetail, CardRow, CertificateView, JournalView, Page
from uec.store import audit
from uec.store.lengths import Length, estimate_of, length_of, lengths_by
from uec.store.tables import Application, Batch, Card, CardOperation, Certificate, JournalEntry
from uec.store.tables.production import UNWRITTEN

UNWRITTEN_STATES = (CardState.PLANNED, CardState.PREPARED)


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
    after: int | None = None,
    before: int | None = None,
) -> Page[CardRow]:
    """A page of cards; `query` finds a card or application number, a SNILS or the start of a surname.

    It begins `offset` rows down, or behind the card `after`, or ends in front of `before`.
    """
    actor.require(Permission.VIEW_PERSON)
    wanted = select(Card.id).where(*conditions(query, states, point_id))
    # Ids first: what comes before a page far down is counted off in an index, without a look at the rows.
    ids = ids_of(session, wanted, (Card.id,), Seek(offset, after, before), limit=limit)
    joined = (
        select(Card, Application, Batch.number)
        .join(Application, Application.id == Card.application_id)
        .join(Batch, Batch.id == Card.batch_id)
        .where(Card.id.in_(ids))
    )
    found = session.execute(joined.order_by(Card.id)).all()
    rows = tuple(_row(card, application, batch_number) for card, application, batch_number in found)
    length = length_of(session, wanted, offset=offset, limit=limit, shown=len(rows))
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
    return Page(rows, length.rows, offset, limit, length.about, keyed=True)


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


def lengths_by_state(session: Session) -> dict[CardState, Length]:
    """How many cards stand in each state; states without one are left out."""
    written = [state.value for state in CardState if state not in UNWRITTEN_STATES]
    stages = lengths_by(session, Card.stage, written)
    return _unwritten(session) | {CardState(stage): length for stage, length in stages.items()}


def _unwritten(session: Session) -> dict[CardState, Length]:
    """The two states that no index tells apart: each card is looked at, unless they are too many for that."""
    mine = Card.stage == UNWRITTEN
    if length_of(session, select(Card.id).where(mine)).about:
        found = {state: estimate_of(session, select(Card.id).where(Card.state == state)) for state in UNWRITTEN_STATES}
    else:
        counted = session.execute(select(Card.state, func.count()).where(mine).group_by(Card.state))
        found = {state: Length(count) for state, count in counted}
    # PostgreSQL never expects less than one row.
    return {state: length for state, length in found.items() if length.rows > (1 if length.about else 0)}


def conditions(query: str, states: Sequence[CardState], point_id: int | None) -> list[ColumnElement[bool]]:
    """The conditions of a list as its filter asks for them, on the card alone."""
    wanted: list[ColumnElement[bool]] = []
    if states:
        stages = {UNWRITTEN if state in UNWRITTEN_STATES else state.value for state in states}
        wanted.append(Card.stage.in_(stages))
        if UNWRITTEN in stages:  # every other stage is the state, and its index is enough
            wanted.append(Card.state.in_(states))
    if point_id is not None:
        wanted.append(Card.batch_id.in_(select(Batch.id).where(Batch.point_id == point_id)))
    if text := typed(query):
        digits = "".join(filter(str.isdigit, text))
        by_surname = Application.surname.startswith(text.capitalize(), autoescape=True)
        who = or_(Application.number == text, Application.snils == digits, by_surname)
        # Each way by its own index: a condition over both tables would read both to the end.
        by_person = select(Card.id).join(Application, Application.id == Card.application_id).where(who)
        by_number = select(Card.id).where(Card.number == digits)
        wanted.append(Card.id.in_(union(by_person, by_number)))
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
