"""Hides the geometry of the pictures: columns with a limit over them, and a curve; the templates draw them as SVG.

All sizes are in the picture's own units; templates scale it to the page. Nothing here is a colour or a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10

WIDTH, HEIGHT = 960, 240
LEFT, BOTTOM, TOP = 64, 28, 12


@dataclass(frozen=True)
class Column:
    """One column: where it stands, and what it says."""

    x: float
    y: float
    width: float
    height: float
    value: int
    label: str
    over: bool


@dataclass(frozen=True)
class Tick:
    """A line of the scale, or a name under the columns."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A picture: columns, a stepped line of limits or a curve as SVG points, and both scales."""

    width: int
    height: int
    floor: float
    left: float
    columns: tuple[Column, ...]
    line: str
    scale: tuple[Tick, ...]
    names: tuple[Tick, ...]


def columns(values: Sequence[int], limits: Sequence[int], labels: Sequence[str]) -> Chart:
    """Columns of values under a stepped line of limits; a column above its limit is marked."""
    top = round_top([*values, *limits])
    step = (WIDTH - LEFT) / max(1, len(values))
    bars = tuple(
        Column(
            LEFT + step * number + step * 0.12,
            _y(value, top),
            step * 0.76,
            _y(0, top) - _y(value, top),
            value,
            label,
            value > limit,
        )
        for number, (value, limit, label) in enumerate(zip(values, limits, labels, strict=True))
    )
    steps = [
        f"{LEFT + step * (number + side):.1f},{_y(limit, top):.1f}"
        for number, limit in enumerate(limits)
        for side in (0, 1)
    ]
    return _chart(bars, " ".join(steps), top, labels, step)


def curve(values: Sequence[int], labels: Sequence[str]) -> Chart:
    """A curve of values; the columns under it carry the labels for whoever points at them."""
    top = round_top(values)
    step = (WIDTH - LEFT) / max(1, len(values))
    points = [f"{LEFT + step * (number + 0.5):.1f},{_y(value, top):.1f}" for number, value in enumerate(values)]
    bars = tuple(
        Column(LEFT + step * number, TOP, step, HEIGHT - BOTTOM - TOP, value, label, over=False)
        for number, (value, label) in enumerate(zip(values, labels, strict=True))
    )
    return _chart(bars, " ".join(points), top, labels, step)


def _chart(bars: tuple[Column, ...], line: str, top: int, labels: Sequence[str], step: float) -> Chart:
    every = max(1, ceil(len(labels) / 12))
    names = tuple(
        Tick(LEFT + step * (number + 0.5), label) for number, label in enumerate(labels) if number % every == 0
    )
    scale = tuple(Tick(_y(top * part // 4, top), _thousands(top * part // 4)) for part in range(5))
    return Chart(WIDTH, HEIGHT, _y(0, top), LEFT, bars, line, scale, names)


def round_top(values: Sequence[int]) -> int:
    """The next round number, so that the scale has four even parts."""
    most = max([4, *values])
    unit: int = 10 ** int(log10(most))
    for part in (1, 2, 4, 8, 10):
        if most <= part * unit:
            return max(4, part * unit)
    return 10 * unit


def _y(value: int, top: int) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top


def _thousands(value: int) -> str:
    return f"{value:,}".replace(",", "\u202f")
