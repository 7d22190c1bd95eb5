"""The auditor's page: the newest entries of the chains, by who, kind and subject."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from uec.domain.permissions import Permission
from uec.services import audit as service
from uec.services import staff
from uec.web import audit_words
from uec.web.access import current_actor, needs
from uec.web.context import reader
from uec.web.paging import PAGE_ROWS, offset
from uec.web.views.office.room import blueprint


@blueprint.get("/audit")
@needs(Permission.VIEW_AUDIT)
def audit() -> ResponseReturnValue:
    """Show entries of the audit, newest first."""
    who, kind, subject = (request.args.get(name, "").strip()[:80] for name in ("who", "kind", "subject"))
    people = staff.list_staff(reader())
    page = service.search(
        reader(),
        actor=current_actor(),
        actor_reference=audit_words.reference_of(who, {one.login: one.id for one in people}),
        subject_kind=kind,
        subject_id=subject,
        offset=offset(),
        limit=PAGE_ROWS,
    )
    return render_template(
        "office/audit.html",
        page=page,
        who=who,
        kind=kind,
        subject=subject,
        words=audit_words,
        names={one.id: one.display_name for one in people},
    )
