"""Words for what a plan says in codes: bottlenecks, classes of demand, figures and changes of scenarios."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from babel.numbers import format_decimal
from flask_babel import format_number, format_percent, get_locale

from issuance.planning.region import Kind
from uec.domain.errors import InvalidInput
from uec.services.plan_scenarios import Progress
from uec.web.language import language, short_day
from uec.web.texts import _, ngettext

MINUTE_S = 60


@dataclass(frozen=True)
class Figure:
    """A figure of a simulated year: its words, whether more of it is better, and whether it is a share."""

    name: str
    words: str
    more_is_better: bool
    share: bool = False


def bottlenecks() -> Mapping[str, str]:
    """What holds a week back."""
    return {
        "lines": _("lines"),
        "chips": _("chips"),
        "windows": _("windows"),
        "points": _("points without courier, room or hours"),
        "none": _("nothing holds it back"),
    }


def reasons() -> Mapping[str, str]:
    """Why a card is late."""
    return {
        "no_work": _("nothing is worked in the whole plan"),
        "no_route": _("the mobile office has no stop"),
        "no_courier": _("no courier goes to the point"),
        "no_room": _("the safe of the point has no room"),
        "no_windows": _("the point hands no cards over"),
        "no_maker": _("no line makes the card variant"),
        "clock_too_short": _("the clock ends before the first trip arrives"),
        "no_chips": _("chips are short"),
        "no_lines": _("the lines are short"),
        "point_full": _("the point cannot store or hand over more"),
        "beyond_horizon": _("the plan ends before"),
    }


def kinds() -> Mapping[int, str]:
    """The classes of demand."""
    return {Kind.REMAKE: _("remake"), Kind.CLOCK: _("on application"), Kind.COHORT: _("mass emission")}


def figures() -> tuple[Figure, ...]:
    """The figures of scenarios, in the order of the table."""
    return (
        Figure("kept", _("Promises kept"), more_is_better=True, share=True),
        Figure("late_clocks", _("Clocks that ran out"), more_is_better=False, share=True),
        Figure("late_days", _("Days late, of those who are"), more_is_better=False),
        Figure("queue", _("Longest queue at a point"), more_is_better=False),
        Figure("stock_outs", _("Days without chips"), more_is_better=False),
        Figure("handed", _("Cards handed over"), more_is_better=True),
        Figure("unclaimed", _("Cards nobody came for"), more_is_better=False),
    )


def figure(one: Figure, value: float) -> str:
    """A value of a figure."""
    return str(format_percent(value, "0.0%") if one.share else format_number(round(value, 1)))


def wrong(error: InvalidInput) -> tuple[str, str]:
    """The field of an event or a scenario that is wrong, and what to do about it."""
    field = str(error.facts.get("field", ""))
    if language() == "en":
        return field, error.message
    number = _("Write a whole number that makes sense here.")
    day = _("Write a day like 2026-03-30; the last day may not come before the first.")
    factor = _("Write a number between 0 and 100, like 1.5.")
    words = {
        "kind": _("Choose what has happened."),
        "reason": _("Say what happened: write the reason."),
        "line": _("Choose a line of the list, or give a new one a code."),
        "bureau": _("Choose a bureau of the list."),
        "delivery": _("This delivery is not on the list any more."),
        "point": _("There is no such point: choose one of the list."),
        "weekdays": _("Weekdays are 1 (Monday) to 7 (Sunday): write them like 1, 3, 5, or 0 for none."),
        **dict.fromkeys(("shifts", "minutes"), _("Write seven numbers from Monday to Sunday, like 2 2 2 2 2 1 0.")),
        **dict.fromkeys(("cost", "price"), _("Write an amount like 287.50.")),
        "name": _("Give it a name of 1 to 60 characters that no other scenario has."),
        "runs": _("Years to live through: 1 to 1000."),
        "facts": _("Such facts make no plan: check the numbers."),
        **dict.fromkeys(("first", "last", "day", "stops"), day),
        **dict.fromkeys(("factor", "intake", "windows"), factor),
    }
    return field, words.get(field, number)


def how_long(seconds: float) -> str:
    """A time that something takes, in seconds or minutes."""
    if seconds < MINUTE_S:
        return ngettext("%(num)d second", "%(num)d seconds", max(1, round(seconds)))
    return ngettext("%(num)d minute", "%(num)d minutes", round(seconds / MINUTE_S))


def course(progress: Progress) -> str:
    """How far a scenario has come that is being lived through."""
    if progress.left_s is None:
        return str(_("under way: %(runs)s", runs=progress.runs))
    so_far = _("%(done)s of %(runs)s", done=progress.done, runs=progress.runs)
    left = _("about %(time)s left", time=how_long(progress.left_s))
    return f"{so_far}; {left}"


def changes(table: Mapping[str, Any]) -> str:
    """What a scenario changes, in a line."""
    said = []
    if "intake" in table:
        said.append(_("applications × %(factor)s", factor=table["intake"]))
    if "windows" in table:
        said.append(_("windows × %(factor)s", factor=table["windows"]))
    if "chips" in table:
        said.append(_("chips + %(count)s", count=table["chips"]))
    said += [_("%(line)s: shifts + %(more)s", line=line, more=more) for line, more in table.get("shifts", {}).items()]
    said += [_("%(line)s stops", line=line) for line in table.get("stopped", ())]
    return "; ".join(said) or _("nothing: as it is")


def thousands(value: float) -> str:
    """A number in groups, as the page's language writes it."""
    return _grouped(value, str(get_locale() or "ru"))


@lru_cache(maxsize=8192)
def _grouped(value: float, locale: str) -> str:
    """Kept, since a month of lines has thousands of numbers, and few different ones."""
    return str(format_decimal(value, locale=locale))


def iso_day(text: str) -> str:
    """A day of the planning facts, as the page's language writes it."""
    try:
        return short_day(date.fromisoformat(text))
    except ValueError:
        return text
