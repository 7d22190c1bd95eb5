"""The first page after signing in: what waits for this person, and how everything stands."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import render_template, url_for
from flask.typing import ResponseReturnValue

from uec.domain.actors import Actor
from uec.domain.lifecycle import ApplicationState as A
from uec.domain.lifecycle import BatchState as B
from uec.domain.lifecycle import CardState as C
from uec.domain.permissions import Permission
from uec.services import applications, batch_lists, card_lists
from uec.store.lengths import Length
from uec.web.access import current_actor, signed_in
from uec.web.context import reader
from uec.web.texts import ngettext
from uec.web.views.office.room import blueprint

NONE = Length(0)


@dataclass(frozen=True)
class Task:
    """A pile of work with a link to it."""

    length: Length
    text: str
    href: str
    due: bool = True


@blueprint.get("/")
@signed_in
def home() -> ResponseReturnValue:
    """Show the work that waits for who is signed in."""
    actor, session = current_actor(), reader()
    by_state, cards = applications.lengths_by_state(session), card_lists.lengths_by_state(session)
    batches = batch_lists.lengths_by_state(session, actor=actor) if actor.may(Permission.VIEW_BATCHES) else {}
    return render_template(
        "office/home.html",
        tasks=_tasks(actor, by_state, cards, batches),
        applications=[(state, by_state[state]) for state in A if by_state.get(state)],
        cards=[(state, cards[state]) for state in C if cards.get(state)],
    )


def _tasks(
    actor: Actor, by_state: Mapping[A, Length], cards: Mapping[C, Length], batches: Mapping[B, Length]
) -> list[Task]:
    tasks = []
    if actor.may(Permission.DECIDE_APPLICATION):
        checked, failed = by_state.get(A.CHECKED, NONE), by_state.get(A.CHECK_FAILED, NONE)
        text = ngettext("application awaits a decision", "applications await a decision", checked.rows)
        tasks.append(Task(checked, text, url_for(".applications", state=A.CHECKED.value)))
        text = ngettext("application with a mismatch", "applications with a mismatch", failed.rows)
        tasks.append(Task(failed, text, url_for(".applications", state=A.CHECK_FAILED.value)))
    if actor.may(Permission.PLAN_BATCH):
        approved = by_state.get(A.APPROVED, NONE)
        text = ngettext("approved application to plan", "approved applications to plan", approved.rows)
        tasks.append(Task(approved, text, url_for(".batches")))
    if actor.may(Permission.RELEASE_BATCH):
        planned = batches.get(B.PLANNED, NONE)
        text = ngettext("batch awaits release", "batches await release", planned.rows)
        tasks.append(Task(planned, text, url_for(".batches", state=B.PLANNED.value)))
    if actor.may(Permission.PRODUCE_CARD):
        released = batches.get(B.RELEASED, NONE) + batches.get(B.IN_PRODUCTION, NONE)
        text = ngettext("batch to write", "batches to write", released.rows)
        tasks.append(Task(released, text, url_for(".batches", state=B.RELEASED.value)))
    if actor.may(Permission.HAND_OVER_CARD):
        ready = cards.get(C.PERSONALISED, NONE)
        text = ngettext("card awaits its holder", "cards await their holders", ready.rows)
        tasks.append(Task(ready, text, url_for("window.desk"), due=False))
    return tasks
