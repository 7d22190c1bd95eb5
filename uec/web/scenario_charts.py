"""Hides the geometry of scenarios drawn over one another by week: a line for P50 and a thinner one for P90 of each.

Weeks stand by the calendar, so that scenarios tried on other days still lie where they belong; a week without a value
is a gap. Units are the picture's own, as in `charts`; nothing here is a colour or a word.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Any

from uec.web.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Tick, round_top
from uec.web.language import short_day

HALVES, NINES = 0, 1
# A day written under the picture, in its units.
NAME_WIDTH = 76


@dataclass(frozen=True)
class Course:
    """One scenario's lines as SVG points, in pieces where weeks are missing; `number` gives it its colour."""

    number: int
    name: str
    half: tuple[str, ...]
    nine: tuple[str, ...]


@dataclass(frozen=True)
class Lines:
    """A picture of several scenarios, and the same as rows: the week's Monday, then each scenario's P50 and P90."""

    width: int
    height: int
    left: float
    courses: tuple[Course, ...]
    scale: tuple[Tick, ...]
    names: tuple[Tick, ...]
    rows: tuple[tuple[date, tuple[tuple[float | None, float | None], ...]], ...]


def by_week(outcomes: Sequence[tuple[str, Mapping[str, Any]]], figure: str, *, share: bool) -> Lines | None:
    """A figure of scenarios (name, outcome) by week; None where none of them has it, or there is nothing but noughts.

    A `share` is drawn from 0 to 100 %.
    """
    known = [(name, one["weeks"], one["by_week"][figure]) for name, one in outcomes if figure in one.get("by_week", {})]
    weeks = sorted({week for _, own, _ in known for week in own})
    values = [[_placed(weeks, own, pairs[side]) for side in (HALVES, NINES)] for _, own, pairs in known]
    highest = max((value for sides in values for side in sides for value in side if value is not None), default=0.0)
    if not highest:
        return None
    top = 1.0 if share else float(round_top([ceil(highest)]))
    step = (WIDTH - LEFT) / len(weeks)
    courses = tuple(
        Course(number, name, *(_pieces(side, step, top) for side in sides))
        for number, ((name, _, _), sides) in enumerate(zip(known, values, strict=True), 1)
    )
    days = [date.fromisoformat(week) for week in weeks]
    places = [(LEFT + step * (n + 0.5), day) for n, day in enumerate(days)]
    every = max(1, ceil(len(days) / 12))
    return Lines(
        WIDTH,
        HEIGHT,
        LEFT,
        courses,
        tuple(Tick(_y(top * part / 4, top), _label(top * part / 4, share=share)) for part in range(5)),
        tuple(Tick(at, short_day(day)) for at, day in places[::every] if at + NAME_WIDTH / 2 <= WIDTH),
        tuple((day, tuple((sides[HALVES][n], sides[NINES][n]) for sides in values)) for n, day in enumerate(days)),
    )


def _placed(weeks: Sequence[str], own: Sequence[str], values: Sequence[float | None]) -> list[float | None]:
    found = dict(zip(own, values, strict=True))
    return [found.get(week) for week in weeks]


def _pieces(values: Sequence[float | None], step: float, top: float) -> tuple[str, ...]:
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{LEFT + step * (number + 0.5):.1f},{_y(value, top):.1f}")
    # One week alone is drawn as a dot by its round line end.
    return tuple(" ".join(piece * 2 if len(piece) == 1 else piece) for piece in pieces if piece)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top


def _label(value: float, *, share: bool) -> str:
    return f"{round(value * 100)} %" if share else f"{round(value):,}".replace(",", "\u202f")
