"""The mass way in: residents who neither applied nor refused, as one list that two people put their names to.

210-FZ, article 26. The list is computed by one query from the register; what is approved is the Merkle root over its
members (`uec.services.merkle`), so that any edit, through this module or behind its back, voids the approval.

A root over 1.4 million, and as many applications, are no work for a web request: a page asks (`ask`, `ask_opening`),
and the job `cohorts` does it (`compute_asked`, `open_asked`). Two people put their names to the root that was computed;
the members are hashed anew when their applications are opened.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotFound, SamePerson, UecError
from uec.domain.lifecycle import COHORT, CohortEvent, CohortState, advance
from uec.domain.permissions import Permission
from uec.domain.policy import Policy, PolicyBook, sensible
from uec.domain.texts import typed
from uec.services import cohort_members, notices, numbering, schedule
from uec.services.cohort_applications import open_all
from uec.services.cohort_rules import entitled
from uec.services.rows import locked, present
from uec.services.views import CohortView
from uec.store import audit
from uec.store.tables import Cohort, Resident, Staff


class CohortChanged(UecError):
    """The list is no longer what was approved; it is void now. Facts: `number`."""

    code = "uec.cohort_changed"


class ListInWork(UecError):
    """Workers have yet to compute the list, or to open its applications. Facts: `number`."""

    code = "uec.cohort_in_work"


class NotYet(InvalidInput):
    """Applications of a list open later. Facts: `waits_for` ("phase", "list" or "windows"), `day`, None for no notice.

    `day` is the first day of the phase or of the list, or the last one of the windows.
    """

    code = "uec.cohort_not_yet"


def ask(
    session: Session,
    *,
    actor: Actor,
    as_of: date,
    policy: Policy,
    now: datetime,
    limit: int | None = None,
    profile: str | None = None,
) -> CohortView:
    """Write down a DRAFT list of everybody entitled on the day, and ask the workers to compute it.

    `limit` and `profile` are those of `compute`. Raises `InvalidInput` before the policy opens mass emission.
    """
    cohort = _drafted(session, actor=actor, as_of=as_of, policy=policy, now=now, profile=profile)
    cohort.asked_at, cohort.at_most = now, limit
    _tell(session, cohort, "ask", actor, now)
    schedule.ask(session, "cohorts", asked_by=actor.reference, now=now)
    return _committed(session, cohort)


def compute_asked(session: Session, *, actor: Actor, book: PolicyBook, now: datetime) -> list[CohortView]:
    """Compute the lists that were asked for, each in one transaction, the longest waiting first.

    A list that another worker has in hand is left to it; one whose worker was killed still waits.
    """
    waiting = select(Cohort).where(Cohort.asked_at.is_not(None)).order_by(Cohort.id).limit(1)
    made = []
    while cohort := session.scalar(waiting.with_for_update(skip_locked=True, key_share=True)):
        _fill(session, cohort, actor=actor, policy=book.on(cohort.as_of), now=now)
        made.append(_committed(session, cohort))
    return made


def compute(
    session: Session,
    *,
    actor: Actor,
    as_of: date,
    policy: Policy,
    now: datetime,
    oktmo: Sequence[str] = (),
    limit: int | None = None,
    profile: str | None = None,
) -> CohortView:
    """Make a DRAFT list at once: everybody entitled on the day, or some municipalities; oldest register ids first.

    `profile` names the card variant that they get; the office's usual one without it.
    Raises `InvalidInput` before the policy opens mass emission.
    """
    cohort = _drafted(session, actor=actor, as_of=as_of, policy=policy, now=now, profile=profile)
    cohort.at_most = limit
    _fill(session, cohort, actor=actor, policy=policy, now=now, oktmo=oktmo)
    return _committed(session, cohort)


def propose(session: Session, cohort_id: int, *, actor: Actor, now: datetime) -> CohortView:
    """Put one's name to a drafted list; raises `ListInWork` before it is computed."""
    actor.require(Permission.MANAGE_COHORT)
    cohort = _idle(session, cohort_id)
    cohort.state = advance(COHORT, cohort.state, CohortEvent.PROPOSE)
    cohort.proposed_by = actor.staff_id
    _tell(session, cohort, "propose", actor, now)
    return _committed(session, cohort)


def approve(session: Session, cohort_id: int, *, actor: Actor, digest: str, now: datetime) -> CohortView:
    """Approve a proposed list by its root, as another person; `digest` is the root the approver has seen.

    Raises `ListInWork`, `SamePerson`, and `CohortChanged` when the list has another root; it is void then.
    """
    actor.require(Permission.APPROVE_COHORT)
    cohort = _idle(session, cohort_id)
    if actor.staff_id is not None and cohort.proposed_by == actor.staff_id:
        raise SamePerson(
            f"{actor.display} proposed this list and may not also approve it: ask a colleague.",
            actor=actor.reference,
            earlier="propose",
            now="approve",
        )
    if digest != cohort.digest:
        raise _void(session, cohort, actor, now)
    cohort.state = advance(COHORT, cohort.state, CohortEvent.APPROVE)
    cohort.approved_by, cohort.approved_at = actor.staff_id, now
    _tell(session, cohort, "approve", actor, now)
    return _committed(session, cohort)


def take_off(session: Session, cohort_id: int, register_id: str, *, actor: Actor, now: datetime) -> CohortView:
    """Take somebody off the list; a proposed or approved one is void from then on.

    Raises `NotFound` for a stranger, and `InvalidInput` once applications were opened from the list.
    """
    actor.require(Permission.MANAGE_COHORT)
    cohort = _idle(session, cohort_id)
    _require_unopened(cohort)
    resident_id = session.scalar(select(Resident.id).where(Resident.register_id == register_id))
    if resident_id is None or not cohort_members.take_off(session, cohort_id, resident_id):
        raise NotFound(
            f"{register_id} is not on list {cohort.number}: give the register id of somebody who is.",
            kind="resident",
            id=register_id,
        )
    if cohort.state is not CohortState.DRAFT:
        cohort.state = advance(COHORT, cohort.state, CohortEvent.EDIT)
    cohort.count -= 1
    cohort.digest = cohort_members.root(session, cohort_id)
    _tell(session, cohort, "remove-member", actor, now, resident_id=resident_id)
    return _committed(session, cohort)


def discard(session: Session, cohort_id: int, *, actor: Actor, reason: str, now: datetime) -> CohortView:
    """Make a list void that nobody should go by, for a reason; who may propose or approve lists may do so.

    Raises `InvalidInput` without a reason and once applications were opened from it, and `IllegalMove` for a void one.
    """
    if not actor.may(Permission.MANAGE_COHORT):
        actor.require(Permission.APPROVE_COHORT)
    if not (reason := typed(reason)):
        raise InvalidInput("Write why the list is discarded.", field="reason")
    cohort = _idle(session, cohort_id)
    _require_unopened(cohort)
    cohort.state = advance(COHORT, cohort.state, CohortEvent.DISCARD)
    _tell(session, cohort, "discard", actor, now, reason=reason)
    return _committed(session, cohort)


def ask_opening(session: Session, cohort_id: int, *, actor: Actor, policy: Policy, now: datetime) -> CohortView:
    """Ask the workers to open the applications of an approved list.

    Raises `ListInWork`, `InvalidInput` for another list, and `NotYet` before its day or the first one of mass emission
    and while residents may still refuse or choose a bank.
    """
    actor.require(Permission.MANAGE_COHORT)
    cohort = _idle(session, cohort_id)
    _require_ready(session, cohort, policy, now)
    cohort.opening_asked_at = now
    _tell(session, cohort, "ask-opening", actor, now)
    schedule.ask(session, "cohorts", asked_by=actor.reference, now=now)
    return _committed(session, cohort)


def open_asked(session: Session, *, actor: Actor, book: PolicyBook, now: datetime) -> Iterator[CohortView | UecError]:
    """Open the applications of the lists that this was asked for, each in one transaction; what came of each.

    A list that cannot be opened any more is asked for no longer; its error is what came of it.
    """
    waiting = select(Cohort).where(Cohort.opening_asked_at.is_not(None)).order_by(Cohort.id).limit(1)
    while cohort := session.scalar(waiting.with_for_update(skip_locked=True, key_share=True)):
        try:
            open_applications(session, cohort.id, actor=actor, policy=book.at(now), now=now)
        except (CohortChanged, InvalidInput) as error:
            session.rollback()
            cohort.opening_asked_at = None
            session.commit()
            yield error
        else:
            yield _view(session, cohort)


def open_applications(session: Session, cohort_id: int, *, actor: Actor, policy: Policy, now: datetime) -> int:
    """Open an approved application for everybody on an approved list who is still entitled; returns how many.

    Set-based; running it again opens none twice. Raises `CohortChanged` when the members are not those approved, and
    what `ask_opening` does.
    """
    actor.require(Permission.MANAGE_COHORT)
    cohort = locked(session, Cohort, cohort_id)
    _require_approved(cohort)
    if cohort_members.root(session, cohort_id) != cohort.digest:
        raise _void(session, cohort, actor, now)
    _require_ready(session, cohort, policy, now)
    opened = open_all(
        session, cohort, actor=actor, policy=policy, now=now, still_entitled=entitled(cohort.as_of, policy)
    )
    cohort.opened, cohort.opening_asked_at = cohort.opened + opened, None
    _tell(session, cohort, "open-applications", actor, now)
    session.commit()
    return opened


def show(session: Session, cohort_id: int, *, actor: Actor) -> CohortView:
    """One list; raises `NotFound`."""
    actor.require(Permission.VIEW_BATCHES)
    return _view(session, present(session, Cohort, cohort_id))


def list_cohorts(session: Session, *, actor: Actor) -> list[CohortView]:
    """All lists, the newest first."""
    actor.require(Permission.VIEW_BATCHES)
    return [_view(session, cohort) for cohort in session.scalars(select(Cohort).order_by(Cohort.id.desc()))]


def _drafted(
    session: Session, *, actor: Actor, as_of: date, policy: Policy, now: datetime, profile: str | None
) -> Cohort:
    """A list with a number and nobody on it."""
    actor.require(Permission.MANAGE_COHORT)
    if not policy.mass_emission_open(sensible(as_of, "as_of")):
        raise InvalidInput(
            f"Mass emission begins on {policy.mass_emission_from:%d.%m.%Y}: choose a later day.", field="as_of"
        )
    number = f"C-{numbering.take(session, 'cohort')[0]:05d}"
    cohort = Cohort(number=number, as_of=as_of, count=0, digest="", profile=profile, created_at=now)
    session.add(cohort)
    session.flush()
    return cohort


def _fill(
    session: Session, cohort: Cohort, *, actor: Actor, policy: Policy, now: datetime, oktmo: Sequence[str] = ()
) -> None:
    """Members, count and root."""
    cohort.count = cohort_members.choose(
        session, cohort.id, as_of=cohort.as_of, policy=policy, oktmo=oktmo, limit=cohort.at_most
    )
    cohort.digest = cohort_members.root(session, cohort.id)
    cohort.asked_at = None
    _tell(session, cohort, "compute", actor, now)


def _idle(session: Session, cohort_id: int) -> Cohort:
    """The list, locked; raises `ListInWork` rather than wait for the worker that has it."""
    _require_idle(present(session, Cohort, cohort_id))
    cohort = locked(session, Cohort, cohort_id)
    _require_idle(cohort)
    return cohort


def _require_idle(cohort: Cohort) -> None:
    if cohort.asked_at is not None or cohort.opening_asked_at is not None:
        raise ListInWork(
            f"List {cohort.number} is still in work: wait until its page shows what came of it.", number=cohort.number
        )


def _require_approved(cohort: Cohort) -> None:
    if cohort.state is not CohortState.APPROVED:
        raise InvalidInput(
            f"List {cohort.number} is {cohort.state}: only an approved list opens applications.", field="state"
        )


def _require_ready(session: Session, cohort: Cohort, policy: Policy, now: datetime) -> None:
    """An approved list, whose day has come, while mass emission goes on and nobody may refuse any more."""
    _require_approved(cohort)
    today = policy.day(now)
    if not policy.mass_emission_open(today):
        raise NotYet(
            f"Mass emission begins on {policy.mass_emission_from:%d.%m.%Y}: open the applications from that day on.",
            waits_for="phase",
            day=policy.mass_emission_from,
        )
    if today < cohort.as_of:
        raise NotYet(
            f"List {cohort.number} is of {cohort.as_of:%d.%m.%Y}: open its applications from that day on.",
            waits_for="list",
            day=cohort.as_of,
        )
    try:
        notices.require_windows_over(session, on=today)
    except InvalidInput as error:
        raise NotYet(error.message, waits_for="windows", day=error.last) from error


def _require_unopened(cohort: Cohort) -> None:
    if cohort.opened:
        raise InvalidInput(
            f"Applications of list {cohort.number} are open and stand by its root: take back the application instead.",
            field="state",
        )


def _void(session: Session, cohort: Cohort, actor: Actor, now: datetime) -> CohortChanged:
    """Void the list; returns what to raise."""
    cohort.state = advance(COHORT, cohort.state, CohortEvent.EDIT)
    _tell(session, cohort, "void", actor, now)
    session.commit()
    return CohortChanged(
        f"List {cohort.number} is not the one that was shown and is void now: compute a new one.", number=cohort.number
    )


def _tell(
    session: Session,
    cohort: Cohort,
    action: str,
    actor: Actor,
    now: datetime,
    *,
    resident_id: int | None = None,
    **more: str,
) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"cohort.{action}",
        subject_kind="cohort",
        subject_id=cohort.id,
        person_id=resident_id,
        details={"number": cohort.number, "count": cohort.count, "root": cohort.digest, "state": cohort.state.value}
        | more,
        now=now,
    )


def _committed(session: Session, cohort: Cohort) -> CohortView:
    view = _view(session, cohort)
    session.commit()
    return view


def _view(session: Session, cohort: Cohort) -> CohortView:
    return CohortView(
        id=cohort.id,
        number=cohort.number,
        state=cohort.state,
        as_of=cohort.as_of,
        computed=cohort.asked_at is None,
        count=cohort.count,
        digest=cohort.digest,
        profile=cohort.profile,
        proposed_by=_name(session, cohort.proposed_by),
        approved_by=_name(session, cohort.approved_by),
        approved_at=cohort.approved_at,
        opening=cohort.opening_asked_at is not None,
        opened=cohort.opened,
    )


def _name(session: Session, staff_id: int | None) -> str | None:
    return session.scalar(select(Staff.display_name).where(Staff.id == staff_id)) if staff_id else None
