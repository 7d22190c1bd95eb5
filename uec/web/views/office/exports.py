"""Lists taken out as files: a short one is streamed at once, a long one is asked for, made by a worker, and taken."""

from collections.abc import Iterator, Mapping
from contextlib import closing

from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.services import export_jobs, export_lists, exports, staff
from uec.services.export_files import FORMS
from uec.services.export_wording import said
from uec.store.engine import reading
from uec.web import audit_words, export_words
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, policy, reader, today
from uec.web.texts import _
from uec.web.views.office.room import blueprint

# Taken out on the pages of one list of residents, not as a whole.
OF_ONE = frozenset({"cohort"})


@blueprint.get("/exports")
@needs(Permission.EXPORT_LISTS)
def exports_page() -> ResponseReturnValue:
    """Show the files that one has asked for, and the lists that one may take out."""
    actor = current_actor()
    named = [(name, export_words.LISTS[name]) for name in export_lists.may_take(actor) if name not in OF_ONE]
    files = export_jobs.mine(reader(), actor=actor, now=now())
    return render_template(
        "office/exports.html",
        lists=named,
        files=files,
        in_work=any(one.state in export_jobs.OPEN for one in files),
        words=export_words,
        days=policy().export_keep_days,
        forms=FORMS,
    )


@blueprint.get("/exports/<name>/<form>")
@needs(Permission.EXPORT_LISTS)
def export(name: str, form: str) -> ResponseReturnValue:
    """Give a list as a file, and the audit keeps it; where it is long, ask whether it is to be made."""
    filters, actor = _asked(name, form), current_actor()
    columns = exports.take(database(), name, actor=actor, filters=filters, form=form, now=now())
    if columns is None:
        return render_template(
            "office/export_ask.html",
            name=name,
            form=form,
            title=export_words.LISTS[name],
            part=export_words.part_of(name, filters),
            asked=request.args.to_dict(),
            most=exports.AT_ONCE,
            days=policy().export_keep_days,
        )
    wording, sessions, zone = export_words.wording(name), office().sessions, policy().zone

    def parts() -> Iterator[bytes]:
        # The request and its sessions are over by now: this one lives as long as the answer goes on.
        with (
            reading(sessions) as session,
            closing(exports.rows(session, name, actor=actor, filters=filters)) as found,
        ):
            spoken = said(found, columns, wording)
            yield from FORMS[form].written(wording.head, spoken, title=wording.title, zone=zone)

    return _sent(Response(parts()), form, f"{name}-{today():%Y-%m-%d}")


@blueprint.post("/exports/<name>/<form>")
@needs(Permission.EXPORT_LISTS)
def ask_export(name: str, form: str) -> ResponseReturnValue:
    """Have a list made into a file."""
    try:
        export_jobs.ask(
            database(),
            name,
            filters=_asked(name, form),
            form=form,
            wording=export_words.wording(name),
            actor=current_actor(),
            policy=policy(),
            now=now(),
        )
    except InvalidInput as error:
        told = {
            "list": _("Several files of yours are in work already: wait for one of them, or call one off."),
            "files": _("The files kept for you are as many or as large as they may be: delete older ones first."),
        }
        if error.facts.get("field") not in told:
            raise
        flash(told[error.facts["field"]], "info")
    return redirect(url_for(".exports_page"))


@blueprint.get("/exports/files/<int:export_id>")
@needs(Permission.EXPORT_LISTS)
def export_file(export_id: int) -> ResponseReturnValue:
    """Give a file that is ready to whoever asked for it."""
    row = export_jobs.take(database(), export_id, actor=current_actor(), now=now())
    answer = Response(export_jobs.content(office().sessions, row))
    answer.content_length = row.size_bytes
    made_on = office().settings.policy.day(row.ended_at or row.asked_at)
    return _sent(answer, row.form, f"{row.list}-{made_on:%Y-%m-%d}")


@blueprint.post("/exports/files/<int:export_id>/remove")
@needs(Permission.EXPORT_LISTS)
def remove_export(export_id: int) -> ResponseReturnValue:
    """Delete a file before its time, or call it off."""
    export_jobs.remove(database(), export_id, actor=current_actor(), now=now())
    flash(_("The file is deleted."), "success")
    return redirect(url_for(".exports_page"))


def _asked(name: str, form: str) -> Mapping[str, str]:
    """Which part of a list the address asks for; a login of the audit's filter as the audit knows its person."""
    if name not in export_words.LISTS or form not in FORMS:
        abort(404)
    filters = {key: value.strip()[:100] for key, value in request.args.items()}
    if filters.get("who"):
        people = {one.login: one.id for one in staff.list_staff(reader())}
        filters["who"] = audit_words.reference_of(filters["who"], people)
    return filters


def _sent(answer: Response, form: str, name: str) -> Response:
    answer.headers["Content-Type"] = FORMS[form].content_type
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer
