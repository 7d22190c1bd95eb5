"""Lists taken out as files: CSV streamed row by row, XLSX written to the disk first; constant memory at any length."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from flask import Response, abort, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from uec.domain.permissions import Permission
from uec.services import export_files, exports, staff
from uec.store.engine import reading
from uec.web import audit_words, export_words
from uec.web.access import current_actor, needs
from uec.web.context import database, now, office, reader, today
from uec.web.views.office.room import blueprint

FORMS = ("csv", "xlsx")
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@blueprint.get("/exports")
@needs(Permission.EXPORT_LISTS)
def exports_page() -> ResponseReturnValue:
    """Show the lists that one may take out."""
    named = [(name, export_words.LISTS[name]) for name in exports.may_take(current_actor()) if name != "cohort"]
    return render_template("office/exports.html", lists=named)


@blueprint.get("/exports/<name>/<form>")
@needs(Permission.EXPORT_LISTS)
def export(name: str, form: str) -> ResponseReturnValue:
    """Give a list as a file; the audit keeps that it was taken out."""
    filters = {key: value.strip()[:100] for key, value in request.args.items()}
    if name not in export_words.LISTS or form not in FORMS:
        abort(404)
    if filters.get("who"):
        people = {one.login: one.id for one in staff.list_staff(reader())}
        filters["who"] = audit_words.reference_of(filters["who"], people)
    columns = exports.take(database(), name, actor=current_actor(), filters=filters, form=form, now=now())
    head, rows = export_words.head(columns), _rows(name, filters)
    zone = office().settings.policy.zone
    if form == "csv":
        answer = Response(stream_with_context(export_files.csv_lines(head, rows, zone=zone)))
        answer.headers["Content-Type"] = "text/csv; charset=utf-8"
    else:
        answer = _workbook(head, rows, str(export_words.LISTS[name]))
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}-{today():%Y-%m-%d}.{form}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _rows(name: str, filters: dict[str, str]) -> Iterator[list[export_files.Value]]:
    """The rows over a session of their own, which lives as long as the answer goes on."""
    with reading(office().sessions) as session:
        yield from export_words.said(exports.rows(session, name, actor=current_actor(), filters=filters))


def _workbook(head: list[str], rows: Iterator[list[export_files.Value]], title: str) -> Response:
    folder = tempfile.TemporaryDirectory(prefix="uec-export-")
    path = Path(folder.name) / "list.xlsx"
    try:
        export_files.write_xlsx(path, head, rows, title=title, zone=office().settings.policy.zone)
    except BaseException:
        folder.cleanup()
        raise

    def content() -> Iterator[bytes]:
        with folder:
            yield from export_files.portions(path)

    answer = Response(content(), mimetype=XLSX)
    answer.call_on_close(folder.cleanup)
    answer.content_length = path.stat().st_size
    return answer
