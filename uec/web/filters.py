"""Hides how the office's values are written for people: numbers in groups, documents, journal entries."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from flask import Flask
from flask_babel import format_percent

from uec.domain.lifecycle import CertificateState
from uec.store.lengths import Length
from uec.web import wording
from uec.web.check_words import check_detail
from uec.web.language import language
from uec.web.plan_words import iso_day, thousands
from uec.web.texts import _

LONGEST_FACT = 24


def card_number(number: str | None) -> str:
    """Write a card number in groups of four, kept on one line."""
    text = number or ""
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def snils(number: str | None) -> str:
    """Write a SNILS as on its certificate: 112-233-445 95."""
    text = number or ""
    return f"{text[:3]}-{text[3:6]}-{text[6:9]} {text[9:]}" if len(text) == 11 else text


def document(text: str) -> str:
    """Name the kind of a document in the language of the page."""
    kinds = {"passport": _("Passport"), "birth_certificate": _("Birth certificate")}
    kind, _space, rest = text.partition(" ")
    return f"{kinds.get(kind, kind)} {rest}"


def certificate_use(profile: str) -> str:
    """Say what a certificate is for."""
    uses = {
        "authentication": _("Identification"),
        "signature": _("Electronic signature"),
        "key_agreement": _("Encryption"),
        "card_authentication": _("Card authentication"),
    }
    key = profile.removeprefix("piv-").replace("-", "_")
    return uses.get(key, profile)


def journal_kind(kind: str) -> str:
    """Say what an entry of the journal records."""
    kinds = {
        "chip_claimed": _("Chip taken for this card"),
        "chip_released": _("Chip let go: it is none for this card"),
        "key_change_intent": _("About to set the card's own keys"),
        "key_changed": _("The card's own keys are set"),
        "write_intent": _("About to write the data"),
        "keys_made": _("Key pairs made on the card"),
        "finish_intent": _("About to finish the card"),
        "finished": _("The card is finished"),
        "inspected": _("Read back and inspected"),
        "pin_change_intent": _("About to set the holder's PINs"),
        "pin_chosen": _("A PIN was chosen at the reader"),
        "pin_changed": _("The holder's PINs are set"),
        "handed_over": _("Handed over"),
        "unblock_intent": _("About to set a PIN anew"),
        "unblocked": _("A PIN is set anew"),
        "unblock_refused": _("The code that unblocks was refused"),
        "terminate_intent": _("About to make the card mute for good"),
        "terminated": _("The card is mute"),
        "scrapped": _("Scrapped"),
        "transcript": _("Transcript kept"),
    }
    return kinds.get(kind.lower(), kind)


def facts(values: Mapping[str, object]) -> str:
    """Write facts in one line: long values are cut, what holds many things is counted."""
    shown = {name: _short(value) for name, value in values.items()}
    return ", ".join(f"{name}: {text}" for name, text in shown.items() if text)


def _short(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: _("yes"), False: _("no")}[value]
    if isinstance(value, Mapping):
        return f"× {len(value)}" if value else ""
    if isinstance(value, list | tuple):
        plain = all(isinstance(one, str | int) for one in value)
        return (
            " ".join(_short(one) for one in value[:6]) + (" …" if len(value) > 6 else "")
            if plain
            else f"× {len(value)}"
        )
    text = str(value)
    return text if len(text) <= LONGEST_FACT else f"{text[:LONGEST_FACT]}…"


def certificate_state(value: str) -> CertificateState:
    """Return the state as its enum, for its tag."""
    return CertificateState(value)


def percent(share: float) -> str:
    """Write a share, like 0.035, as per cent of the language."""
    return str(format_percent(share, "#,##0.#%"))


def span(period: timedelta) -> str:
    """Write a period in words."""
    return wording.span(period)


def amount(length: Length) -> str:
    """Write how long a list is; "about" where it was not counted to its end."""
    return _("about %(count)s", count=thousands(length.rows)) if length.about else thousands(length.rows)


# What stands in quotes gets those of the second level for its own (Russian: „лапки“ within «ёлочки»).
_QUOTES = {"ru": ("«", "»", str.maketrans("«»", "„“")), "en": ("“", "”", str.maketrans("“”", "‘’"))}


def quoted(text: str | None) -> str:
    """Put a name or a text into the quotes of the language, whatever quotes it has of its own."""
    first, last, own = _QUOTES[language()]
    return f"{first}{(text or '').translate(own)}{last}"


def use_filters(app: Flask) -> None:
    """Give the templates all of them by their names."""
    filters: tuple[Callable[..., object], ...] = (
        card_number,
        check_detail,
        snils,
        document,
        certificate_use,
        journal_kind,
        facts,
        certificate_state,
        percent,
        span,
        thousands,
        iso_day,
        amount,
        quoted,
    )
    app.jinja_env.filters.update({one.__name__: one for one in filters})
