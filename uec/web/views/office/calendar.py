"""The calendar: a month of batches with the load of the lines on each day; a planner drags batches to other days."""

import calendar as weeks_of
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import format_date, get_locale

from uec.domain.lifecycle import BatchState
from uec.domain.permissions import Permission
from uec.services import batch_lists, points, rules
from uec.services.views import CalendarDay
from uec.web.access import current_actor, needs
from uec.web.context import office, reader
from uec.web.context import today as office_day
from uec.web.paging import number
from uec.web.views.office.room import blueprint

FARTHEST_YEARS = 50


@dataclass(frozen=True)
class Month:
    """A month as a grid of weeks; None stands for a day of the next or previous month."""

    key: str
    name: str
    before: str
    before_name: str
    after: str
    after_name: str
    weekdays: tuple[str, ...]
    weeks: tuple[tuple[CalendarDay | None, ...], ...]


def _asked_month(today: date) -> date:
    try:
        asked = date.fromisoformat(f"{request.args.get('month', '')}-01")
    except ValueError:
        return today.replace(day=1)
    return asked if abs(asked.year - today.year) <= FARTHEST_YEARS else today.replace(day=1)


def _month_name(first: date) -> str:
    return str(format_date(first, "LLLL y")).capitalize()


def _month(first: date, found: Sequence[CalendarDay]) -> Month:
    days = {one.day: one for one in found}
    grid = weeks_of.Calendar().monthdatescalendar(first.year, first.month)
    locale = get_locale()
    names = locale.days["stand-alone"]["abbreviated"] if locale else {}
    before, after = (first - timedelta(days=1)).replace(day=1), (first + timedelta(days=32)).replace(day=1)
    return Month(
        key=f"{first:%Y-%m}",
        name=_month_name(first),
        before=f"{before:%Y-%m}",
        before_name=_month_name(before),
        after=f"{after:%Y-%m}",
        after_name=_month_name(after),
        weekdays=tuple(str(names.get(number, "")) for number in range(7)),
        weeks=tuple(tuple(days.get(day) if day.month == first.month else None for day in week) for week in grid),
    )


@blueprint.get("/calendar")
@needs(Permission.VIEW_BATCHES)
def calendar() -> ResponseReturnValue:
    """Show a month of batches, of one point or of all together."""
    today = office_day()
    first = _asked_month(today)
    last = first.replace(day=weeks_of.monthrange(first.year, first.month)[1])
    point_id = number(request.args.get("point", ""))
    found = batch_lists.calendar(
        reader(),
        actor=current_actor(),
        first=first,
        last=last,
        working=rules.working_calendar(office().settings),
        today=today,
        point_id=point_id,
    )
    return render_template(
        "office/calendar.html",
        month=_month(first, found),
        today=today,
        point_id=point_id,
        points=points.list_points(reader()),
        draggable=current_actor().may(Permission.PLAN_BATCH)
        and any(batch.state is BatchState.PLANNED for one in found for batch in one.batches),
        batch_states=[state for state in BatchState if state is not BatchState.CANCELLED],
    )
