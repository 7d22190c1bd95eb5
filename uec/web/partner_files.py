"""How much a request may bring, and what is said to whom it was too much.

Four megabytes are enough for any form of ours; the limit is lifted for the routes that take files of partners, once
their sender is let in. A large file goes to the disk piece by piece.
"""

from collections.abc import Callable
from typing import TypeVar

from flask import Flask, current_app, request

from uec.settings import Settings
from uec.web.texts import _

MEGABYTE = 1024 * 1024
FORM_MB = 4
PHOTO_MB = 2
WITH_PHOTO = ("citizen.check", "window.application")
WITH_CERTIFICATE = "office.bureau_step"
View = TypeVar("View", bound=Callable[..., object])


def takes_partner_files(view: View) -> View:
    """Mark a view that takes files of partners."""
    view.takes_partner_files = True  # type: ignore[attr-defined]
    return view


def brings_partner_file() -> bool:
    """Whether the present request goes to such a view."""
    view = current_app.view_functions.get(request.endpoint or "")
    return bool(getattr(view, "takes_partner_files", False))


def lift_limits(app: Flask, settings: Settings) -> None:
    """Let such requests be as large as the settings say; to be called after access is guarded, before CSRF is."""

    @app.before_request
    def lift_limit() -> None:
        if brings_partner_file():
            request.max_content_length = settings.bureau_file_mb * MEGABYTE


def too_large() -> str:
    """What to do for somebody whose request brought too much, by the form that it came from."""
    if brings_partner_file():
        limit = request.max_content_length or FORM_MB * MEGABYTE
        return _(
            "This page takes files of up to %(limit)s MB: have the file taken at the server, by uec bureau take.",
            limit=limit // MEGABYTE,
        )
    if request.endpoint in WITH_PHOTO:
        return _("Choose a photo of at most %(limit)s MB and send it again.", limit=PHOTO_MB)
    if request.endpoint == WITH_CERTIFICATE:
        return _("A certificate has a few kilobytes: choose the file with the certificate alone.")
    return _("A form brings at most %(limit)s MB: leave out what does not belong into it.", limit=FORM_MB)
