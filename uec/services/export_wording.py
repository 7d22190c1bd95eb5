"""Hides how rows of a list are said in a language: codes in words, numbers of documents in the groups people know.

A worker speaks no language of its own: whoever asks for a file hands over the words with it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from uec.domain.numbers import format_card_number, format_snils
from uec.services.export_sheets import Value


@dataclass(frozen=True)
class Wording:
    """A list in a language: its title, the heads of its columns, and words by the key of `key_of`."""

    title: str
    head: Sequence[str]
    words: Mapping[str, str]
    yes: str
    no: str

    def stored(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)


def key_of(value: Enum) -> str:
    """The key of a member: members of different enums may have one value."""
    return f"{type(value).__name__}.{value.value}"


# Digits that a spreadsheet would take for a number, and cut zeros off or round: written as they are printed.
_GROUPED: Mapping[str, Callable[[str], str]] = {"snils": format_snils, "card": format_card_number}

# Looked at first: of twenty million values of a register's list nearly all are one of these.
_AS_THEY_ARE = frozenset({str, int, float, date, datetime, type(None)})


def said(rows: Iterable[tuple[Any, ...]], columns: Sequence[str], wording: Wording) -> Iterator[Sequence[Value]]:
    """Rows with their codes in words; numbers, days and moments stay what they are."""
    known: dict[Any, str] = {}
    grouped = [(place, _GROUPED[name]) for place, name in enumerate(columns) if name in _GROUPED]
    for row in rows:
        values = [value if type(value) in _AS_THEY_ARE else _value(value, known, wording) for value in row]
        for place, group in grouped:
            if values[place] is not None:
                values[place] = group(values[place])
        yield values


def _value(value: Any, known: dict[Any, str], wording: Wording) -> str:
    if isinstance(value, Enum):
        # Members of different enums with one value are equal as strings, so the kind belongs to the key.
        key = type(value), value
        if key not in known:
            known[key] = wording.words.get(key_of(value), str(value.value))
        return known[key]
    if isinstance(value, bool):
        return wording.yes if value else wording.no
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
