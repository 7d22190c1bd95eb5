"""Card variants in words: which ones an applicant may choose here, and how they are called in the page's language."""

from uec.services import rules
from uec.services.rules import Variant
from uec.web.context import office
from uec.web.language import pick


def offered() -> list[Variant]:
    """What applicants may choose, the usual one first."""
    return rules.offered_variants(office().settings)


def names() -> list[str]:
    """The names of the same."""
    return [one.name for one in offered()]


def title_of(name: str) -> str:
    """How a variant is called; empty: the usual one. One that is offered no more keeps its name."""
    known = offered()
    if not name:
        return pick(known[0].title_ru, known[0].title_en)
    return next((pick(one.title_ru, one.title_en) for one in known if one.name == name), name)


def told(name: str) -> str:
    """The title of a variant where there was a choice, or it is none of today's; empty where all get the usual one."""
    known = names()
    return title_of(name) if len(known) > 1 or (name and name not in known) else ""
