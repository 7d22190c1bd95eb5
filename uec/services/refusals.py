"""Files refusals to receive a card: by any channel, with the least data, and a numbered confirmation.

210-FZ, article 26: a resident who filed one gets no card. Refusals and deaths are looked at again whenever a batch is
prepared and before a card is written. One that is taken back stays with its number, and bars nobody any more.

A refusal is that of a SNILS, and of the resident who had it then: the register may correct the SNILS of either later.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from uec.domain.actors import Actor
from uec.domain.channels import CHANNELS
from uec.domain.errors import IllegalMove, InvalidInput, NotFound
from uec.domain.lifecycle import ApplicationEvent, ApplicationState, Route
from uec.domain.numbers import parse_snils
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services import numbering
from uec.services.moves import move_all
from uec.services.other_records import by_another_record, dead
from uec.services.register_absences import gone
from uec.services.twins import superseded
from uec.store import audit
from uec.store.tables import Application, Refusal, Resident

STANDS = Refusal.withdrawn_at.is_(None)


def file(session: Session, *, snils: str, channel: str, actor: Actor, now: datetime, note: str = "") -> str:
    """Store a refusal and return the number of its confirmation; an open mass application of the person ends with it.

    Who refused already gets the number of that refusal again, unless it was taken back.

    Raises `InvalidNumber` for a SNILS that is none and `InvalidInput` for an unknown channel.
    """
    if channel not in CHANNELS:
        raise InvalidInput(f"A refusal comes by one of {', '.join(CHANNELS)}: choose one.", field="channel")
    snils = parse_snils(snils)
    numbering.take(session, "refusal", count=0)  # a form sent twice at once waits here for itself
    resident_id = _resident_of(session, snils)
    standing = select(Refusal.number).where(_theirs(Refusal, snils, resident_id), STANDS).order_by(Refusal.id)
    filed = session.scalar(standing.limit(1))
    if filed is not None:
        session.commit()
        return filed
    number = f"R-{numbering.take(session, 'refusal')[0]:06d}"
    refusal = Refusal(
        number=number, resident_id=resident_id, snils=snils, channel=channel, filed_at=now, note=typed(note) or None
    )
    session.add(refusal)
    session.flush()
    audit.record(
        session,
        actor=actor.reference,
        action="refusal.file",
        subject_kind="refusal",
        subject_id=refusal.id,
        person_id=resident_id,
        details={"number": number, "channel": channel},
        now=now,
    )
    unplanned = (ApplicationState.APPROVED,)
    move_all(
        session,
        Application,
        ApplicationEvent.WITHDRAW,
        _theirs(Application, snils, resident_id),
        Application.route == Route.MASS,
        Application.state.in_(unplanned),
        actor=actor,
        now=now,
        values={"closed_at": now},
        details={"refusal": number},
    )
    session.commit()
    return number


def filed_at(session: Session, number: str) -> datetime | None:
    """When a refusal was filed, by the number of its confirmation."""
    return session.scalar(select(Refusal.filed_at).where(Refusal.number == number))


def withdraw(session: Session, number: str, *, actor: Actor, reason: str, now: datetime) -> None:
    """Take a refusal back by the person's word: the next list of mass emission has them again.

    An application that ended with the refusal stays ended. Raises `NotFound`, `InvalidInput` without a reason, and
    `IllegalMove` for one that was taken back before.
    """
    actor.require(Permission.TAKE_APPLICATION)
    reason = typed(reason)
    if not reason:
        raise InvalidInput("Write why the refusal is taken back.", field="reason")
    refusal = session.scalar(select(Refusal).where(Refusal.number == number).with_for_update())
    if refusal is None:
        raise NotFound(f"There is no refusal {number}: look it up by its SNILS.", kind="Refusal", id=number)
    if refusal.withdrawn_at is not None:
        raise IllegalMove(
            f"Refusal {number} was taken back already: nothing is left to do.",
            machine="Refusal",
            state="withdrawn",
            event="withdraw",
        )
    refusal.withdrawn_at, refusal.withdrawn_by, refusal.withdrawn_for = now, actor.reference, reason
    audit.record(
        session,
        actor=actor.reference,
        action="refusal.withdraw",
        subject_kind="refusal",
        subject_id=refusal.id,
        person_id=refusal.resident_id,
        details={"number": number, "reason": reason},
        now=now,
    )
    session.commit()


def _resident_of(session: Session, snils: str) -> int | None:
    """Whose SNILS it is; None where nobody has it, or two: which of them refused is not known then."""
    found = session.scalars(select(Resident.id).where(Resident.snils == snils).limit(2)).all()
    return found[0] if len(found) == 1 else None


def _theirs(table: type[Refusal] | type[Application], snils: str, resident_id: int | None) -> ColumnElement[bool]:
    mine = table.snils == snils
    return mine if resident_id is None else or_(mine, table.resident_id == resident_id)


def refused(
    snils: InstrumentedAttribute[str], resident_id: InstrumentedAttribute[int] | InstrumentedAttribute[int | None]
) -> ColumnElement[bool]:
    """Whether a refusal of somebody with this SNILS or record stands, as a condition of a query."""
    # Two looks by an index each; one with an OR would read all refusals for everybody.
    return or_(
        exists().where(Refusal.snils == snils, STANDS), exists().where(Refusal.resident_id == resident_id, STANDS)
    )


def has_refused(record: type[Resident]) -> ColumnElement[bool]:
    """Whether a refusal of the person of a record stands."""
    return refused(record.snils, record.id)


def barred(application: type[Application] = Application) -> ColumnElement[bool]:
    """Whether no card may be made for an application: its person has died, or refused a card nobody asked for.

    Both count as well where another record of the same person says so.

    Nobody asked for the card of a record either beside which another one of the same person stands, or of somebody
    whom a full export of the register lacked and who is gone, as a clerk said.
    """
    person = application.resident_id
    another = by_another_record(person, has_refused)
    unwanted = or_(refused(application.snils, person), another, superseded(person), gone(person))
    died = exists().where(Resident.id == person, Resident.death_date.is_not(None))
    return or_(died, by_another_record(person, dead), (application.route == Route.MASS) & unwanted)
