"""Takes an application on the web or at a window, and answers the applicant who comes back with number and secret.

The mass way in is `uec.services.cohort`. The receipt carries number and date (210-FZ, article 23); the secret on it is
stored as a hash only.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotFound, UecError
from uec.domain.lifecycle import ApplicationState, CardState, Route
from uec.domain.permissions import Permission
from uec.domain.policy import Policy
from uec.domain.texts import typed
from uec.services import numbering
from uec.services.applicant_secret import RandomBytes, hash_secret, matches, new_secret
from uec.services.forms import ApplicationForm, InvalidForm
from uec.services.rows import present
from uec.services.views import ApplicationStatusView, Receipt
from uec.store import audit
from uec.store.tables import Application, Batch, Card, IssuancePoint, Resident

CLOSED = (ApplicationState.CLOSED, ApplicationState.REJECTED, ApplicationState.WITHDRAWN)
SERVING = (CardState.ACTIVE, CardState.SUSPENDED)
_UNKNOWN_SECRET = hash_secret("", "")


class AlreadyServed(UecError):
    """The person has an open application or a card that serves. Facts: `application` or `card` (numbers)."""

    code = "uec.already_served"


def submit_application(
    session: Session,
    *,
    form: ApplicationForm,
    route: Route,
    actor: Actor,
    policy: Policy,
    now: datetime,
    random: RandomBytes,
    misfits: Callable[..., dict[str, str]] | None = None,
    variants: Sequence[str] = (),
) -> Receipt:
    """Check the form, store the application and return its receipt.

    `misfits` takes profile, surname, name and patronymic and says, as errors of the form, which have no room on the
    card. `variants` are the card variants that may be chosen, the usual one first; without them there is no choice.

    Raises `InvalidForm`, `AlreadyServed`, `NotAllowed` (a window needs TAKE_APPLICATION), and `InvalidInput` for the
    mass route or before the policy opens applications.
    """
    if route is Route.MASS:
        raise InvalidInput(
            "Applications of the mass route come from an approved cohort: open them there.", field="route"
        )
    if route is Route.WINDOW:
        actor.require(Permission.TAKE_APPLICATION)
    if not policy.applications_open(policy.day(now)):
        raise InvalidInput(f"Applications are taken from {policy.on_application_from:%d.%m.%Y}: come back then.")
    form = form.validate(today=policy.day(now), policy=policy)
    if form.profile and form.profile not in variants:
        raise InvalidForm({"profile": "form.profile"})
    if form.profile in variants[:1]:
        form = replace(form, profile="")
    names = {"surname": form.surname, "name": form.name, "patronymic": form.patronymic}
    if misfits and (wrong := misfits(profile=form.profile, **names)):
        raise InvalidForm(wrong)
    present(session, IssuancePoint, form.point_id)
    application, secret = _register(session, form, route=route, actor=actor, policy=policy, now=now, random=random)
    session.commit()
    return Receipt(application.number, secret, now, application.due_on, application.profile or "")


def replace_application(
    session: Session,
    *,
    form: ApplicationForm,
    card: Card,
    actor: Actor,
    policy: Policy,
    now: datetime,
    random: RandomBytes,
) -> Receipt:
    """Store the application for a card's successor; the caller commits together with the end of the old card."""
    application, secret = _register(
        session, form, route=Route.WINDOW, actor=actor, policy=policy, now=now, random=random, replaces=card
    )
    return Receipt(application.number, secret, now, application.due_on, application.profile or "")


def application_status(session: Session, *, number: str, secret: str, now: datetime) -> ApplicationStatusView:
    """Where the application stands, for whoever holds number and secret.

    Raises `NotFound` for an unknown number and for a wrong secret alike, after the same work, so that nobody learns
    which numbers exist. `now` is the moment of the look that the audit keeps.
    """
    application = session.scalar(select(Application).where(Application.number == typed(number)))
    stored = application.secret_hash if application and application.secret_hash else _UNKNOWN_SECRET
    fits = matches(application.number if application else "", secret, stored)
    if application is None or not application.secret_hash or not fits:
        raise NotFound(
            "No application has this number and secret: check both on the receipt.", kind="Application", id=number
        )
    audit.record(
        session,
        actor=f"citizen:{application.number}",
        action="application.status",
        subject_kind="application",
        subject_id=application.id,
        person_id=application.resident_id,
        now=now,
    )
    view = _status_of(session, application)
    session.commit()
    return view


def _register(
    session: Session,
    form: ApplicationForm,
    *,
    route: Route,
    actor: Actor,
    policy: Policy,
    now: datetime,
    random: RandomBytes,
    replaces: Card | None = None,
) -> tuple[Application, str]:
    # Taking the number first locks the series, so that two requests of one person cannot pass the next check at once.
    today = policy.day(now)
    number = f"{today:%Y}-{numbering.take(session, f'application-{today:%Y}')[0]:07d}"
    _refuse_served(session, form, replaces=replaces)
    secret = new_secret(random)
    application = Application(
        **_stored_fields(form),
        number=number,
        route=route,
        state=ApplicationState.SUBMITTED,
        resident_id=_resident_of(session, form),
        secret_hash=hash_secret(number, secret),
        submitted_at=now,
        due_on=policy.replaced_on(today) if replaces else policy.due_on(today),
        taken_by=actor.staff_id,
        replaces_card_id=replaces.id if replaces else None,
    )
    session.add(application)
    session.flush()
    audit.record(
        session,
        actor=actor.reference,
        action="application.submit",
        subject_kind="application",
        subject_id=application.id,
        person_id=application.resident_id,
        details={"number": number, "route": route.value, "reason": form.reason.value}
        | ({"profile": form.profile} if form.profile else {}),
        now=now,
    )
    return application, secret


def _stored_fields(form: ApplicationForm) -> dict[str, object]:
    optional = ("patronymic", "oms", "phone", "email", "bank", "representative_name", "photo", "language", "profile")
    fields: dict[str, object] = {name: getattr(form, name) for name in form.__dataclass_fields__}
    return fields | {name: fields[name] or None for name in optional}


def _refuse_served(session: Session, form: ApplicationForm, *, replaces: Card | None) -> None:
    open_one = session.scalar(
        select(Application.number).where(Application.snils == form.snils, Application.state.not_in(CLOSED)).limit(1)
    )
    if open_one is not None:
        raise AlreadyServed(
            f"Application {open_one} of this person is still open: follow that one.", application=open_one, card=None
        )
    served = select(Card.number).join(Application, Application.id == Card.application_id)
    served = served.where(Application.snils == form.snils, Card.state.in_(SERVING))
    if replaces is not None:
        served = served.where(Card.id != replaces.id)
    card = session.scalar(served.limit(1))
    if card is not None:
        raise AlreadyServed(
            f"This person holds card {card}: report it lost or ask for its replacement at a window.",
            application=None,
            card=card,
        )


def _resident_of(session: Session, form: ApplicationForm) -> int | None:
    """The register's row of the applicant, when number, name and birth date all agree."""
    same = (
        Resident.snils == form.snils,
        Resident.surname == form.surname,
        Resident.name == form.name,
        Resident.birth_date == form.birth_date,
    )
    return session.scalar(select(Resident.id).where(*same).limit(1))


def _status_of(session: Session, application: Application) -> ApplicationStatusView:
    point = present(session, IssuancePoint, application.point_id)
    promised = select(Batch.planned_for).join(Card, Card.batch_id == Batch.id)
    promised = promised.where(Card.application_id == application.id).order_by(Card.id.desc()).limit(1)
    rejected = application.state is ApplicationState.REJECTED
    return ApplicationStatusView(
        number=application.number,
        state=application.state,
        submitted_at=application.submitted_at,
        due_on=application.due_on,
        promised_on=session.scalar(promised) if application.state is ApplicationState.PLANNED else None,
        point_name_ru=point.name_ru,
        point_name_en=point.name_en,
        point_address=point.address,
        decision_reason=application.decision_reason if rejected else None,
        card_ready=application.state is ApplicationState.READY,
    )
