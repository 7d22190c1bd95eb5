"""Hides what every page shows around its content: who is signed in, where one may go, and what just happened."""

from dataclasses import dataclass
from enum import StrEnum

from flask import Flask, g, request, url_for
from markupsafe import Markup

from uec.domain.actors import Actor
from uec.domain.permissions import Permission
from uec.web import phase_words, wording
from uec.web.access import access_of
from uec.web.context import office
from uec.web.texts import _


@dataclass(frozen=True)
class Link:
    """One entry of the navigation."""

    text: str
    endpoint: str
    sections: tuple[str, ...]


def _citizen_links() -> list[Link]:
    return [
        Link(_("About the card"), "citizen.start", ("citizen.start",)),
        Link(_("Apply"), "citizen.apply", ("citizen.apply", "citizen.step", "citizen.check")),
        Link(_("Status"), "citizen.status", ("citizen.status",)),
        Link(_("Card without applying"), "citizen.notice", ("citizen.notice", "citizen.bank", "citizen.refuse")),
    ]


def _staff_links() -> list[Link]:
    return [
        Link(_("My work"), "office.home", ("office.home",)),
        Link(_("Window"), "window.desk", ("window.",)),
        Link(
            _("Applications"),
            "office.applications",
            (
                "office.application",
                "office.photo",
            ),
        ),
        Link(_("Plan"), "office.planning", ("office.planning",)),
        Link(_("Calendar"), "office.calendar", ("office.calendar",)),
        Link(_("Batches"), "office.batches", ("office.batch", "office.move_batch")),
        Link(_("Bureaux"), "office.bureaux_list", ("office.bureau", "office.draw_order")),
        Link(_("Cards"), "office.cards", ("office.card",)),
        Link(_("Twins"), "office.twins", ("office.twin", "office.missing")),
        Link(_("Refusals"), "office.refusals", ("office.refusal", "office.file_refusal")),
        Link(_("Mass emission"), "office.cohorts", ("office.cohort", "office.phase", "office.notice")),
        Link(_("Stations"), "office.stations", ("office.station",)),
        Link(
            _("Stock"),
            "office.stock",
            (
                "office.stock",
                "office.delivery",
                "office.boxes",
                "office.transfer",
                "office.destruction",
            ),
        ),
        Link(_("Shifts"), "office.shifts", ("office.shift",)),
        Link(_("Quality"), "office.quality", ("office.quality", "office.quarantine", "office.looks")),
        Link(_("Keys"), "office.keys", ("office.keys",)),
        Link(_("Jobs"), "office.jobs", ("office.job",)),
        Link(_("Files"), "office.exports_page", ("office.export", "office.export_file")),
        Link(_("Staff"), "office.staff_list", ("office.staff",)),
        Link(_("Audit"), "office.audit", ("office.audit",)),
    ]


def navigation(app: Flask, actor: Actor | None) -> list[dict[str, object]]:
    """Return the entries that the visitor may open, for GOV.UK's service navigation."""
    links = _citizen_links() if actor is None else _staff_links()
    here = request.endpoint or ""
    shown = []
    for link in links:
        access = access_of(app, link.endpoint)
        if access is not None and access.admits(actor):
            shown.append({"text": link.text, "href": url_for(link.endpoint), "active": here.startswith(link.sections)})
    return shown


def tag(state: StrEnum) -> Markup:
    """Return the coloured tag of a state."""
    text, colour = wording.tag_of(state)
    return Markup('<strong class="govuk-tag govuk-tag--{}">{}</strong>').format(colour, text)


def may(*permissions: Permission) -> bool:
    """Tell whether the one signed in holds one of the permissions; for what a page offers."""
    actor: Actor | None = g.get("actor")
    return actor is not None and any(actor.may(permission) for permission in permissions)


def frame(app: Flask) -> None:
    """Give every template the frame."""
    app.jinja_env.globals.update(tag=tag, word=wording.word, moved=phase_words.moved, may=may, P=Permission)

    @app.context_processor
    def around() -> dict[str, object]:
        actor = g.get("actor")
        return {
            "actor": actor,
            "navigation": navigation(app, actor),
            "demo": office().settings.demo,
            "settings": office().settings,
        }
