"""Hides how the columns and values of a list taken out as a file are said in the language of the page."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from uec.services.export_files import Value
from uec.web.texts import _, _l
from uec.web.wording import WORDS, word

Text = object  # a lazy string of flask-babel

LISTS: Mapping[str, Text] = {
    "applications": _l("Applications"),
    "cards": _l("Cards"),
    "batches": _l("Batches"),
    "stock": _l("Stock"),
    "cohort": _l("List of residents"),
    "refusals": _l("Refusals"),
    "audit": _l("Audit"),
}

COLUMNS: Mapping[str, Text] = {
    "number": _l("Number"),
    "state": _l("State"),
    "route": _l("Route"),
    "reason": _l("Reason"),
    "surname": _l("Surname"),
    "name": _l("Given name"),
    "patronymic": _l("Patronymic"),
    "birth_date": _l("Date of birth"),
    "snils": _l("SNILS"),
    "point": _l("Point"),
    "submitted_at": _l("Registered"),
    "due_on": _l("Due"),
    "decided_at": _l("Decided"),
    "bank": _l("Bank"),
    "card": _l("Card"),
    "application": _l("Application"),
    "batch": _l("Batch"),
    "personalised_at": _l("Made"),
    "activated_at": _l("Handed over"),
    "expires_on": _l("Valid until"),
    "planned_for": _l("Planned for"),
    "cards": _l("Cards"),
    "released_at": _l("Released"),
    "box": _l("Box"),
    "received": _l("Came in"),
    "good": _l("Good"),
    "spoiled": _l("Scrap"),
    "returned": _l("Returned"),
    "destroyed": _l("Blanks destroyed"),
    "in_hand": _l("In hand"),
    "missing": _l("Missing"),
    "sent": _l("Sent on"),
    "difference": _l("Difference"),
    "register_id": _l("Key of the register"),
    "sex": _l("Sex"),
    "oktmo": _l("OKTMO"),
    "address": _l("Address"),
    "confirmation": _l("Confirmation"),
    "channel": _l("Channel"),
    "filed_at": _l("Filed"),
    "recognised": _l("In the register"),
    "withdrawn_at": _l("Taken back"),
    "note": _l("Note"),
    "chain": _l("Chain"),
    "seq": _l("Entry"),
    "at": _l("When"),
    "actor": _l("Who"),
    "action": _l("What"),
    "subject_kind": _l("Subject"),
    "subject_id": _l("Number of the subject"),
    "person_id": _l("Resident"),
    "details": _l("Details"),
}


def head(columns: Iterable[str]) -> list[str]:
    """The heads of the columns in the language of the page."""
    return [str(COLUMNS[column]) for column in columns]


def said(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[Value]]:
    """Rows with their codes in words; numbers, days and moments stay what they are."""
    words: dict[Any, str] = {}
    yes, no = _("yes"), _("no")
    for row in rows:
        yield [_value(value, words, yes, no) for value in row]


# Looked at first: of twenty million values of a register's list nearly all are one of these.
_AS_THEY_ARE = frozenset({str, int, float, date, datetime, type(None)})


def _value(value: Any, words: dict[Any, str], yes: str, no: str) -> Value:
    if type(value) in _AS_THEY_ARE:
        plain: Value = value
        return plain
    if isinstance(value, StrEnum):
        # Members of different enums with one value are equal as strings, so the kind belongs to the key.
        key = type(value), value
        if key not in words:
            words[key] = word(value) if key in WORDS else value.value
        return words[key]
    if isinstance(value, bool):
        return yes if value else no
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
