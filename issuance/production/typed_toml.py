"""TOML tables into frozen dataclasses: types from the annotations, unknown and missing keys refused by name.

Understood: str, int, bool, bytes (written as hex), enums by value, nested dataclasses, tuples of any of these, and
`| None`.
"""

import dataclasses
import difflib
import types
import typing
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class MisshapenTable(ValueError):
    """A table that does not fit its dataclass; `place` is the dotted name."""

    def __init__(self, place: str, reason: str) -> None:
        """Keep both for the one who knows the file."""
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


def read_table(cls: type[T], table: object, place: str = "") -> T:
    """Make a `cls` (a dataclass) of `table`; `MisshapenTable` for anything unknown, missing or of the wrong type."""
    if not isinstance(table, dict):
        raise MisshapenTable(place or cls.__name__, "must be a table")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f", did you mean {near[0]}?" if near else f"; known are {', '.join(fields)}"
            raise MisshapenTable(_join(place, key), f"is not a known key{hint}")
    for name, field in fields.items():
        if name not in table and field.default is dataclasses.MISSING:
            raise MisshapenTable(_join(place, name), "is missing")
    return cls(**{key: _value(hints[key], value, _join(place, key)) for key, value in table.items()})


def _value(hint: object, value: object, place: str) -> object:
    if isinstance(hint, types.UnionType):  # `Table | None`: what is written is never None
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return _tuple(typing.get_args(hint)[0], value, place)
    if not isinstance(hint, type):
        raise TypeError(f"{place}: the annotation {hint!r} is not understood")
    if dataclasses.is_dataclass(hint):
        return read_table(hint, value, place)
    if issubclass(hint, Enum):
        return _enum(hint, value, place)
    if hint is bytes:
        return _hex(value, place)
    if type(value) is not hint:
        raise MisshapenTable(place, f"must be {hint.__name__}, not {type(value).__name__}")
    return value


def _tuple(item: object, value: object, place: str) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise MisshapenTable(place, "must be a list")
    return tuple(_value(item, entry, f"{place}[{_entry_name(entry, index)}]") for index, entry in enumerate(value))


def _entry_name(entry: object, index: int) -> str:
    return str(entry.get("name", index)) if isinstance(entry, dict) else str(index)


def _enum(hint: type[Enum], value: object, place: str) -> Enum:
    try:
        return hint(value)
    except ValueError as error:
        known = ", ".join(str(member.value) for member in hint)
        raise MisshapenTable(place, f"must be one of {known}") from error


def _hex(value: object, place: str) -> bytes:
    try:
        return bytes.fromhex(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise MisshapenTable(place, "must be bytes in hex") from error


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
