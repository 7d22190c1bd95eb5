"""Things that happen to a plan, as edits of the planning facts: pure, one function a kind, checked by `plan_facts`.

Fields come as a form has them, as text. A table without lines gets the one line that the planner takes for granted
before it is edited, so that a shift more on it is a shift more.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from datetime import date
from typing import Any

from issuance.planning.facts import OfficePoint
from uec.domain.errors import InvalidInput

Table = dict[str, Any]
Fields = Mapping[str, str]


def edited(table: Mapping[str, Any], kind: str, fields: Fields, *, points: Sequence[OfficePoint]) -> Table:
    """The table after an event; raises `InvalidInput` naming the field that is wrong."""
    edit = EVENTS.get(kind)
    if edit is None:
        raise InvalidInput(f"There is no event {kind!r}: choose one of the list.", field="kind")
    new: Table = deepcopy(dict(table))
    if not new.get("lines"):
        new["lines"] = [default_line(points)]
    edit(new, fields)
    return new


def default_line(points: Sequence[OfficePoint]) -> Table:
    """The line of an office that has told of none: it makes in a day what the points hand over."""
    daily = sum(point.daily for point in points)
    named = {"code": "centre", "name_ru": "Центр", "name_en": "Centre"}
    return named | {"machines": 1, "cards_per_hour": daily, "shift_hours": 1, "shifts": [1, 1, 1, 1, 1, 0, 0]}


def _stop(table: Table, fields: Fields) -> None:
    """A line stands still from a day to a day."""
    line = _line_of(table, fields)
    first, last = _day(fields, "first"), _day(fields, "last")
    if last < first:
        raise InvalidInput("The last day comes before the first: correct one of them.", field="last")
    work = {"first": first.isoformat(), "last": last.isoformat(), "machines": int(line["machines"])}
    line.setdefault("maintenance", []).append(work)


def _shift(table: Table, fields: Fields) -> None:
    """So many shifts more (or fewer) on every day that a line works."""
    line, more = _line_of(table, fields), _whole(fields, "more", least=-3)
    shifts = line.get("shifts", [1, 1, 1, 1, 1, 0, 0])
    line["shifts"] = [max(0, one + more) if one else 0 for one in shifts]


def _line(table: Table, fields: Fields) -> None:
    """A new line, or other machines of one there is."""
    code = fields.get("line", "").strip()
    if not code:
        raise InvalidInput("A line needs a code: give it one.", field="line")
    lines = table["lines"]
    known = next((one for one in lines if one["code"] == code), None)
    if known is None:
        known = {"code": code}
        lines.append(known)
    known["name_ru"] = fields.get("name_ru", "").strip() or code
    known["name_en"] = fields.get("name_en", "").strip() or code
    known["kind"] = fields.get("line_kind", "") or "own"
    known.pop("makes", None)
    if makes := fields.get("makes", "").replace(",", " ").split():
        known["makes"] = makes
    for name in ("machines", "cards_per_hour", "shift_hours"):
        known[name] = _whole(fields, name)


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
    for name in ("daily", "price", "days"):
        if fields.get(name, "").strip():
            entry[name] = _whole(fields, name)


def _delivery(table: Table, fields: Fields) -> None:
    """Chips that are ordered, for a day or for none that is known yet."""
    coming: Table = {"count": _whole(fields, "count", least=1)}
    if fields.get("day", "").strip():
        coming["day"] = _day(fields, "day").isoformat()
    note, variant = fields.get("note", "").strip(), fields.get("variant", "").strip()
    if variant:
        coming["variant"] = variant
    chips = table.setdefault("chips", {})
    chips.setdefault("deliveries", []).append(coming | ({"note": note} if note else {}))


def _late(table: Table, fields: Fields) -> None:
    """A delivery comes on another day."""
    deliveries = table.get("chips", {}).get("deliveries", [])
    number = _whole(fields, "delivery")
    if number >= len(deliveries):
        raise InvalidInput("There is no such delivery any more: choose one of the list.", field="delivery")
    deliveries[number]["day"] = _day(fields, "day").isoformat()


def _point(table: Table, fields: Fields) -> None:
    """A courier's round to a point, and its safe; what is left empty stays as it was."""
    code = fields.get("point", "")
    entry = table.setdefault("points", {}).setdefault(code, {})
    if fields.get("weekdays", "").strip():
        entry["weekdays"] = _weekdays(fields["weekdays"])
    for name in ("transit", "cost", "volume", "storage", "windows", "minutes_a_card", "stop_minutes"):
        if fields.get(name, "").strip():
            entry[name] = _whole(fields, name)
    if fields.get("stops", "").strip():
        entry["stops"] = [_iso(text, "stops").isoformat() for text in fields["stops"].replace(",", " ").split()]


def _intake(table: Table, fields: Fields) -> None:
    """So many times the applications of late are expected."""
    table["intake"] = {"factor": _share(fields)}


def _windows(table: Table, fields: Fields) -> None:
    """So many times what the points can hand over."""
    table["windows"] = {"factor": _share(fields)}


EVENTS: Mapping[str, Callable[[Table, Fields], None]] = {
    "stop": _stop,
    "shift": _shift,
    "line": _line,
    "drop": _drop,
    "bureau": _bureau,
    "delivery": _delivery,
    "late": _late,
    "point": _point,
    "intake": _intake,
    "windows": _windows,
}


def of_scenario(
    table: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    points: Sequence[OfficePoint],
    bureaux: Collection[str] = (),
    today: date,
) -> Table:
    """The table with the changes of a scenario (`issuance.planning.scenario`) in it; `bureaux` by their codes."""
    new: Table = deepcopy(dict(table))
    if not new.get("lines"):
        new["lines"] = [default_line(points)]
    for code, more in changes.get("shifts", {}).items():
        _shift(new, {"line": code, "more": str(more)})
    for code in changes.get("stopped", ()):
        if code in bureaux:
            new.setdefault("bureaux", {}).setdefault(code, {})["use"] = False
        else:
            _line_of(new, {"line": code})["machines"] = 0
    if changes.get("chips"):
        _delivery(new, {"day": today.isoformat(), "count": str(int(changes["chips"]))})
    for name in ("intake", "windows"):
        if name in changes:
            factor = float(new.get(name, {}).get("factor", 0 if name == "intake" else 1))
            new[name] = {"factor": (factor or 1.0) * float(changes[name])}
    return new


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
    text = fields.get("factor", "").strip().replace(",", ".")
    try:
        factor = float(text)
    except ValueError as problem:
        raise InvalidInput(f"{text!r} is no number: write one like 1.5.", field="factor") from problem
    if not 0 <= factor <= 100:
        raise InvalidInput("A factor lies between 0 and 100: correct it.", field="factor")
    return factor


def _weekdays(text: str) -> list[int]:
    days = sorted({int(one) for one in text.replace(",", " ").split() if one.isdigit()})
    if not days or days[-1] > 7 or days[0] < 1:
        raise InvalidInput("Weekdays are 1 (Monday) to 7 (Sunday): write them like 1, 3, 5.", field="weekdays")
    return [one - 1 for one in days]
