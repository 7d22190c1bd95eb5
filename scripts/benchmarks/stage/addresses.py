"""The addresses of all pages over a region that `stage.year` has lived through, with the slowest ways into each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from werkzeug.routing import Map, Rule

ROOMS = ("office", "window", "citizen", "auth")
# Files, pictures and what needs a cookie, a sealed paper or a partner that this region has none of.
LEFT_OUT = frozenset(
    {
        "citizen.apply", "citizen.check", "citizen.confirmation", "citizen.confirmation_pdf", "citizen.receipt",
        "office.application_face", "office.bureau", "office.bureau_order", "office.bureau_order_file",
        "office.card_face", "office.cohort_breakdown", "office.destruction_act", "office.destruction_paper",
        "office.export", "office.export_file", "office.photo", "office.quarantine", "office.shift_again",
        "office.stations_again", "office.store_again", "office.transfer", "office.transfer_again",
    }
)  # fmt: skip
# A page that answers a question: without one there is no such page.
ASKED = frozenset({"office.planning_person"})
# Pages whose slowest way is not the address alone: everything that a filter, a search or a way onward can ask for.
WAYS: Mapping[str, tuple[str, ...]] = {
    "office.applications": (
        "state=APPROVED", "state=CLOSED", "state=CHECKED", "route=WEB", "route=MASS&state=READY", "offset=25000",
        "offset=1200000&after={late}", "offset=1199950&before={late}", "state=CLOSED&offset=600000&after={late_closed}",
        "query={surname}", "query={number}", "query={snils}", "query=nobody", "state=CHECKED&query={surname}",
        "route=WEB&query={surname}",
    ),
    "office.cards": (
        "state=ACTIVE", "state=PERSONALISED", "state=PLANNED", "state=LOST", "offset=25000",
        "offset=650000&after={late_card}", "state=ACTIVE&offset=600000&after={late_card}", "query={surname}",
        "query={card}", "query={snils}", "query={number}", "query=nobody",
    ),
    "office.batches": ("state=CLOSED", "state=PLANNED", "offset=17000", "day={day}", "day={day}&line={line}"),
    "office.calendar": ("point=1", "point=150", "month={month}", "month={month}&point=1"),
    "office.planning_lines": ("days=31", "days=62", "first={day}&days=62"),
    "office.planning_points": ("sort=waiting", "sort=name", "sort=last&order=ascending"),
    "office.planning_person": ("number={waiting}",),
    "office.cohort_explore": (
        "after={last}", "oktmo={town}", "oktmo={town}&after={middle}", "query={snils}", "query=nobody",
    ),
    "office.cohort_why_page": ("list={cohort_id}",),
    "office.cohort": ("oktmo={town}", "after={inside}", "sex=F&band=60%2B", "oktmo={town}&sex=M"),
    "office.twins": ("state=all", "after={case_middle}"),
    "office.audit": (
        "offset=1000000", "who=bench", "kind=application", "kind=application&subject={application_id}",
        "subject={application_id}", "subject=nobody",
    ),
    "office.move_batch": ("day={move_to}",),
    "window.desk": (
        "offset=50", "query={surname}", "query={card}", "query={snils}", "query={number}", "query=nobody",
    ),
}  # fmt: skip
# The slowest row of each, by size; words of paths are the values that the page offers.
_KNOWN = {
    "application_id": "SELECT id FROM application WHERE state = 'CLOSED' ORDER BY id DESC LIMIT 1",
    "card_id": "SELECT id FROM card WHERE state = 'PERSONALISED' ORDER BY id DESC LIMIT 1",
    "batch_id": "SELECT b.id FROM batch b JOIN card c ON c.batch_id = b.id WHERE b.state = 'PLANNED' "
    "GROUP BY b.id ORDER BY count(*) DESC, b.id LIMIT 1",
    "cohort_id": "SELECT id FROM cohort ORDER BY count DESC LIMIT 1",
    "resident_id": "SELECT max(id) FROM resident",
    "case_id": "SELECT max(id) FROM twin_case",
    "case_middle": "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM twin_case",
    "shift_id": "SELECT shift_id FROM stock_account a JOIN stock_movement m ON m.taker_id = a.id "
    "WHERE a.kind = 'WORK' GROUP BY shift_id ORDER BY count(*) DESC, shift_id LIMIT 1",
    "staff_id": "SELECT max(id) FROM staff",
    "operation_id": "SELECT max(id) FROM card_operation",
    "surname": "SELECT surname FROM application GROUP BY surname ORDER BY count(*) DESC LIMIT 1",
    # Pages far down are asked for as the pages before them link to them.
    "late": "SELECT id FROM application ORDER BY due_on, id OFFSET (SELECT count(*) * 6 / 7 FROM application) LIMIT 1",
    "late_closed": "SELECT id FROM application WHERE state = 'CLOSED' ORDER BY due_on DESC, id DESC LIMIT 1 OFFSET 80",
    "late_card": "SELECT id FROM card WHERE state = 'ACTIVE' ORDER BY id DESC LIMIT 1 OFFSET 80",
    "number": "SELECT max(number) FROM application WHERE state = 'CLOSED'",
    "waiting": "SELECT a.number FROM application a JOIN emission_slot s ON a.id = s.people[1] "
    "ORDER BY s.plan_id DESC, s.first DESC LIMIT 1",
    "snils": "SELECT snils FROM application WHERE state = 'CLOSED' ORDER BY id DESC LIMIT 1",
    "refusal_number": "SELECT max(number) FROM refusal",
    "card": "SELECT max(number) FROM card",
    "day": "SELECT planned_for FROM batch GROUP BY 1 ORDER BY count(*) DESC, 1 DESC LIMIT 1",
    "month": "SELECT to_char(planned_for, 'YYYY-MM') FROM batch GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    "line": "SELECT line FROM batch WHERE line IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    "move_to": "SELECT max(planned_for) FROM batch WHERE state = 'PLANNED'",
    "last": "SELECT max(id) - 60 FROM resident",
    "middle": "SELECT max(id) / 2 FROM resident",
    "town": "SELECT oktmo FROM cohort_part GROUP BY 1 ORDER BY sum(count) DESC LIMIT 1",
    "inside": "SELECT oktmo || '.' || band || '.' || sex || '.' || members[count / 2] FROM cohort_part "
    "ORDER BY count DESC LIMIT 1",
    "job": "SELECT 'plan'",
    "step": "SELECT 'person'",
    "by": "SELECT unnest(ARRAY['batch', 'shift', 'point'])",
    "what": "SELECT unnest(ARRAY['box', 'point', 'shift', 'batch'])",
}

ARGUMENTS = frozenset({*_KNOWN, "key"})
"""What a route may ask for."""


def addresses(url: str, rules: Map) -> Iterator[tuple[str, str]]:
    """A name and an address for each page of the application, and for each of its slower ways."""
    with psycopg.connect(url) as connection:
        known = {name: [row[0] for row in connection.execute(text.encode())] for name, text in _KNOWN.items()}
    one = {name: values[0] for name, values in known.items()}
    for rule in measured(rules):
        for name, address in _filled(rule, known, one):
            if rule.endpoint not in ASKED:
                yield f"{rule.endpoint}{name}", address
            for number, way in enumerate(WAYS.get(rule.endpoint, ()), 1):
                yield f"{rule.endpoint}{name}.{number}", f"{address}?{way.format_map(one)}"


def measured(rules: Map) -> list[Rule]:
    """The routes that show a page to a person, by name."""
    found = [rule for rule in rules.iter_rules() if "GET" in (rule.methods or ())]
    pages = [rule for rule in found if rule.endpoint.partition(".")[0] in ROOMS and rule.endpoint not in LEFT_OUT]
    return sorted(pages, key=lambda rule: rule.endpoint)


def _filled(rule: Rule, known: Mapping[str, list[Any]], one: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The addresses of a rule: a word of the path takes each of its values, an id the slowest."""
    if "what" in rule.arguments and "key" in rule.arguments:
        keys = {"box": 1, "point": 2, "shift": one["shift_id"], "batch": one["shift_id"]}
        for what, key in keys.items():
            yield f".{what}", _path(rule, {"what": what, "key": key})
        return
    if "what" in rule.arguments:
        yield "", _path(rule, {**one, "what": "keys"})
        return
    words = known["by"] if "by" in rule.arguments else [""]
    for word in words:
        yield f".{word}" if word else "", _path(rule, {**one, "by": word})


def _path(rule: Rule, values: Mapping[str, Any]) -> str:
    built = rule.build({name: values[name] for name in rule.arguments}, append_unknown=False)
    assert built is not None, rule.rule
    return built[1]
