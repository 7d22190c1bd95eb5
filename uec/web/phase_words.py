"""Hides how the rules of the policy, what a change moves, and the conditions of a list are said to people."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from uec.domain.policy import FIRST_DAY, LAST_DAY
from uec.services.cohort_reasons import Fact
from uec.web.texts import _, _l, ngettext

Text = object  # a lazy string of flask-babel

RULES: Mapping[str, Text] = {
    "on_application_from": _l("First day of cards on application"),
    "mass_emission_from": _l("First day of mass emission"),
    "entitled_age_years": _l("Age of entitlement, full years"),
    "validity_years": _l("Validity of a card, years"),
    "production_days": _l("Clock of an application, days"),
    "replacement_days": _l("Clock of a duplicate or replacement, days"),
    "refusal_window_days": _l("Time to refuse after the notice, days"),
    "bank_choice_days": _l("Time to choose a bank after the notice, days"),
    "storage_days": _l("Storage of unclaimed cards, days"),
    "default_bank": _l("Bank of who chooses none"),
}

CONDITIONS: Mapping[str, tuple[Text, Text]] = {
    "age": (_l("Of age on the day"), _l("Too young on the day")),
    "residence": (_l("Lives in a municipality of the region"), _l("Lives in no municipality of the region")),
    "alive": (_l("Alive"), _l("Died")),
    "no_application": (_l("No open application"), _l("Has applied")),
    "no_card": (_l("No card"), _l("Has a card")),
    "not_refused": (_l("Did not refuse"), _l("Refused to receive a card")),
    "not_in_doubt": (_l("Not in doubt"), _l("In a case of twins, or with a wrong number")),
    "stands": (_l("The record stands"), _l("Another record of the same person stands")),
    "not_missing": (_l("In the last full export"), _l("A full export of the register does not name the person")),
}

_REFUSALS: Mapping[str, Text] = {
    "A notice needs its text, where it is published, and the banks: fill it in.": _l("Fill this in"),
    "Name the act or order behind the change.": _l("Name the act or order"),
    "On that day the rule has this value already.": _l("On that day the rule has this value already"),
    "Give a day like 31.12.2026.": _l("Give a day like 31.12.2026"),
    f"Give a day from {FIRST_DAY:%d.%m.%Y} to {LAST_DAY:%d.%m.%Y}.": _l("Give a day from 1900 to 2199"),
}


def refusal_words(message: str) -> str:
    """Say why the service refused a value."""
    return str(_REFUSALS.get(message, _l("This value is not possible for the rule")))


def not_yet_words(waits_for: str, day: date | None) -> str:
    """Say why the applications of a list cannot be opened yet; `day` as in `uec.services.cohort.NotYet`."""
    if day is None:
        return _("No notice is published yet: publish one, and wait until the time to refuse is over.")
    written = f"{day:%d.%m.%Y}"
    if waits_for == "phase":
        return _("Mass emission begins on %(day)s: open the applications from that day on.", day=written)
    if waits_for == "list":
        return _("The list is of %(day)s: open its applications from that day on.", day=written)
    return _("Residents may refuse or choose a bank until %(day)s: open the applications after that.", day=written)


def moved(effects: Mapping[str, Any]) -> list[str]:
    """Say what a change moves, a sentence for each kind."""
    return [*_promises(effects), *_lists(effects), *_windows(effects), *_cards(effects)] or [
        _("Nothing that is under way moves")
    ]


def _promises(effects: Mapping[str, Any]) -> Iterator[str]:
    for clock in ("production_days", "replacement_days"):
        if found := effects.get(clock):
            text = ngettext("%(num)d promised date moves", "%(num)d promised dates move", int(found["applications"]))
            yield _("%(what)s by %(days)s days", what=text, days=f"{int(found['days']):+d}")


def _lists(effects: Mapping[str, Any]) -> Iterator[str]:
    if lists := effects.get("lists"):
        yield _("Lists that become void: %(lists)s", lists=", ".join(lists))
    if opened := effects.get("opened"):
        yield ngettext(
            "%(num)d application that was opened from them stands",
            "%(num)d applications that were opened from them stand",
            int(opened),
        )
    if people := effects.get("people"):
        yield _(
            "Entitled on %(day)s: %(after)s people instead of %(before)s",
            day=_day(people["day"]),
            after=people["after"],
            before=people["before"],
        )


def _windows(effects: Mapping[str, Any]) -> Iterator[str]:
    for one in effects.get("windows", ()):
        (refusal, new_refusal), (bank, new_bank) = map(_day, one["refusal"]), map(_day, one["bank"])
        published = _day(one["published_on"])
        if refusal != new_refusal:
            yield _(
                "Notice of %(day)s: refusals until %(new)s instead of %(old)s",
                day=published,
                new=new_refusal,
                old=refusal,
            )
        if bank != new_bank:
            yield _(
                "Notice of %(day)s: a bank is chosen until %(new)s instead of %(old)s",
                day=published,
                new=new_bank,
                old=bank,
            )


def _cards(effects: Mapping[str, Any]) -> Iterator[str]:
    if "stored" in effects:
        yield ngettext(
            "%(num)d unclaimed card is stored until another day",
            "%(num)d unclaimed cards are stored until another day",
            int(effects["stored"]),
        )
    if (waiting := effects.get("waiting")) and waiting["applications"]:
        yield ngettext(
            "%(num)d open application of the mass emission is planned from %(day)s on",
            "%(num)d open applications of the mass emission are planned from %(day)s on",
            int(waiting["applications"]),
            day=_day(waiting["day"]),
        )
    if effects.get("plan"):
        yield _("The plan is made anew at once; whose day it moves is told")


def _day(written: str) -> str:
    return f"{date.fromisoformat(written):%d.%m.%Y}"


def fact_words(fact: Fact) -> str:
    """Say what stands behind a condition that does not hold."""
    day = f"{fact.day:%d.%m.%Y}" if fact.day else ""
    said = {
        "of_age": _l("of age from %(day)s on", day=day),
        "place": _l("the register says %(number)s", number=fact.number),
        "death": _l("died on %(day)s (record %(number)s)", day=day, number=fact.number),
        "application": _l("application %(number)s of %(day)s", day=day, number=fact.number),
        "card": _l("card %(number)s", number=fact.number),
        "refusal": _l("refusal %(number)s of %(day)s", day=day, number=fact.number),
        "twins": _l("case %(number)s of %(day)s", day=day, number=fact.number),
        "export": _l("missing since %(day)s", day=day),
    }
    return str(said[fact.kind])
