"""More routes of the API: mass emission for citizens, and what the office's other pages list."""

from collections.abc import Mapping
from typing import Any

from uec.domain.actors import CITIZEN
from uec.domain.errors import NotFound
from uec.domain.permissions import Permission
from uec.jobs import JOBS
from uec.services import job_control, job_list, notices, plan_office, refusal_lists, refusals, stock_balance
from uec.services.stock_balance import Line
from uec.services.views import Page
from uec.web.access import current_actor, needs, public
from uec.web.api import schemas
from uec.web.api.routes import Values, at, count_attempt, gives, takes
from uec.web.context import database, now, policy, reader, today

RHYTHMS = {name: job.every for name, job in JOBS.items()}


@at("/notice")
@gives(200, schemas.NoticeOutput)
@public
def notice() -> object:
    """Show the public notice of mass emission in force; 404 before the first one."""
    found = notices.public_notice(reader(), on=today())
    if found is None:
        raise NotFound("No notice of mass emission is published yet.", kind="PublicNotice", id="")
    return found


@at("/refusals", "POST")
@takes(schemas.RefusalInput)
@gives(201, schemas.ConfirmationOutput)
@public
def refuse(values: Values) -> dict[str, str]:
    """File a refusal of a card of the mass emission; the same person again gets the same number."""
    count_attempt()
    return {"number": refusals.file(database(), snils=values["snils"], channel="portal", actor=CITIZEN, now=now())}


@at("/bank-choices", "POST")
@takes(schemas.BankChoiceInput)
@gives(201, schemas.ConfirmationOutput)
@public
def choose_bank(values: Values) -> dict[str, str]:
    """Choose a bank of the notice, within the time for it."""
    count_attempt()
    chosen = notices.choose_bank(
        database(), snils=values["snils"], bank=values["bank"], channel="portal", actor=CITIZEN, policy=policy(),
        now=now(),
    )  # fmt: skip
    return {"number": chosen}


@at("/refusals", secured=True)
@takes(schemas.RefusalsInput, "query")
@gives(200, schemas.paged(schemas.RefusalOutput))
@needs(Permission.VIEW_PERSON)
def list_refusals(values: Values) -> object:
    """List refusals, the newest first."""
    return refusal_lists.find(database(), actor=current_actor(), now=now(), **values)


@at("/stock/balances", secured=True)
@takes(schemas.BalancesInput, "query")
@gives(200, schemas.paged(schemas.BalanceOutput))
@needs(Permission.VIEW_STOCK)
def list_balances(values: Values) -> Page[Line]:
    """Say what became of the blanks, by box, batch or point."""
    by, offset, limit = values["by"], values["offset"], values["limit"]
    if by != "point":
        return stock_balance.page_of(reader(), by, actor=current_actor(), offset=offset, limit=limit)
    lines = stock_balance.by_store(reader(), actor=current_actor())
    return Page(tuple(lines[offset : offset + limit]), len(lines), offset, limit)


@at("/plans/newest", secured=True)
@gives(200, schemas.PlanOutput)
@needs(Permission.VIEW_BATCHES)
def newest_plan() -> object:
    """Show the newest plan of mass emission in figures; 404 before the first one."""
    return plan_office.newest(reader(), actor=current_actor())


@at("/jobs", secured=True)
@gives(200, schemas.JobOutput(many=True))
@needs(Permission.VIEW_JOBS, Permission.MANAGE_JOBS)
def list_jobs() -> object:
    """List what the office does by itself, with last and next run."""
    return job_list.jobs(reader(), RHYTHMS, now=now(), zone=policy().zone)


@at("/jobs/<job>/runs", secured=True)
@takes(schemas.RunsInput, "query")
@gives(200, schemas.RunOutput(many=True))
@needs(Permission.VIEW_JOBS, Permission.MANAGE_JOBS)
def list_runs(values: Mapping[str, Any], job: str) -> object:
    """List the runs of a job that are kept, the newest first."""
    if job not in JOBS:
        raise NotFound(f"There is no job {job}.", kind="Job", id=job)
    return job_list.history(reader(), job, limit=values["limit"])


@at("/jobs/<job>/runs", "POST", secured=True)
@gives(202, schemas.AskedOutput)
@needs(Permission.MANAGE_JOBS)
def run_job(job: str) -> dict[str, bool]:
    """Ask for a run of a job at once."""
    return {"new": job_control.run_now(database(), job, actor=current_actor(), known=JOBS, now=now())}
