"""Lifts the limit on what a request may bring, for the routes that take files of partners, once its sender is let in.

Everywhere else four megabytes are enough for any form of ours. A large file goes to the disk piece by piece.
"""

from collections.abc import Callable
from typing import TypeVar

from flask import Flask, current_app, request

from uec.settings import Settings

MEGABYTE = 1024 * 1024
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
