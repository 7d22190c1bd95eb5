"""Hides how a numbered confirmation is shown again and printed after its form: sealed in the address for a day.

The form answers with a redirect, so that a reload files nothing a second time. The address tells nobody anything
without the office's key, and nothing is looked up by it.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from flask import abort

from uec.services.confirmations import Paper
from uec.web import sealed
from uec.web.context import now, office
from uec.web.filters import snils as written
from uec.web.language import moment, pick
from uec.web.texts import _

PURPOSE = "confirmation"
LIFE = timedelta(days=1)
REFUSAL, BANK = "refusal", "bank"


@dataclass(frozen=True)
class Confirmation:
    """What was filed: its kind, number, whose SNILS, when, and the bank of a choice."""

    kind: str
    number: str
    snils: str
    at: str
    bank: str = ""

    @property
    def when(self) -> datetime:
        """The moment of filing."""
        return datetime.fromisoformat(self.at)

    @property
    def masked(self) -> str:
        """The SNILS with its first digits hidden: the paper may be left lying."""
        text = written(self.snils)
        return f"•••-•••{text[7:]}" if len(text) == 14 else "•••"


def sealed_up(kind: str, number: str, snils: str, bank: str = "", *, at: datetime | None = None) -> str:
    """The confirmation as a text for the address; `at` is the moment of filing, now where none is given."""
    digits = "".join(filter(str.isdigit, snils))
    content = asdict(Confirmation(kind, number, digits, (at or now()).isoformat(), bank))
    return sealed.seal(content, purpose=PURPOSE, key=office().key, now=now(), random=office().random)


def opened(paper: str) -> Confirmation:
    """The confirmation of an address; 404 for one that is damaged, forged or older than a day."""
    content = sealed.unseal(paper, purpose=PURPOSE, key=office().key, now=now(), life=LIFE)
    if content is None:
        abort(404)
    return Confirmation(**content)


def heading_of(one: Confirmation) -> str:
    """What was filed, in words."""
    return _("The refusal is filed") if one.kind == REFUSAL else _("The choice of a bank is filed")


def sentence_of(one: Confirmation) -> str:
    """What follows from it."""
    if one.kind == REFUSAL:
        return _("No card will be made for you in the mass emission. You may apply for one at any time later.")
    return _("The card of the mass emission comes with this bank. A later choice takes the place of this one.")


def paper_of(one: Confirmation) -> Paper:
    """The sheet to print, in the language of the page."""
    facts = [(_("Filed"), moment(one.when)), (_("SNILS"), one.masked)]
    if one.bank:
        facts.append((_("Bank"), one.bank))
    heading = _("Confirmation of a refusal") if one.kind == REFUSAL else _("Confirmation of the choice of a bank")
    return Paper(
        heading=heading,
        number=one.number,
        office=issuer(),
        facts=facts,
        sentences=[sentence_of(one)],
    )


def issuer() -> str:
    """The line of the one who gives a paper out."""
    settings = office().settings
    region = pick(settings.region_ru, settings.region_en)
    contact = settings.organisation_contact
    return f"{_('Authorised organisation of the region')}, {region}{', ' + contact if contact else ''}"
