"""Routes of the API for lists as files: asked for, followed, taken, deleted; a program's file is its person's."""

from flask import Response
from flask.typing import ResponseReturnValue

from uec.domain.permissions import Permission
from uec.services import export_jobs, export_lists
from uec.services.export_files import FORMS
from uec.store.tables import ExportFile
from uec.web import export_words
from uec.web.access import current_actor, needs
from uec.web.api import detail_schemas
from uec.web.api.routes import Values, at, gives, gives_file, takes
from uec.web.context import database, now, office, policy, reader


@at("/exports", secured=True)
@gives(200, detail_schemas.ExportOutput(many=True))
@needs(Permission.EXPORT_LISTS)
def list_exports() -> list[ExportFile]:
    """List the files that one has asked for and that are kept, the newest first."""
    return export_jobs.mine(reader(), actor=current_actor(), now=now())


@at("/exports", "POST", secured=True)
@takes(detail_schemas.ExportInput)
@gives(202, detail_schemas.ExportOutput)
@needs(Permission.EXPORT_LISTS)
def ask_export(values: Values) -> ExportFile:
    """Have a list made into a file; the same list asked for again while it is in work is the same file."""
    name, actor = values["list"], current_actor()
    export_lists.export_of(name, actor)
    made = export_jobs.ask(
        database(),
        name,
        filters=values["filters"],
        form=values["form"],
        wording=export_words.wording(name),
        actor=actor,
        policy=policy(),
        now=now(),
    )
    return export_jobs.look(database(), made, actor=actor, now=now())


@at("/exports/<int:export_id>", secured=True)
@gives(200, detail_schemas.ExportOutput)
@needs(Permission.EXPORT_LISTS)
def one_export(export_id: int) -> ExportFile:
    """Show a file and how far it is."""
    return export_jobs.look(reader(), export_id, actor=current_actor(), now=now())


@at("/exports/<int:export_id>/file", secured=True)
@gives_file("application/octet-stream", "CSV (UTF-8, semicolons) or XLSX, as it was asked for")
@needs(Permission.EXPORT_LISTS)
def take_export(export_id: int) -> ResponseReturnValue:
    """Give a file that is ready."""
    row = export_jobs.take(database(), export_id, actor=current_actor(), now=now())
    answer = Response(export_jobs.content(office().sessions, row), content_type=FORMS[row.form].content_type)
    answer.content_length = row.size_bytes
    answer.headers["Cache-Control"] = "no-store"
    return answer


@at("/exports/<int:export_id>", "DELETE", secured=True)
@gives(204, detail_schemas.ExportOutput)
@needs(Permission.EXPORT_LISTS)
def delete_export(export_id: int) -> None:
    """Delete a file before its time, or call it off."""
    export_jobs.remove(database(), export_id, actor=current_actor(), now=now())
