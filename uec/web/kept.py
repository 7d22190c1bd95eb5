"""Hides how a form that came too late is not lost: its answers come back to the same person, who sends them again.

Two ways of being late: the sign-in ended while the form was being filled in, or the form's token did (CSRF). Passwords,
PINs, files and ticks are never kept: a tick says that somebody has looked just now, so it is asked for again. Only a
form of our own pages is kept (Fetch Metadata, W3C; RFC 6454 for older browsers): a foreign site gains no button here.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import g, render_template, request

from uec.web import sealed
from uec.web.context import now, office

PURPOSE = "kept form"
LIFE = timedelta(hours=12)
NEVER_KEPT = frozenset(
    {
        "csrf_token", "kept", "password", "pin1", "pin1_again", "pin2", "pin2_again",
        "consent", "holder_checked", "papers_seen",
    }
)  # fmt: skip


@dataclass(frozen=True)
class KeptForm:
    """Where the form goes, and what was typed."""

    address: str
    fields: list[tuple[str, str]]
    had_file: bool


def came_from_here() -> bool:
    """Tell whether this request was sent by a page of ours."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("Origin", "") == request.host_url.rstrip("/")


def of_request() -> KeptForm | None:
    """Return the form of this request, None when it is none of ours."""
    if request.method != "POST" or request.endpoint in {None, "auth.sign_in"} or not came_from_here():
        return None
    fields = [(name, text) for name, text in request.form.items(multi=True) if name not in NEVER_KEPT]
    return KeptForm(request.full_path.rstrip("?"), fields, any(file.filename for file in request.files.values()))


def for_sign_in() -> str:
    """Return the form of this request sealed for whoever was signed in; "" when there is nothing to keep."""
    form, staff_id = of_request(), g.get("was_signed_in")
    if form is None or staff_id is None:
        return ""
    content = [staff_id, form.address, form.fields, form.had_file]
    return sealed.seal(content, purpose=PURPOSE, key=office().key, now=now(), random=office().random)


def after_sign_in(value: str, staff_id: int | None) -> KeptForm | None:
    """Return what was kept for this member of staff; nobody gets a colleague's."""
    content: Any = sealed.unseal(value, purpose=PURPOSE, key=office().key, now=now(), life=LIFE)
    if content is None or content[0] != staff_id:
        return None
    return KeptForm(content[1], [(name, text) for name, text in content[2]], content[3])


def page_of(form: KeptForm, *, signed_in_again: bool) -> str:
    """Return the page that sends a kept form again at the press of a button."""
    g.pop("csrf_token", None)  # the token of the session that has ended
    return render_template("again.html", form=form, signed_in_again=signed_in_again)
