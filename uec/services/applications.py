"""Lists applications for the office and opens one: looks at people's records, which stand in the audit."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import ApplicationState, Route
from uec.domain.names import full_name
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services.points import point_view
from uec.services.rows import present
from uec.services.seeking import Seek, ids_of
from uec.services.views import ApplicationDetail, ApplicationRow, CheckView, Page
from uec.store import audit
from uec.store.lengths import Length, length_of, lengths_by
from uec.store.tables import Application, Card, IssuancePoint, RegisterCheck, Staff

LIMIT = 50
ORDER = (Application.due_on, Application.id)


def find(
    session: Session,
    *,
    actor: Actor,
    now: datetime,
    states: Sequence[ApplicationState] = (),
    route: Route | None = None,
    point_id: int | None = None,
    query: str = "",
    limit: int = LIMIT,
    offset: int = 0,
    after: int | None = None,
    before: int | None = None,
) -> Page[ApplicationRow]:
    """A page of applications, the ones due first on top; `query` finds a number, a SNILS or the start of a surname.

    It begins `offset` rows down, or behind the application `after`, or ends in front of `before`.
    """
    actor.require(Permission.VIEW_PERSON)
    wanted = select(Application.id).where(*conditions(states, route, point_id, query))
    # Ids first: what comes before a page far down is counted off in an index, without a look at the rows.
    ids = ids_of(session, wanted, ORDER, Seek(offset, after, before), limit=limit)
    rows = session.scalars(select(Application).where(Application.id.in_(ids)).order_by(*ORDER)).all()
    length = length_of(session, wanted, offset=offset, limit=limit, shown=len(rows))
    audit.record(
        session,
        actor=actor.reference,
        action="application.list",
        subject_kind="application-list",
        subject_id=str(point_id or "all"),
        details={
            "query": typed(query),
            "states": [state.value for state in states],
            "shown": [row.number for row in rows],
        },
        now=now,
    )
    page = Page(tuple(_row_of(row) for row in rows), length.rows, offset, limit, length.about, keyed=True)
    session.commit()
    return page


def lengths_by_state(session: Session) -> dict[ApplicationState, Length]:
    """How many applications stand in each state; states without one are left out."""
    return lengths_by(session, Application.state, ApplicationState)


def detail(session: Session, application_id: int, *, actor: Actor, now: datetime) -> ApplicationDetail:
    """Everything about one application; the look is audited. Raises `NotFound`, `NotAllowed`."""
    actor.require(Permission.VIEW_PERSON)
    application = present(session, Application, application_id)
    audit.record(
        session,
        actor=actor.reference,
        action="application.view",
        subject_kind="application",
        subject_id=application.id,
        person_id=application.resident_id,
        now=now,
    )
    view = _detail_of(session, application)
    session.commit()
    return view


def photo(session: Session, application_id: int, *, actor: Actor, now: datetime) -> bytes | None:
    """The applicant's photo (JPEG or PNG) or None; the look is audited."""
    actor.require(Permission.VIEW_PERSON)
    application = present(session, Application, application_id)
    audit.record(
        session,
        actor=actor.reference,
        action="application.photo",
        subject_kind="application",
        subject_id=application.id,
        person_id=application.resident_id,
        now=now,
    )
    content = application.photo
    session.commit()
    return content


def staff_name(session: Session, staff_id: int | None) -> str | None:
    """The display name of a member of staff; None for nobody."""
    return None if staff_id is None else present(session, Staff, staff_id).display_name


def conditions(
    states: Sequence[ApplicationState], route: Route | None, point_id: int | None, query: str
) -> list[ColumnElement[bool]]:
    """The conditions of a list as its filter asks for them."""
    wanted: list[ColumnElement[bool]] = []
    if states:
        wanted.append(Application.state.in_(states))
    if route is not None:
        wanted.append(Application.route == route)
    if point_id is not None:
        wanted.append(Application.point_id == point_id)
    if text := typed(query):
        digits = "".join(filter(str.isdigit, text))
        by_surname = Application.surname.startswith(text.capitalize(), autoescape=True)
        wanted.append(or_(Application.number == text, Application.snils == digits, by_surname))
    return wanted


def _row_of(row: Application) -> ApplicationRow:
    return ApplicationRow(
        id=row.id,
        number=row.number,
        state=row.state,
        route=row.route,
        reason=row.reason,
        full_name=full_name(row.surname, row.name, row.patronymic),
        birth_date=row.birth_date,
        point_id=row.point_id,
        submitted_at=row.submitted_at,
        due_on=row.due_on,
    )


def _detail_of(session: Session, row: Application) -> ApplicationDetail:
    checks = session.scalars(
        select(RegisterCheck).where(RegisterCheck.application_id == row.id).order_by(RegisterCheck.register)
    )
    card = session.scalar(select(Card).where(Card.application_id == row.id).order_by(Card.id.desc()).limit(1))
    return ApplicationDetail(
        id=row.id,
        number=row.number,
        state=row.state,
        route=row.route,
        reason=row.reason,
        surname=row.surname,
        name=row.name,
        patronymic=row.patronymic or "",
        birth_date=row.birth_date,
        birth_place=row.birth_place,
        sex=row.sex,
        snils=row.snils,
        oms=row.oms or "",
        document=f"{row.doc_type} {row.doc_series} {row.doc_number}, {row.doc_date:%d.%m.%Y}, {row.doc_issuer}",
        address=row.address,
        phone=row.phone or "",
        email=row.email or "",
        bank=row.bank or "",
        profile=row.profile or "",
        point=point_view(present(session, IssuancePoint, row.point_id)),
        representative_name=row.representative_name,
        has_photo=session.scalar(select(Application.photo.is_not(None)).where(Application.id == row.id)) is True,
        submitted_at=row.submitted_at,
        due_on=row.due_on,
        taken_by=staff_name(session, row.taken_by),
        decided_by=staff_name(session, row.decided_by),
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
        checks=tuple(check_view(check) for check in checks),
        card_id=card.id if card else None,
        card_number=card.number if card else None,
        replaces_card_id=row.replaces_card_id,
        version=row.version,
    )


def check_view(check: RegisterCheck) -> CheckView:
    """One register's answer without its session."""
    return CheckView(
        register=check.register,
        outcome=check.outcome,
        detail=check.detail or "",
        attempts=check.attempts,
        next_attempt_at=check.next_attempt_at,
        answered_at=check.answered_at,
    )
