"""Reads the planner's facts from a table (TOML, or JSON with days as text), unknown entries refused.

[[lines]]            code, name_ru, name_en, kind ("own" or "bureau"), machines, cards_per_hour, shift_hours,
                     shifts (seven numbers from Monday), makes = [card variants],
                     maintenance = [{first, last, machines}]
[chips]              in_hand (instead of what the stock's books say; a number, or a table by card variant),
                     deliveries = [{day, count, note, variant}]; without a day nobody counts on them yet
[courier]            weekdays (0 is Monday), volume, cost, transit: the common rule of all points
[points.CODE]        the same for one point, and storage; windows, minutes (seven), minutes_a_card, share_percent;
                     stops = [days] and stop_minutes for a mobile office, which goes nowhere without stops
[intake]             factor: times the applications of late that are expected to come every day (0: none)
[windows]            factor: times what all points can hand over
[bureaux.CODE]       use (false: the plan sends it nothing), daily (cards at most), price (a card, beyond own lines),
                     days (working days, from the order to the cards back), makes = [card variants]; bureaux are entered
                     by `uec bureau`
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

from issuance.planning.errors import PlanningError
from issuance.planning.facts import BUREAU_DAYS, Coming, Facts, Outside, Service
from issuance.planning.region import BUREAU, OWN, Line
from issuance.planning.timetable import LineHours, Maintenance, PointHours

HOURS = frozenset({"windows", "minutes", "minutes_a_card", "share_percent"})
ROUND = frozenset({"weekdays", "volume", "cost", "transit"})
KNOWN: Mapping[str, frozenset[str]] = {
    "": frozenset({"lines", "chips", "courier", "points", "intake", "windows", "bureaux"}),
    "lines": frozenset(
        {
            "code",
            "name_ru",
            "name_en",
            "kind",
            "machines",
            "cards_per_hour",
            "shift_hours",
            "shifts",
            "maintenance",
            "makes",
        }
    ),
    "maintenance": frozenset({"first", "last", "machines"}),
    "chips": frozenset({"in_hand", "deliveries"}),
    "deliveries": frozenset({"day", "count", "note", "variant"}),
    "courier": ROUND,
    "points": ROUND | HOURS | {"storage", "stops", "stop_minutes"},
    "intake": frozenset({"factor"}),
    "windows": frozenset({"factor"}),
    "bureaux": frozenset({"use", "daily", "price", "days", "makes"}),
}


UNREADABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
# More than any region has of anything, and far from what an array cannot hold.
MOST = 10**9
MOST_TIMES = 1000


def facts_from(table: Mapping[str, Any]) -> Facts:
    """Check a table; raises `PlanningError` naming the entry that is wrong."""
    try:
        return _facts(table)
    except UNREADABLE as problem:
        raise PlanningError(
            f"The planning facts have an entry that cannot be read ({problem}): correct it."
        ) from problem


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Say of what is wrong where it stands."""
    try:
        yield
    except PlanningError as problem:
        raise PlanningError(f"{where}: {problem}") from problem
    except KeyError as problem:
        raise PlanningError(f"{where}: {problem} is missing; enter it.") from problem
    except UNREADABLE as problem:
        raise PlanningError(f"{where}: an entry cannot be read ({problem}); correct it.") from problem


def _facts(table: Mapping[str, Any]) -> Facts:
    _only(table, "")
    for part in ("chips", "courier", "intake", "windows"):
        _only(table.get(part, {}), part)
    chips = table.get("chips", {})
    lines = tuple(_line(entry) for entry in table.get("lines", ()))
    codes = [line.code for line, _ in lines]
    if len(set(codes)) != len(codes):
        raise PlanningError("Two lines have one code: give each line its own.")
    return Facts(
        lines=lines,
        makes={str(one["code"]): _names(one["makes"]) for one in table.get("lines", ()) if "makes" in one},
        in_hand=_in_hand(chips.get("in_hand")),
        deliveries=tuple(_coming(entry) for entry in chips.get("deliveries", ())),
        courier=_service(table.get("courier", {}), "courier"),
        points={code: _point(entry, code) for code, entry in table.get("points", {}).items()},
        intake=_amount(table.get("intake", {}).get("factor", 0), MOST_TIMES),
        windows=_amount(table.get("windows", {}).get("factor", 1), MOST_TIMES),
        bureaux={code: _outside(entry, code) for code, entry in table.get("bureaux", {}).items()},
    )


def _line(entry: Mapping[str, Any]) -> tuple[Line, LineHours]:
    code = str(entry.get("code", ""))
    _only(entry, "lines", code)
    if not code:
        raise PlanningError("A line needs a code: give it one.")
    kind = str(entry.get("kind", OWN))
    if kind not in {OWN, BUREAU}:
        raise PlanningError(f"Line {code}: its kind is {kind!r} and may be {OWN} or {BUREAU}.")
    with _reading(f"Line {code}"):
        hours = LineHours(
            machines=_count(entry["machines"]),
            cards_per_hour=_count(entry["cards_per_hour"]),
            shift_hours=_count(entry.get("shift_hours", 8)),
            shifts=tuple(_count(one) for one in entry.get("shifts", (1, 1, 1, 1, 1, 0, 0))),
            maintenance=tuple(_maintenance(work) for work in entry.get("maintenance", ())),
        )
    names = (str(entry.get("name_ru", code)), str(entry.get("name_en", code)))
    return Line(code, *names, makes=(0,), shift=hours.shift_cards, kind=kind), hours


def _maintenance(work: Mapping[str, Any]) -> Maintenance:
    _only(work, "maintenance")
    return Maintenance(_day(work["first"]), _day(work["last"]), _count(work["machines"]))


def _coming(entry: Mapping[str, Any]) -> Coming:
    with _reading("A delivery of chips"):
        _only(entry, "deliveries")
        day = _day(entry["day"]) if entry.get("day") else None
        return Coming(day, _count(entry["count"]), str(entry.get("note", "")), str(entry.get("variant", "")))


def _in_hand(said: Any) -> Mapping[str, int] | None:
    """Chips by variant; a number alone is of the usual one, whose name is empty here."""
    if said is None:
        return None
    return {str(name): _count(count) for name, count in (said if isinstance(said, Mapping) else {"": said}).items()}


def _names(said: Any) -> frozenset[str]:
    if isinstance(said, str):
        raise PlanningError(f"Card variants are a list, like [{said!r}]: correct it.")
    return frozenset(str(one) for one in said)


def _point(entry: Mapping[str, Any], code: str) -> Service:
    _only(entry, "points", code)
    return _service(entry, f"Point {code}")


def _service(entry: Mapping[str, Any], where: str) -> Service:
    with _reading(where):
        return _served(entry)


def _served(entry: Mapping[str, Any]) -> Service:
    hours = None
    if HOURS & entry.keys():
        hours = PointHours(
            windows=_count(entry.get("windows", 1)),
            minutes=tuple(_count(one) for one in entry.get("minutes", (480,) * 5 + (0, 0))),
            minutes_a_card=_count(entry.get("minutes_a_card", 12)),
            share_percent=_count(entry.get("share_percent", 50)),
        )
    weekdays = entry.get("weekdays")
    mobile = "stops" in entry or _count(entry.get("stop_minutes", 0)) > 0
    if weekdays is not None and not set(weekdays) <= set(range(7)):
        raise PlanningError("Weekdays are 0 (Monday) to 6 (Sunday): correct the courier's round.")
    return Service(
        weekdays=None if weekdays is None else frozenset(weekdays),
        volume=None if "volume" not in entry else _count(entry["volume"]),
        cost=None if "cost" not in entry else _amount(entry["cost"]),
        transit=None if "transit" not in entry else _count(entry["transit"]),
        storage=None if "storage" not in entry else _count(entry["storage"]),
        hours=hours,
        stops=tuple(sorted({_day(one) for one in entry.get("stops", ())})) if mobile else None,
        stop_minutes=_count(entry.get("stop_minutes", 0)),
    )


def _outside(entry: Mapping[str, Any], code: str) -> Outside:
    _only(entry, "bureaux", code)
    use = entry.get("use", True)
    if not isinstance(use, bool):
        raise PlanningError(f"Bureau {code}: whether it is used is true or false; correct it.")
    with _reading(f"Bureau {code}"):
        return Outside(
            use=use,
            daily=None if "daily" not in entry else _count(entry["daily"]),
            price=_amount(entry.get("price", 0)),
            days=_count(entry.get("days", BUREAU_DAYS)),
            makes=_names(entry.get("makes", ())),
        )


def _day(said: Any) -> date:
    return said if isinstance(said, date) else date.fromisoformat(str(said))


def _count(said: Any) -> int:
    number = int(said)
    if number != said and not isinstance(said, str):
        raise PlanningError(f"{said} is no whole number: correct it.")
    if number < 0:
        raise PlanningError(f"{number} is a negative number: correct it.")
    if number > MOST:
        raise PlanningError(f"{number} is more than there can be: correct it.")
    return number


def _amount(said: Any, most: float = MOST) -> float:
    number = float(said)
    if not 0 <= number <= most:
        raise PlanningError(f"The amount {number} makes no sense: correct it.")
    return number


def _only(table: Mapping[str, Any], part: str, which: str = "") -> None:
    for name in table:
        if name not in KNOWN[part]:
            where = " ".join(word for word in (part, which) if word) or "the planning facts"
            known = ", ".join(sorted(KNOWN[part]))
            raise PlanningError(f"{where}: unknown entry {name!r}; the known ones are {known}.")
