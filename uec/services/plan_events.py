"""Things that happen to a plan, as edits of the planning facts: pure, one function a kind, checked by `plan_facts`.

Fields come as a form or a command has them, as text. A table without lines gets the one line that the planner takes for
granted before it is edited, so that a shift more on it is a shift more.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from issuance.planning.facts import OfficePoint
from uec.domain.errors import InvalidInput

Table = dict[str, Any]
Fields = Mapping[str, str]
# Said of a line in place of card variants: every one.
ALL = "*"


def edited(table: Mapping[str, Any], kind: str, fields: Fields, *, points: Sequence[OfficePoint]) -> Table:
    """The table after an event; raises `InvalidInput` naming the field that is wrong."""
    event = EVENTS.get(kind)
    if event is None:
        raise InvalidInput(f"There is no event {kind!r}: choose one of the list.", field="kind")
    new: Table = deepcopy(dict(table))
    if not new.get("lines"):
        new["lines"] = [default_line(points)]
    event.edit(new, fields)
    return new


def default_line(points: Sequence[OfficePoint]) -> Table:
    """The line of an office that has told of none: it makes in a day what the points hand over."""
    daily = sum(point.daily for point in points)
    named = {"code": "centre", "name_ru": "Центр", "name_en": "Centre"}
    return named | {"machines": 1, "cards_per_hour": daily, "shift_hours": 1, "shifts": [1, 1, 1, 1, 1, 0, 0]}


def _stop(table: Table, fields: Fields) -> None:
    """A line stands still from a day to a day: all of its machines, or so many."""
    line = _line_of(table, fields)
    first, last = _day(fields, "first"), _day(fields, "last")
    if last < first:
        raise InvalidInput("The last day comes before the first: correct one of them.", field="last")
    machines = _whole(fields, "machines", least=1) if _said(fields, "machines") else int(line["machines"])
    work = {"first": first.isoformat(), "last": last.isoformat(), "machines": machines}
    line.setdefault("maintenance", []).append(work)


def _resume(table: Table, fields: Fields) -> None:
    """A line works again from a day on: whatever stands still then, or later, does not."""
    line, first = _line_of(table, fields), _day(fields, "first")
    kept = []
    for work in line.get("maintenance", ()):
        begins, ends = date.fromisoformat(str(work["first"])), date.fromisoformat(str(work["last"]))
        if begins < first:
            kept.append(work | {"last": min(ends, first - timedelta(days=1)).isoformat()})
    line["maintenance"] = kept


def _shift(table: Table, fields: Fields) -> None:
    """So many shifts more (or fewer) on every day that a line works, or its shifts from Monday to Sunday anew."""
    line = _line_of(table, fields)
    if _said(fields, "shifts"):
        line["shifts"] = _week(fields, "shifts")
        return
    more = _whole(fields, "more", least=-3)
    shifts = line.get("shifts", [1, 1, 1, 1, 1, 0, 0])
    line["shifts"] = [max(0, one + more) if one else 0 for one in shifts]


def _line(table: Table, fields: Fields) -> None:
    """A new line, or other machines of one there is; what is left empty stays as it was."""
    code = fields.get("line", "").strip()
    if not code:
        raise InvalidInput("A line needs a code: give it one.", field="line")
    lines = table["lines"]
    known = next((one for one in lines if one["code"] == code), None)
    if known is None:
        known = {"code": code, "name_ru": code, "name_en": code, "kind": "own", "shift_hours": 8}
        lines.append(known)
    for name, value in (("name_ru", "name_ru"), ("name_en", "name_en"), ("kind", "line_kind")):
        if _said(fields, value):
            known[name] = fields[value].strip()
    if makes := fields.get("makes", "").replace(",", " ").split():
        known["makes"] = makes
        if makes == [ALL]:
            del known["makes"]
    for name in ("machines", "cards_per_hour", "shift_hours"):
        if _said(fields, name) or name not in known:
            known[name] = _whole(fields, name)
    if _said(fields, "shifts"):
        known["shifts"] = _week(fields, "shifts")


def _drop(table: Table, fields: Fields) -> None:
    """A line that is there no more."""
    line = _line_of(table, fields)
    table["lines"] = [one for one in table["lines"] if one is not line]
    if not table["lines"]:
        # None at all would mean the line that is taken for granted.
        table["lines"] = [line | {"machines": 0}]


def _bureau(table: Table, fields: Fields) -> None:
    """How the plan may use a bureau; what is left empty stays as it was."""
    code = fields.get("bureau", "").strip()
    if not code:
        raise InvalidInput("Choose a bureau of the list.", field="bureau")
    entry = table.setdefault("bureaux", {}).setdefault(code, {})
    entry["use"] = fields.get("use", "yes") == "yes"
    for name in ("daily", "days"):
        if _said(fields, name):
            entry[name] = _whole(fields, name)
    if _said(fields, "price"):
        entry["price"] = _number(fields, "price", 10**9)
    if makes := fields.get("makes", "").replace(",", " ").split():
        entry["makes"] = makes


def _delivery(table: Table, fields: Fields) -> None:
    """Chips that are ordered, for a day or for none that is known yet."""
    coming: Table = {"count": _whole(fields, "count", least=1)}
    if _said(fields, "day"):
        coming["day"] = _day(fields, "day").isoformat()
    note, variant = fields.get("note", "").strip(), fields.get("variant", "").strip()
    if variant:
        coming["variant"] = variant
    chips = table.setdefault("chips", {})
    chips.setdefault("deliveries", []).append(coming | ({"note": note} if note else {}))


def _late(table: Table, fields: Fields) -> None:
    """A delivery comes on another day, with another number of chips, or (none of them) not at all."""
    deliveries = table.get("chips", {}).get("deliveries", [])
    number = _whole(fields, "delivery")
    if number >= len(deliveries):
        raise InvalidInput("There is no such delivery any more: choose one of the list.", field="delivery")
    if _said(fields, "count"):
        deliveries[number]["count"] = _whole(fields, "count")
    if not deliveries[number]["count"]:
        del deliveries[number]
    elif _said(fields, "day") or not _said(fields, "count"):
        deliveries[number]["day"] = _day(fields, "day").isoformat()


def _chips(table: Table, fields: Fields) -> None:
    """Chips in hand by a count of the store; without a number the stock's own books are believed again."""
    chips = table.setdefault("chips", {})
    if not _said(fields, "count"):
        chips.pop("in_hand", None)
        return
    said = chips.get("in_hand", {})
    known = dict(said) if isinstance(said, Mapping) else {"": said}
    chips["in_hand"] = known | {fields.get("variant", "").strip(): _whole(fields, "count")}


def _courier(table: Table, fields: Fields) -> None:
    """The couriers' common round, for points that say nothing of their own; what is left empty stays as it was."""
    _round(table.setdefault("courier", {}), fields)


def _point(table: Table, fields: Fields) -> None:
    """A courier's round to a point, its safe and hours, a mobile office's route; what is left empty stays as it was."""
    code = fields.get("point", "").strip()
    if not code:
        raise InvalidInput("Choose a point of the list.", field="point")
    entry = table.setdefault("points", {}).setdefault(code, {})
    _round(entry, fields)
    for name in ("storage", "windows", "minutes_a_card", "share_percent", "stop_minutes"):
        if _said(fields, name):
            entry[name] = _whole(fields, name)
    if _said(fields, "minutes"):
        entry["minutes"] = _week(fields, "minutes")
    if _said(fields, "stops"):
        words = fields["stops"].replace(",", " ").split()
        entry["stops"] = [] if words == ["0"] else [_iso(text, "stops").isoformat() for text in words]


def _round(entry: Table, fields: Fields) -> None:
    """Days, volume, cost and way of a courier."""
    if _said(fields, "weekdays"):
        entry["weekdays"] = _weekdays(fields["weekdays"])
    for name in ("transit", "volume"):
        if _said(fields, name):
            entry[name] = _whole(fields, name)
    if _said(fields, "cost"):
        entry["cost"] = _number(fields, "cost", 10**9)


def _intake(table: Table, fields: Fields) -> None:
    """So many times the applications of late are expected."""
    table["intake"] = {"factor": _share(fields)}


def _windows(table: Table, fields: Fields) -> None:
    """So many times what the points can hand over."""
    table["windows"] = {"factor": _share(fields)}


@dataclass(frozen=True)
class Event:
    """A kind of event: how it edits the table (its docstring says what it means), and the fields it takes."""

    edit: Callable[[Table, Fields], None]
    fields: tuple[str, ...]


ROUND = ("weekdays", "transit", "cost", "volume")
HOURS = ("windows", "minutes", "minutes_a_card", "share_percent")
LINE = ("name_ru", "name_en", "line_kind", "makes", "machines", "cards_per_hour", "shift_hours", "shifts")
EVENTS: Mapping[str, Event] = {
    "stop": Event(_stop, ("line", "first", "last", "machines")),
    "resume": Event(_resume, ("line", "first")),
    "shift": Event(_shift, ("line", "more", "shifts")),
    "line": Event(_line, ("line", *LINE)),
    "drop": Event(_drop, ("line",)),
    "bureau": Event(_bureau, ("bureau", "use", "daily", "price", "days", "makes")),
    "delivery": Event(_delivery, ("day", "count", "variant", "note")),
    "late": Event(_late, ("delivery", "day", "count")),
    "chips": Event(_chips, ("variant", "count")),
    "courier": Event(_courier, ROUND),
    "point": Event(_point, ("point", *ROUND, "storage", *HOURS, "stops", "stop_minutes")),
    "intake": Event(_intake, ("factor",)),
    "windows": Event(_windows, ("factor",)),
}


def _line_of(table: Table, fields: Fields) -> Table:
    code = fields.get("line", "")
    for line in table["lines"]:
        if line["code"] == code:
            found: Table = line
            return found
    raise InvalidInput(f"There is no line {code!r}: choose one of the list.", field="line")


def _day(fields: Fields, name: str) -> date:
    return _iso(fields.get(name, ""), name)


def _iso(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as problem:
        raise InvalidInput(f"{text!r} is no day: write it like 2026-03-02.", field=name) from problem


def _whole(fields: Fields, name: str, *, least: int = 0) -> int:
    text = fields.get(name, "").strip()
    try:
        number = int(text)
    except ValueError as problem:
        raise InvalidInput(f"{text!r} is no whole number: correct {name}.", field=name) from problem
    if not least <= number <= 10**9:
        raise InvalidInput(f"{number} makes no sense here: correct {name}.", field=name)
    return number


def _share(fields: Fields) -> float:
    return _number(fields, "factor", 100)


def _number(fields: Fields, name: str, most: int) -> float:
    text = fields.get(name, "").strip().replace(",", ".")
    try:
        number = float(text)
    except ValueError as problem:
        raise InvalidInput(f"{text!r} is no number: write one like 1.5.", field=name) from problem
    if not 0 <= number <= most:
        raise InvalidInput(f"{name} lies between 0 and {most}: correct it.", field=name)
    return number


def _weekdays(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if words == ["0"]:
        return []
    if not all(one in {"1", "2", "3", "4", "5", "6", "7"} for one in words):
        raise InvalidInput(
            "Weekdays are 1 (Monday) to 7 (Sunday): write them like 1, 3, 5, or 0 for none.", field="weekdays"
        )
    return sorted({int(one) - 1 for one in words})


def _week(fields: Fields, name: str) -> list[int]:
    """Seven whole numbers, from Monday to Sunday."""
    words = fields[name].replace(",", " ").split()
    if len(words) != 7:
        raise InvalidInput(
            f"{fields[name].strip()!r} is no week: write seven numbers from Monday to Sunday, like 2 2 2 2 2 1 0.",
            field=name,
        )
    return [_whole({name: word}, name) for word in words]


def _said(fields: Fields, name: str) -> bool:
    return bool(fields.get(name, "").strip())
