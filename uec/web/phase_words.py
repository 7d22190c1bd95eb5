"""Hides how the rules of the policy, what a change moves, and the conditions of a list are said to people."""

from collections.abc import Mapping
from datetime import date

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
    "Name the act or order behind the change.": _l("Name the act or order"),
    "On that day the rule has this value already.": _l("On that day the rule has this value already"),
    "Give a day like 31.12.2026.": _l("Give a day like 31.12.2026"),
}


def refusal_words(message: str) -> str:
    """Say why the service refused a value."""
    return str(_REFUSALS.get(message, _l("This value is not possible for the rule")))


def moved(effects: Mapping[str, object]) -> list[str]:
    """Say what a change moves, a sentence for each kind."""
    said: list[str] = []
    for clock in ("production_days", "replacement_days"):
        found = effects.get(clock)
        if isinstance(found, Mapping):
            count, days = int(found["applications"]), int(found["days"])
            text = ngettext("%(num)d promised date moves", "%(num)d promised dates move", count)
            said.append(_("%(what)s by %(days)s days", what=text, days=f"{days:+d}"))
    lists = effects.get("lists")
    if isinstance(lists, list):
        said.append(_("Lists that become void: %(lists)s", lists=", ".join(lists)))
    if isinstance(effects.get("notices"), int):
        said.append(
            ngettext("%(num)d notice gets new windows", "%(num)d notices get new windows", int(str(effects["notices"])))
        )
    if isinstance(effects.get("stored"), int):
        count = int(str(effects["stored"]))
        said.append(
            ngettext(
                "%(num)d unclaimed card is stored until another day",
                "%(num)d unclaimed cards are stored until another day",
                count,
            )
        )
    if effects.get("plan"):
        said.append(_("The plan is made anew at once; whose day it moves is told"))
    people = effects.get("people")
    if isinstance(people, Mapping):
        day = date.fromisoformat(people["day"])
        said.append(
            _(
                "Entitled on %(day)s: %(after)s people instead of %(before)s",
                day=f"{day:%d.%m.%Y}",
                after=people["after"],
                before=people["before"],
            )
        )
    return said or [_("Nothing that is under way moves")]
