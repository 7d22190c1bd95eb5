"""Hides how the lists taken out as files, their columns, values and filters are said in the language of the page."""

from collections.abc import Mapping

from uec.domain.exports import ExportState
from uec.services.export_lists import EXPORTS
from uec.services.export_wording import Wording, key_of
from uec.store.tables import ExportFile
from uec.web import plan_words
from uec.web.texts import _, _l
from uec.web.wording import WORDS

Text = object  # a lazy string of flask-babel

LISTS: Mapping[str, Text] = {
    "applications": _l("Applications"),
    "cards": _l("Cards"),
    "batches": _l("Batches"),
    "stock": _l("Stock"),
    "cohort": _l("List of residents"),
    "refusals": _l("Refusals"),
    "audit": _l("Audit"),
    "late": _l("Who is late"),
    "points": _l("Points of the plan"),
    "moved": _l("Moved promises"),
    "orders": _l("Orders to bureaux"),
    "consignments": _l("Consignments"),
    "movements": _l("Movements of the stock"),
    "twins": _l("Twins"),
    "missing": _l("Missing from the register"),
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
    "line": _l("Line"),
    "departs_on": _l("Courier"),
    "kind": _l("Class"),
    "variant": _l("Card variant"),
    "late_for": _l("Why"),
    "promised_on": _l("Can be collected from"),
    "point_ru": _l("Name in Russian"),
    "point_en": _l("Name in English"),
    "remakes": _l("Remakes"),
    "clocks": _l("On application"),
    "in_cohort": _l("Mass emission"),
    "open": _l("Without a day"),
    "courier": _l("Next courier"),
    "last_hand_over": _l("Last hand-over"),
    "peak": _l("Safe at its fullest"),
    "was": _l("was promised"),
    "listed_at": _l("Moved on"),
    "order": _l("Order"),
    "bureau": _l("Bureau"),
    "drawn_at": _l("Drawn up"),
    "sent_at": _l("Sent"),
    "completed_at": _l("Complete"),
    "consignment": _l("Consignment"),
    "giver": _l("From"),
    "taker": _l("To"),
    "seal": _l("Seal"),
    "blanks": _l("Blanks"),
    "received_at": _l("Received"),
    "seal_found": _l("Seal found"),
    "blanks_found": _l("Blanks counted"),
    "motion": _l("What"),
    "lot": _l("Lot of chips"),
    "first": _l("First chip"),
    "last": _l("Last chip"),
    "case": _l("Case"),
    "found_at": _l("Found"),
    "decided": _l("Decision"),
}

# How what narrows a list is called, where it is not one of its columns.
FILTERS: Mapping[str, Text] = {
    "query": _l("Search"),
    "id": _l("List"),
    "reason": _l("Why"),
    "day": _l("Day"),
    "who": _l("Who"),
    "subject": _l("Number of the subject"),
}


# Which words the values of a list's filter are, where they are codes: states of different things have one name.
KINDS: Mapping[tuple[str, str], str] = {
    ("applications", "state"): "ApplicationState",
    ("applications", "route"): "Route",
    ("cards", "state"): "CardState",
    ("batches", "state"): "BatchState",
    ("orders", "state"): "OrderState",
    ("twins", "state"): "TwinState",
    ("missing", "state"): "AbsenceState",
    ("late", "kind"): "Kind",
    ("late", "reason"): "Reason",
}

# Words and the colour of the tag.
STATES: Mapping[ExportState, tuple[Text, str]] = {
    ExportState.WAITING: (_l("Waiting"), "blue"),
    ExportState.RUNNING: (_l("Being made"), "purple"),
    ExportState.READY: (_l("Ready"), "green"),
    ExportState.FAILED: (_l("Not done"), "red"),
}


def wording(name: str) -> Wording:
    """How a list is said in the language of the page."""
    codes = {key_of(member): str(text) for (_kind, member), text in WORDS.items()}
    late = {f"Kind.{int(kind)}": text for kind, text in plan_words.kinds().items()}
    reasons = {f"Reason.{reason}": text for reason, text in plan_words.reasons().items()}
    columns = [str(COLUMNS[column]) for column in EXPORTS[name].columns]
    return Wording(str(LISTS[name]), columns, {**codes, **late, **reasons}, _("yes"), _("no"))


def part_of(name: str, filters: Mapping[str, str]) -> str:
    """Which part of a list is asked for, as people read it; empty for the whole."""
    words, called = wording(name).words, {**COLUMNS, **FILTERS}
    said = {one: words.get(f"{KINDS.get((name, one))}.{text}", text) for one, text in filters.items()}
    return ", ".join(f"{called.get(one, one)}: {text}" for one, text in said.items())


def failure(row: ExportFile) -> str:
    """Why a file was not made, and what to do."""
    if row.failure == "uec.not_allowed":
        return _("You may not see this list any more.")
    return _("It could not be made. Ask for it again; if that fails too, call the administrator.")


def progress(row: ExportFile) -> int:
    """How far a file is, per cent; below a hundred until it is ready."""
    return min(99, 100 * row.rows // row.expected) if row.expected else 0


def size(row: ExportFile) -> str:
    """How large a file is."""
    kilobytes = max(1, row.size_bytes // 1000)
    if kilobytes < 1000:
        return _("%(count)s kB", count=kilobytes)
    return _("%(count)s MB", count=plan_words.thousands(kilobytes // 1000))
