"""What-if: what a scenario changes, read from a table and checked; nothing in it names a person.

    {"intake": 2.0, "windows": 1.5, "shifts": {"L1": 1}, "stopped": ["L2"], "chips": 5000}

`intake` times the applications to come; `windows` times the hand-over capacity; `shifts` more a working day on a line;
`stopped` lines make nothing; `chips` more at once, of the usual card variant and of every other that is told of. The
office makes planning facts of it, so that what was tried is what becomes the plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from issuance.planning.errors import PlanningError

CHANGES = ("intake", "windows", "shifts", "stopped", "chips")
MOST_TIMES, MOST_SHIFTS, MOST_CHIPS = 100.0, 10, 10**9


class WrongChange(PlanningError):
    """A change makes no sense. Facts: `field`, its name."""

    code = "planning.wrong_change"


@dataclass(frozen=True)
class Changes:
    """A checked scenario; a factor of None leaves the applications, or the windows, as they are."""

    intake: float | None = None
    windows: float | None = None
    shifts: Mapping[str, int] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    chips: int = 0


def changes_from(table: Mapping[str, Any]) -> Changes:
    """Read a table as JSON has it; raises `WrongChange` for what is unknown or makes no sense."""
    for name in table:
        if name not in CHANGES:
            raise WrongChange(
                f"The scenario has an unknown change {name!r}: the known ones are {', '.join(CHANGES)}.", field=name
            )
    shifts, stopped = table.get("shifts", {}), table.get("stopped", [])
    if not isinstance(shifts, Mapping):
        raise WrongChange('Shifts are a table of lines, like {"L1": 1}: correct it.', field="shifts")
    if not isinstance(stopped, list | tuple) or not all(isinstance(one, str) for one in stopped):
        raise WrongChange('Stopped lines are a list, like ["L2"]: correct it.', field="stopped")
    return Changes(
        intake=_factor(table, "intake"),
        windows=_factor(table, "windows"),
        shifts={code: _whole(more, "shifts", MOST_SHIFTS) for code, more in shifts.items()},
        stopped=tuple(dict.fromkeys(stopped)),
        chips=_whole(table.get("chips", 0), "chips", MOST_CHIPS),
    )


def _factor(table: Mapping[str, Any], name: str) -> float | None:
    if name not in table:
        return None
    said = table[name]
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= MOST_TIMES:
        raise WrongChange(f"{name} is a number from 0 to {MOST_TIMES:g}, like 1.5: correct it.", field=name)
    return float(said)


def _whole(said: object, name: str, most: int) -> int:
    if isinstance(said, bool) or not isinstance(said, int | float) or said != said // 1 or not 0 <= said <= most:
        raise WrongChange(f"{name} is a whole number from 0 to {most}: correct it.", field=name)
    return int(said)
