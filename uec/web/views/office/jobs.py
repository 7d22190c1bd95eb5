"""What the office does by itself: every job with its last and next run, its history, a pause, and a run at once."""

from datetime import datetime

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from uec.domain.permissions import Permission
from uec.jobs import JOBS
from uec.services import job_control, job_list, messages
from uec.store import queue
from uec.web import job_words
from uec.web.access import current_actor, needs
from uec.web.context import database, now, policy, reader
from uec.web.forms.fields import PageForm
from uec.web.paging import PAGE_ROWS
from uec.web.texts import _, _l
from uec.web.views.office.room import blueprint

RHYTHMS = {name: job.every for name, job in JOBS.items()}


class PauseForm(PageForm):
    """Why a job is stopped for a time."""

    reason = StringField(
        _l("Reason"),
        validators=[
            InputRequired(_l("Give the reason")),
            Length(max=job_control.REASON_LIMIT, message=_l("Shorten it to 200 characters")),
        ],
    )


@blueprint.get("/jobs")
@needs(Permission.VIEW_JOBS, Permission.MANAGE_JOBS)
def jobs() -> ResponseReturnValue:
    """Show every job: when it ran last, how it went, and when it runs next."""
    return render_template(
        "office/jobs.html",
        rows=job_list.jobs(reader(), RHYTHMS, now=now(), zone=policy().zone),
        words=job_words,
        queued=queue.overview(reader()),
        letters=messages.overview(reader()),
    )


@blueprint.route("/jobs/<job>", methods=["GET", "POST"])
@needs(Permission.VIEW_JOBS, Permission.MANAGE_JOBS)
def job(job: str) -> ResponseReturnValue:
    """Show one job with its runs; pause it."""
    if job not in JOBS:
        abort(404)
    form = PauseForm()
    if form.validate_on_submit():
        job_control.pause(database(), job, reason=form.reason.data, actor=current_actor(), known=JOBS, now=now())
        flash(_("The job is paused. Nothing of it is begun until it goes on."), "success")
        return redirect(url_for(".job", job=job))
    runs = job_list.history(reader(), job, limit=PAGE_ROWS + 1, before=_before())
    (row,) = job_list.jobs(reader(), {job: RHYTHMS[job]}, now=now(), zone=policy().zone)
    page = render_template(
        "office/job.html",
        row=row,
        runs=runs[:PAGE_ROWS],
        older=runs[PAGE_ROWS - 1].due_at.isoformat() if len(runs) > PAGE_ROWS else None,
        form=form,
        live=request.args.get("before") is None
        and (row.in_hand is not None or any(run.took is None for run in runs[:1])),
        usual=job_list.usual(reader(), job),
        limit=JOBS[job].limit,
        words=job_words,
    )
    return page, 400 if form.errors else 200


@blueprint.post("/jobs/<job>/run")
@needs(Permission.MANAGE_JOBS)
def job_run(job: str) -> ResponseReturnValue:
    """Ask for a run at once."""
    if job_control.run_now(database(), job, actor=current_actor(), known=JOBS, now=now()):
        flash(_("A run is asked for; the next free worker does it."), "success")
    else:
        flash(_("A run waits for a worker already."), "error")
    return redirect(url_for(".job", job=job))


@blueprint.post("/jobs/<job>/end")
@needs(Permission.MANAGE_JOBS)
def job_end(job: str) -> ResponseReturnValue:
    """Have the run that a worker has in hand ended."""
    if job_control.end_run(database(), job, actor=current_actor(), known=JOBS, now=now()):
        flash(
            _("The worker ends the run within seconds and begins anew. The next run comes when it is due."), "success"
        )
    else:
        flash(_("No run of this job is to be ended."), "error")
    return redirect(url_for(".job", job=job))


@blueprint.post("/jobs/<job>/resume")
@needs(Permission.MANAGE_JOBS)
def job_resume(job: str) -> ResponseReturnValue:
    """Let a paused job go on."""
    job_control.resume(database(), job, actor=current_actor(), known=JOBS, now=now())
    flash(_("The job goes on; what was missed is caught up by one run."), "success")
    return redirect(url_for(".job", job=job))


def _before() -> datetime | None:
    try:
        moment = datetime.fromisoformat(request.args.get("before", ""))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
