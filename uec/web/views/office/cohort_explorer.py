"""The cohort as a query one can open: who would be in on a day, why somebody is in or out, and a list by its kinds."""

import csv
import io
from datetime import date

from flask import Response, render_template, request
from flask.typing import ResponseReturnValue

from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.domain.policy import sensible
from uec.services import cohort as service
from uec.services import cohort_members, cohort_why
from uec.services.cohort_members import Cursor
from uec.services.cohort_rules import BANDS
from uec.web.access import current_actor, needs
from uec.web.context import database, now, policy_book, reader, today
from uec.web.language import pick
from uec.web.paging import PAGE_ROWS, number
from uec.web.phase_words import CONDITIONS, fact_words
from uec.web.views.office.room import blueprint

MAY_SEE = (Permission.MANAGE_COHORT, Permission.APPROVE_COHORT)


@blueprint.get("/cohorts/explore")
@needs(*MAY_SEE)
def cohort_explore() -> ResponseReturnValue:
    """Show residents with the answer to each condition on a day."""
    day, after = _day(), number(request.args.get("after", "0")) or 0
    oktmo, query = request.args.get("oktmo", "")[:11], request.args.get("query", "").strip()[:64]
    rows = cohort_why.explore(
        database(),
        actor=current_actor(),
        as_of=day,
        policy=policy_book().on(day),
        now=now(),
        oktmo=oktmo,
        query=query,
        after=after,
        limit=PAGE_ROWS + 1,
    )
    return render_template(
        "office/cohort_explore.html",
        rows=rows[:PAGE_ROWS],
        last=rows[PAGE_ROWS - 1].resident_id if len(rows) > PAGE_ROWS else None,
        after=after,
        day=day,
        oktmo=oktmo,
        query=query,
        places=_places(),
        conditions=CONDITIONS,
        opens=_opens(day),
    )


@blueprint.get("/cohorts/explore/<int:resident_id>")
@needs(*MAY_SEE)
def cohort_why_page(resident_id: int) -> ResponseReturnValue:
    """Show why one resident is in or out on a day, and whether on a list."""
    day, cohort_id = _day(), number(request.args.get("list", ""))
    verdict = cohort_why.why(
        database(),
        resident_id,
        actor=current_actor(),
        as_of=day,
        policy=policy_book().on(day),
        now=now(),
        cohort_id=cohort_id,
    )
    return render_template(
        "office/cohort_why.html",
        one=verdict,
        day=day,
        conditions=CONDITIONS,
        said=fact_words,
        opens=_opens(day),
        cohort=service.show(reader(), cohort_id, actor=current_actor()) if cohort_id is not None else None,
    )


@blueprint.get("/cohorts/<int:cohort_id>")
@needs(*MAY_SEE)
def cohort(cohort_id: int) -> ResponseReturnValue:
    """Show one list: its breakdown, and its members page by page."""
    view = service.show(reader(), cohort_id, actor=current_actor())
    after = request.args.get("after", "")[:40]
    kind = {name: request.args.get(name, "")[:8] for name in ("oktmo", "band", "sex")}
    page = cohort_why.members(
        database(),
        cohort_id,
        actor=current_actor(),
        policy=policy_book().on(view.as_of),
        now=now(),
        after=Cursor.parse(after),
        limit=PAGE_ROWS,
        **kind,
    )
    shares = _by_place(cohort_members.breakdown(reader(), cohort_id))
    return render_template(
        "office/cohort.html",
        cohort=view,
        rows=page.rows,
        last=page.onward,
        after=after,
        kind=kind,
        shares=shares,
        totals={band: sum(ages[band] for _place, ages, _total in shares) for band in BANDS},
        bands=BANDS,
        names=_names(),
        conditions=CONDITIONS,
    )


@blueprint.get("/cohorts/<int:cohort_id>/breakdown.csv")
@needs(*MAY_SEE)
def cohort_breakdown(cohort_id: int) -> ResponseReturnValue:
    """Give the breakdown as CSV: municipality, age, sex, people."""
    view, names = service.show(reader(), cohort_id, actor=current_actor()), _names()
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerow(("oktmo", "municipality", "age", "sex", "people"))
    for share in cohort_members.breakdown(reader(), cohort_id):
        writer.writerow((share.oktmo, names.get(share.oktmo, ""), share.band, share.sex, share.count))
    answer = Response("\ufeff" + out.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{view.number}.csv"'
    return answer


def _day() -> date:
    try:
        return sensible(date.fromisoformat(request.args.get("as_of", "")), "as_of")
    except (ValueError, InvalidInput):
        return today()


def _opens(day: date) -> date | None:
    """The first day of mass emission, where it has not begun on the day: nobody is on a list of that day."""
    rules = policy_book().on(day)
    return None if rules.mass_emission_open(day) else rules.mass_emission_from


def _places() -> list[tuple[str, str]]:
    """Codes and names of the municipalities, by name."""
    named = [(one.oktmo, pick(one.name_ru, one.name_en)) for one in cohort_why.municipalities(reader())]
    return sorted(named, key=lambda pair: pair[1])


def _names() -> dict[str, str]:
    return {oktmo[:8]: name for oktmo, name in _places()}


def _by_place(shares: list[cohort_members.Share]) -> list[tuple[str, dict[str, int], int]]:
    """Municipalities with their members by age and in all, the largest first."""
    rows: dict[str, dict[str, int]] = {}
    for share in shares:
        ages = rows.setdefault(share.oktmo, dict.fromkeys(BANDS, 0))
        ages[share.band] += share.count
    return sorted(((place, ages, sum(ages.values())) for place, ages in rows.items()), key=lambda row: -row[2])
