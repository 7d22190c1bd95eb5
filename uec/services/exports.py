"""Lists of the office as files: a short one at once, a long one by a worker (`export_jobs`).

Taking a list out is a look at every record in it: it needs the permission of the list and `EXPORT_LISTS`, and the audit
keeps who took which list by which filter, how many rows it had, and in what form, before the first row leaves.
"""

from collections.abc import Generator, Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.services.export_files import FORMS
from uec.services.export_lists import Export, export_of
from uec.services.export_queries import Asked, Cells
from uec.store import audit

AT_ONCE = 20_000
"""Rows that are sent at once, in a second or two; a longer list would hold a web process too long."""
PORTION = 2000


def asked_of(name: str, *, actor: Actor, filters: Mapping[str, str], form: str) -> tuple[Export, Asked]:
    """The list, and what of the filters it knows; raises `NotFound`, `NotAllowed`, `InvalidInput`."""
    chosen = export_of(name, actor)
    if form not in FORMS:
        raise InvalidInput(f"There is no form {form}: choose one of {', '.join(FORMS)}.", field="form")
    return chosen, chosen.asked(filters)


def take(
    session: Session,
    name: str,
    *,
    actor: Actor,
    filters: Mapping[str, str],
    form: str,
    now: datetime,
    at_once: int | None = None,
) -> tuple[str, ...] | None:
    """Write down that a list is taken out and commit; returns its columns. The rows come from `rows`.

    None, and nothing is written, where it has more rows than `at_once` (without it `AT_ONCE`): then a worker should
    make it (`export_jobs.ask`).
    Raises `NotFound` for an unknown list, `NotAllowed`, and `InvalidInput` for a filter that means nothing.
    """
    chosen, asked = asked_of(name, actor=actor, filters=filters, form=form)
    most = AT_ONCE if at_once is None else at_once
    total = length_of(session, chosen, actor=actor, asked=asked, most=most + 1)
    if total > most:
        return None
    audit.record(
        session,
        actor=actor.reference,
        action="export.take",
        subject_kind="export",
        subject_id=name,
        details={"form": form, "rows": total, **asked},
        now=now,
    )
    session.commit()
    return chosen.columns


def length_of(session: Session, chosen: Export, *, actor: Actor, asked: Asked, most: int | None = None) -> int:
    """How many rows a list has, counted to `most` at most; raises as its query does."""
    if chosen.query is None:
        assert chosen.length is not None, "a list without a query knows its length"
        return chosen.length(session, actor, asked)
    found = chosen.query(session, asked).order_by(None).limit(most)
    return session.scalar(select(func.count()).select_from(found.subquery())) or 0


def rows(session: Session, name: str, *, actor: Actor, filters: Mapping[str, str]) -> Generator[Cells]:
    """The rows of a list that was written down, as typed values in the order of its columns.

    Whoever may stop half way closes them before the session.
    """
    chosen = export_of(name, actor)
    asked = chosen.asked(filters)
    if chosen.query is None:
        assert chosen.rows is not None, "a list has a query or rows"
        yield from chosen.rows(session, actor, asked)
        return
    with session.execute(chosen.query(session, asked).execution_options(yield_per=PORTION)) as found:
        for row in found:
            yield tuple(row)
